/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/reference.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char lower_or_digit[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char digits[] = "0123456789";
static const char alphanumeric[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char tag_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

/* One component of a repository: runs of [a-z0-9] joined by ".", "_", "__" or any number of "-". */
static bool component_is_valid(const char *text, size_t length)
{
    size_t at = 0;

    for (;;) {
        size_t run = strspn(text + at, lower_or_digit), joint;

        if (run == 0 || at + run > length)
            return false;
        at += run;
        if (at == length)
            return true;
        joint = strspn(text + at, "-");
        if (joint == 0)
            joint = strncmp(text + at, "__", 2) == 0 ? 2 : text[at] == '.' || text[at] == '_';
        if (joint == 0)
            return false;
        at += joint;
    }
}

static bool repository_is_valid(const char *text)
{
    for (;;) {
        size_t length = strcspn(text, "/");

        if (!component_is_valid(text, length))
            return false;
        if (!text[length])
            return true;
        text += length + 1;
    }
}

/* Labels of letters, digits and inner hyphens joined by dots, or an address in brackets. */
static bool host_is_valid(const char *host, size_t length)
{
    if (length > 2 && host[0] == '[' && host[length - 1] == ']')
        return strspn(host + 1, "0123456789abcdefABCDEF:") == length - 2;

    for (size_t at = 0;;) {
        size_t run = strspn(host + at, alphanumeric);

        if (run == 0)
            return false;
        at += run;
        if (at >= length)
            return at == length;
        if (host[at] == '-')
            at += strspn(host + at, "-");
        else if (host[at] == '.')
            at++;
        else
            return false;
    }
}

static bool registry_is_valid(const char *registry)
{
    const char *bracket = strrchr(registry, ']'), *colon = strrchr(registry, ':');
    size_t length = strlen(registry);

    if (colon && (!bracket || colon > bracket)) {
        size_t port = strlen(colon + 1);

        if (port == 0 || port > 5 || strspn(colon + 1, digits) != port)
            return false;
        length = (size_t)(colon - registry);
    }
    return host_is_valid(registry, length);
}

/* Docker's rule for what tells a registry from the first part of a repository. */
static bool is_registry(const char *text, size_t length)
{
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return strcspn(text, ".:") < length || strcspn(text, upper) < length ||
           (length == 9 && strncmp(text, "localhost", 9) == 0);
}

static int split_name(const char *name, ImageReference *ret, Failure *why)
{
    size_t first = strcspn(name, "/");
    bool named = name[first] == '/' && is_registry(name, first);
    const char *repository = named ? name + first + 1 : name;

    if (named)
        (void)snprintf(ret->registry, sizeof(ret->registry), "%.*s", (int)first, name);
    if (!named || strcmp(ret->registry, "index.docker.io") == 0)
        (void)snprintf(ret->registry, sizeof(ret->registry), "docker.io");
    if (!registry_is_valid(ret->registry))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "image name \"%s\": \"%s\" is no registry's host and port", name,
                           ret->registry);
    if (!repository_is_valid(repository))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "image name \"%s\": \"%s\" is no repository: lower-case letters and "
                           "digits, joined by '.', '_' or '-', between slashes",
                           name, repository);
    (void)snprintf(ret->repository, sizeof(ret->repository), "%s%s",
                   strcmp(ret->registry, "docker.io") == 0 && !strchr(repository, '/') ? "library/"
                                                                                       : "",
                   repository);
    return 0;
}

int image_reference_parse(const char *text, ImageReference *ret, Failure *why)
{
    ImageReference reference = {0};
    char name[IMAGE_REFERENCE_NAME_MAX + IMAGE_REFERENCE_TAG_MAX + 2];
    const char *at = strchr(text, '@');
    size_t length = at ? (size_t)(at - text) : strlen(text);
    char *slash, *colon;
    Digest digest;
    int r;

    if (length == 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "image name \"%.300s\" is empty", text);
    if (length >= sizeof(name))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "image name \"%.64s…\" is too long",
                           text);
    if (at) {
        if (digest_parse(at + 1, &digest) < 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "image name \"%.300s\": \"%.200s\" is no digest (sha256: and 64 "
                               "lower-case hexadecimal digits)",
                               text, at + 1);
        digest_print(&digest, reference.digest);
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)length, text);

    slash = strrchr(name, '/');
    colon = strchr(slash ? slash : name, ':');
    if (colon) {
        size_t tag = strlen(colon + 1);

        if (tag == 0 || tag > IMAGE_REFERENCE_TAG_MAX || strspn(colon + 1, tag_bytes) != tag ||
            colon[1] == '.' || colon[1] == '-')
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "image name \"%s\": \"%s\" is no tag (letters, digits, '_', '.', "
                               "'-', at most 128)",
                               name, colon + 1);
        (void)snprintf(reference.tag, sizeof(reference.tag), "%.*s", IMAGE_REFERENCE_TAG_MAX,
                       colon + 1);
        *colon = 0;
    } else if (!at) {
        (void)snprintf(reference.tag, sizeof(reference.tag), "latest");
    }
    if (strlen(name) > IMAGE_REFERENCE_NAME_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "image name \"%.64s…\" is too long",
                           name);

    r = split_name(name, &reference, why);
    if (r < 0)
        return r;
    if (strlen(reference.registry) + 1 + strlen(reference.repository) > IMAGE_REFERENCE_NAME_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "image name \"%.64s…\" is too long",
                           name);
    *ret = reference;
    return 0;
}

void image_reference_print_tag(const ImageReference *reference, char ret[IMAGE_REFERENCE_SIZE])
{
    (void)snprintf(ret, IMAGE_REFERENCE_SIZE, "%s/%s%s%s", reference->registry,
                   reference->repository, reference->tag[0] ? ":" : "", reference->tag);
}

void image_reference_print_digest(const ImageReference *reference, const char *digest,
                                  char ret[IMAGE_REFERENCE_SIZE])
{
    (void)snprintf(ret, IMAGE_REFERENCE_SIZE, "%s/%s@%s", reference->registry,
                   reference->repository, digest);
}
