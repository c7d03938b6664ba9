/* SPDX-License-Identifier: Apache-2.0 */
/* How to log in at a registry. Secrets: wiped when they are freed, never in a log or a failure. */
#pragma once

#include <stdbool.h>

#include "pull.pb-c.h"
#include "shared/failure.h"

enum { CREDENTIALS_SIZE_MAX = 32 * 1024 }; /* of all fields together */

/* Fields as in the message; never NULL. */
typedef struct Credentials {
    char *username, *password, *identity_token, *registry_token, *server;
} Credentials;

/* `auth` is "name:password" in base64, for whoever gives no username; `server` may be an address
 * with scheme and path. NULL counts as empty. −EINVAL, −ENOMEM; secrets are not in `why`. */
int credentials_make(const Pull__Credentials *from, const char *auth, Credentials *ret,
                     Failure *why);
void credentials_done(Credentials *credentials);

bool credentials_are_empty(const Credentials *credentials);
bool credentials_equal(const Credentials *a, const Credentials *b);

/* Are they for this host, asked for images of this registry? Those without a server are for the
 * registry itself and never for its mirrors. */
bool credentials_fit(const Credentials *credentials, const char *registry, const char *host);

/* The message's fields point at these credentials. */
Pull__Credentials credentials_message(const Credentials *credentials);

/* "Basic …" of username and password; malloc'ed, to be freed by secret_free; NULL: no memory. */
char *credentials_basic(const Credentials *credentials);

/* Wipes and frees; accepts NULL. */
void secret_free(char *secret);
