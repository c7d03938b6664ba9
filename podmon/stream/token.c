/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/message.h"

typedef struct Entry {
    struct Entry *next;
    uint64_t expires;
    Podmon__PrepareStream *request;
    char token[TOKEN_SIZE];
} Entry;

/* Oldest first. */
struct TokenStore {
    Entry *first, **tail;
    size_t count;
    char prefix[ID_POD_PREFIX + 1];
};

int token_store_new(const char *pod_id, TokenStore **ret)
{
    TokenStore *store = calloc(1, sizeof(*store));

    if (!store)
        return -ENOMEM;
    store->tail = &store->first;
    (void)snprintf(store->prefix, sizeof(store->prefix), "%s", pod_id);
    *ret = store;
    return 0;
}

static void drop(TokenStore *store, Entry **link)
{
    Entry *entry = *link;

    *link = entry->next;
    if (!entry->next)
        store->tail = link;
    store->count--;
    podmon__prepare_stream__free_unpacked(entry->request, NULL);
    explicit_bzero(entry->token, sizeof(entry->token));
    free(entry);
}

static void drop_expired(TokenStore *store, uint64_t now)
{
    while (store->first && store->first->expires <= now)
        drop(store, &store->first);
}

TokenStore *token_store_free(TokenStore *store)
{
    if (!store)
        return NULL;
    while (store->first)
        drop(store, &store->first);
    free(store);
    return NULL;
}

static int make_token(const TokenStore *store, char ret[TOKEN_SIZE])
{
    uint8_t secret[TOKEN_SECRET_BYTES];
    int length = snprintf(ret, TOKEN_SIZE, "%s", store->prefix);

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        return -errno;
    for (size_t i = 0; i < sizeof(secret); i++)
        length += snprintf(ret + length, TOKEN_SIZE - (size_t)length, "%02x", secret[i]);
    return 0;
}

static void append(TokenStore *store, Entry *entry)
{
    *store->tail = entry;
    store->tail = &entry->next;
    store->count++;
}

int token_store_add(TokenStore *store, uint64_t now, const Podmon__PrepareStream *request,
                    char ret[TOKEN_SIZE])
{
    Entry *entry;
    int r;

    drop_expired(store, now);
    if (store->count >= TOKENS_MAX)
        return -ENOSPC;
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->request = (Podmon__PrepareStream *)message_copy(&request->base);
    r = entry->request ? make_token(store, entry->token) : -ENOMEM;
    if (r < 0) {
        if (entry->request)
            podmon__prepare_stream__free_unpacked(entry->request, NULL);
        free(entry);
        return r;
    }
    entry->expires = now + TOKEN_LIFETIME;
    append(store, entry);
    memcpy(ret, entry->token, TOKEN_SIZE);
    return 0;
}

/* How long it takes says nothing about how much of it is right. */
static bool is_same(const char *left, const char *right)
{
    unsigned difference = 0;

    for (size_t i = 0; i < TOKEN_LENGTH; i++)
        difference |= (unsigned char)left[i] ^ (unsigned char)right[i];
    return difference == 0;
}

Podmon__PrepareStream *token_store_take(TokenStore *store, uint64_t now, const char *token,
                                        Podmon__StreamOperation operation)
{
    Entry **found = NULL;
    Podmon__PrepareStream *request;

    drop_expired(store, now);
    if (strlen(token) != TOKEN_LENGTH)
        return NULL;
    for (Entry **link = &store->first; *link; link = &(*link)->next)
        if (is_same((*link)->token, token))
            found = link;
    if (!found)
        return NULL;
    request = (*found)->request;
    if (request->operation == operation)
        (*found)->request = NULL;
    else
        request = NULL;
    drop(store, found);
    return request;
}

int token_store_describe(TokenStore *store, uint64_t now, Podmon__CarriedToken **ret_tokens)
{
    Podmon__CarriedToken *tokens;
    int count = 0;

    drop_expired(store, now);
    tokens = calloc(store->count + 1, sizeof(*tokens));
    if (!tokens)
        return -ENOMEM;
    for (Entry *entry = store->first; entry; entry = entry->next) {
        tokens[count] = (Podmon__CarriedToken)PODMON__CARRIED_TOKEN__INIT;
        tokens[count].token = entry->token;
        tokens[count].expires = entry->expires;
        tokens[count++].request = entry->request;
    }
    *ret_tokens = tokens;
    return count;
}

int token_store_adopt(TokenStore *store, const Podmon__CarriedToken *token)
{
    Entry *entry;

    if (strlen(token->token) != TOKEN_LENGTH || !token->request || store->count >= TOKENS_MAX)
        return -EINVAL;
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->request = (Podmon__PrepareStream *)message_copy(&token->request->base);
    if (!entry->request) {
        free(entry);
        return -ENOMEM;
    }
    entry->expires = token->expires;
    memcpy(entry->token, token->token, TOKEN_SIZE);
    append(store, entry);
    return 0;
}
