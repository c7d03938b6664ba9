/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static int make_digits(char *ret, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char random[ID_LENGTH];

    /* Requests of up to 256 bytes are never cut short once the pool is filled (random(7)). */
    if (getrandom(random, count, 0) != (ssize_t)count)
        return errno ? -errno : -EIO;
    for (size_t i = 0; i < count; i++)
        ret[i] = digits[random[i] & 0xf];
    return 0;
}

int id_make_pod(char ret[ID_SIZE])
{
    int r = make_digits(ret, ID_LENGTH);

    if (r < 0)
        return r;
    ret[ID_LENGTH] = '\0';
    return 0;
}

int id_make_container(const char *pod_id, char ret[ID_SIZE])
{
    int r;

    if (!id_is_valid(pod_id))
        return -EINVAL;
    r = make_digits(ret, ID_LENGTH - ID_POD_PREFIX);
    if (r < 0)
        return r;
    memcpy(ret + ID_LENGTH - ID_POD_PREFIX, pod_id, ID_POD_PREFIX);
    ret[ID_LENGTH] = '\0';
    return 0;
}

/* How many digits the text is made of; 0 if of anything else, or of more than an id has. */
static size_t count_digits(const char *text)
{
    size_t count = strspn(text, "0123456789abcdef");

    return text[count] || count > ID_LENGTH ? 0 : count;
}

bool id_is_valid(const char *id)
{
    return id && count_digits(id) == ID_LENGTH;
}

bool id_is_prefix(const char *text)
{
    return text && count_digits(text) > 0;
}

bool id_belongs(const char *container_id, const char *pod_id)
{
    return id_is_valid(container_id) && id_is_valid(pod_id) &&
           memcmp(container_id + ID_LENGTH - ID_POD_PREFIX, pod_id, ID_POD_PREFIX) == 0;
}
