/* SPDX-License-Identifier: Apache-2.0 */
/* Where an image's repository can be asked: the mirrors of its registry, in the administrator's
 * order, then the registry itself. */
#pragma once

#include "dispatcher/image/credentials.h"
#include "dispatcher/image/reference.h"
#include "dispatcher/image/registries.h"

typedef struct Endpoint {
    char *base;                     /* "https://host:port/v2/repository" */
    char *host;                     /* "host:port" */
    char *query;                    /* "?ns=docker.io" of a mirror, or "" */
    char *repository;               /* as it is called there */
    const RegistryConfig *config;   /* of the host; NULL: none */
    const Credentials *credentials; /* NULL: none for it */
    char *authorization;            /* the header's value that the host has accepted; NULL: none */
    bool is_mirror;
} Endpoint;

typedef struct Endpoints {
    Endpoint *list;
    size_t count;
} Endpoints;

/* Registries and credentials are borrowed for as long as the endpoints live. */
int endpoints_make(const ImageReference *reference, const Registries *registries,
                   const Credentials *credentials, Endpoints *ret, Failure *why);
void endpoints_done(Endpoints *endpoints);
