/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: what a client may do once, and soon. Kept in the podmon's memory, so that they outlive
 * the dispatcher. The token begins with digits of the pod's id, by which the dispatcher finds the
 * pod, and goes on with 128 random bits. */
#pragma once

#include <stdint.h>

#include "podmon.pb-c.h"
#include "shared/clock.h"
#include "shared/id.h"

enum {
    TOKEN_SECRET_BYTES = 16,
    TOKEN_LENGTH = ID_POD_PREFIX + 2 * TOKEN_SECRET_BYTES,
    TOKEN_SIZE = TOKEN_LENGTH + 1,
    TOKENS_MAX = 1000,
};

#define TOKEN_LIFETIME (60 * CLOCK_SECOND)

typedef struct TokenStore TokenStore;

int token_store_new(const char *pod_id, TokenStore **ret); /* −ENOMEM */
TokenStore *token_store_free(TokenStore *store);           /* accepts NULL */

/* Keeps a copy of the request. −ENOSPC: TOKENS_MAX are out; −ENOMEM; −errno of getrandom. */
int token_store_add(TokenStore *store, uint64_t now, const Podmon__PrepareStream *request,
                    char ret[TOKEN_SIZE]);

/* Those that are good at `now`: *ret_tokens is an array of TOKENS_MAX at most whose elements point
 * into the store. Returns how many, or −ENOMEM; the caller frees the array with free(3). */
int token_store_describe(TokenStore *store, uint64_t now, Podmon__CarriedToken **ret_tokens);

/* One of those, into an empty store: oldest first. −EINVAL: it is none; −ENOMEM. */
int token_store_adopt(TokenStore *store, const Podmon__CarriedToken *token);

/* The token is used up, whatever comes of it. NULL: unknown, used, expired, or for another
 * operation. The caller frees it with podmon__prepare_stream__free_unpacked. */
Podmon__PrepareStream *token_store_take(TokenStore *store, uint64_t now, const char *token,
                                        Podmon__StreamOperation operation);
