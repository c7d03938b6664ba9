/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "podmon/stream/token.h"
#include "test.h"

#define POD "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

#define EXEC PODMON__STREAM_OPERATION__STREAM_EXEC
#define ATTACH PODMON__STREAM_OPERATION__STREAM_ATTACH

static TokenStore *store;
static char id[] = "container";

static int add(uint64_t now, char *ret)
{
    Podmon__PrepareStream request = PODMON__PREPARE_STREAM__INIT;

    if (!store && token_store_new(POD, &store) < 0)
        abort();
    request.operation = PODMON__STREAM_OPERATION__STREAM_EXEC;
    request.id = id;
    return token_store_add(store, now, &request, ret);
}

static bool take(uint64_t now, const char *token, Podmon__StreamOperation operation)
{
    Podmon__PrepareStream *request = token_store_take(store, now, token, operation);
    bool found = request != NULL;

    if (found && strcmp(request->id, id) != 0)
        abort();
    podmon__prepare_stream__free_unpacked(request, NULL);
    return found;
}

static void done(void)
{
    store = token_store_free(store);
}

TEST(good_for_once)
{
    char first[TOKEN_SIZE], second[TOKEN_SIZE];

    CHECK_EQ(add(0, first), 0);
    CHECK_EQ(add(0, second), 0);
    CHECK(strcmp(first, second) != 0);
    CHECK_EQ(strlen(first), TOKEN_LENGTH);
    CHECK(strncmp(first, POD, ID_POD_PREFIX) == 0);
    CHECK(take(0, first, EXEC));
    CHECK(!take(0, first, EXEC));
    CHECK(take(0, second, EXEC));
    done();
}

TEST(for_a_minute)
{
    char token[TOKEN_SIZE];

    CHECK_EQ(add(5, token), 0);
    CHECK(take(5 + TOKEN_LIFETIME - 1, token, EXEC));
    CHECK_EQ(add(5, token), 0);
    CHECK(!take(5 + TOKEN_LIFETIME, token, EXEC));
    done();
}

TEST(the_wrong_use_uses_it_up)
{
    char token[TOKEN_SIZE];

    CHECK_EQ(add(0, token), 0);
    CHECK(!take(0, token, ATTACH));
    CHECK(!take(0, token, EXEC));
    done();
}

TEST(what_is_no_token)
{
    char token[TOKEN_SIZE];

    CHECK_EQ(add(0, token), 0);
    CHECK(!take(0, "", EXEC));
    CHECK(!take(0, POD, EXEC));
    token[TOKEN_LENGTH - 1] ^= 1;
    CHECK(!take(0, token, EXEC));
    token[TOKEN_LENGTH - 1] ^= 1;
    CHECK(take(0, token, EXEC));
    done();
}

TEST(as_many_as_there_may_be)
{
    char tokens[TOKENS_MAX][TOKEN_SIZE], more[TOKEN_SIZE];

    for (int i = 0; i < TOKENS_MAX; i++)
        CHECK_EQ(add(0, tokens[i]), 0);
    CHECK_EQ(add(0, more), -ENOSPC);
    CHECK(take(0, tokens[TOKENS_MAX - 1], EXEC));
    CHECK_EQ(add(1, more), 0);
    CHECK_EQ(add(1, tokens[0]), -ENOSPC);
    CHECK_EQ(add(TOKEN_LIFETIME, tokens[0]), 0); /* The others are over. */
    CHECK(take(TOKEN_LIFETIME, more, EXEC));
    done();
}

TEST(left_to_another_podmon)
{
    char old[TOKEN_SIZE], first[TOKEN_SIZE], second[TOKEN_SIZE];
    Podmon__CarriedToken *tokens = NULL;
    TokenStore *next = NULL;

    CHECK_EQ(add(0, old), 0);
    CHECK_EQ(add(10, first), 0);
    CHECK_EQ(add(20, second), 0);
    CHECK_EQ(token_store_describe(store, TOKEN_LIFETIME, &tokens), 2);
    CHECK_EQ(token_store_new(POD, &next), 0);
    CHECK_EQ(token_store_adopt(next, &tokens[0]), 0);
    CHECK_EQ(token_store_adopt(next, &tokens[1]), 0);
    tokens[0].token = id;
    CHECK_EQ(token_store_adopt(next, &tokens[0]), -EINVAL);
    free(tokens);
    done();
    store = next;
    CHECK(!take(15, old, EXEC));
    CHECK(take(TOKEN_LIFETIME + 9, first, EXEC));
    CHECK(!take(TOKEN_LIFETIME + 20, second, EXEC));
    done();
}

TEST_MAIN
