/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/id.h"

#include <errno.h>

#include "test/unit/test.h"

TEST(made_ids_are_valid_and_differ)
{
    char pod[ID_SIZE], other[ID_SIZE], container[ID_SIZE], second[ID_SIZE];

    CHECK_EQ(id_make_pod(pod), 0);
    CHECK_EQ(id_make_pod(other), 0);
    CHECK(id_is_valid(pod) && id_is_valid(other));
    CHECK(strcmp(pod, other) != 0);
    CHECK_EQ(id_make_container(pod, container), 0);
    CHECK_EQ(id_make_container(pod, second), 0);
    CHECK(id_is_valid(container));
    CHECK(strcmp(container, second) != 0);
    CHECK(id_belongs(container, pod) && id_belongs(second, pod));
    CHECK(!id_belongs(container, other));
    CHECK(strncmp(container + ID_LENGTH - ID_POD_PREFIX, pod, ID_POD_PREFIX) == 0);
    CHECK_EQ(id_make_container("../x", container), -EINVAL);
}

TEST(every_digit_occurs)
{
    char pod[ID_SIZE];
    unsigned int seen = 0;

    for (int i = 0; i < 64; i++) {
        CHECK_EQ(id_make_pod(pod), 0);
        for (int j = 0; j < ID_LENGTH; j++)
            seen |= 1U << (pod[j] <= '9' ? pod[j] - '0' : pod[j] - 'a' + 10);
    }
    CHECK_EQ(seen, 0xffff);
}

TEST(validity)
{
    char text[ID_SIZE + 1];

    memset(text, 'a', sizeof(text));
    text[ID_LENGTH] = '\0';
    CHECK(id_is_valid(text) && id_is_prefix(text));
    text[ID_LENGTH] = 'a';
    text[ID_LENGTH + 1] = '\0';
    CHECK(!id_is_valid(text) && !id_is_prefix(text));
    text[ID_LENGTH - 1] = '\0';
    CHECK(!id_is_valid(text) && id_is_prefix(text));
    text[3] = 'A';
    CHECK(!id_is_prefix(text));
    text[3] = '/';
    CHECK(!id_is_prefix(text));
    text[3] = 'g';
    CHECK(!id_is_prefix(text));
    CHECK(!id_is_valid(NULL) && !id_is_prefix(NULL));
    CHECK(!id_is_valid("") && !id_is_prefix(""));
    CHECK(id_is_prefix("0") && !id_is_prefix("..") && !id_is_prefix("0\n"));
    CHECK(!id_belongs("0", "0"));
}

TEST_MAIN
