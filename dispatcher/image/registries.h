/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator says of registries: the files "*.conf" of a directory, by name; INI, read
 * by libinih at each pull. A section is a host ("docker.io", "registry.example:5000"), or "*" for
 * those without one of their own:
 *
 *   mirror = URL...            asked first, in this order: http://host, https://host:port/prefix
 *   plain-http = yes|no        default: yes for this machine's own addresses
 *   ca = FILE                  certificates to trust, in place of the system's
 *   client-cert, client-key = FILE
 *   header = Name: value       sent with every request to this host, and to no other
 *   proxy = URL                in place of the environment's; "none": no proxy
 *
 * Lists go on in indented lines or with the key again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shared/failure.h"

typedef struct RegistryConfig {
    char *host;
    char **mirrors, **headers; /* NULL-terminated, or NULL */
    char *ca, *client_cert, *client_key, *proxy;
    enum {
        PLAIN_HTTP_UNSET,
        PLAIN_HTTP_YES,
        PLAIN_HTTP_NO,
    } plain_http;
} RegistryConfig;

typedef struct Registries {
    RegistryConfig *list;
    size_t count;
} Registries;

/* A directory that is not there has no files. −EINVAL names file, line and key. */
int registries_load(const char *dir, Registries *ret, Failure *why);
void registries_done(Registries *registries);

/* NULL: nothing is said about it. */
const RegistryConfig *registries_find(const Registries *registries, const char *host);
