/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images as people write them: "busybox", "quay.io/a/b:1", "name@sha256:…", both. What is
 * left out is filled in as Docker does: docker.io, library/, latest. Pure. */
#pragma once

#include "dispatcher/image/digest.h"
#include "shared/failure.h"

enum {
    IMAGE_REFERENCE_NAME_MAX = 255, /* registry and repository together, normalised */
    IMAGE_REFERENCE_TAG_MAX = 128,
    /* Of any form that is printed, with its NUL. */
    IMAGE_REFERENCE_SIZE = 2 * (IMAGE_REFERENCE_NAME_MAX + 16) + DIGEST_TEXT_SIZE,
};

/* Plain data. Without a tag in the text `tag` is "latest", or empty when there is a digest. */
typedef struct ImageReference {
    char registry[IMAGE_REFERENCE_NAME_MAX + 1];   /* "docker.io", "localhost:5000" */
    char repository[IMAGE_REFERENCE_NAME_MAX + 9]; /* "library/busybox" */
    char tag[IMAGE_REFERENCE_TAG_MAX + 1];
    char digest[DIGEST_TEXT_SIZE]; /* empty: none */
} ImageReference;

/* −EINVAL, and `why` names the part that is wrong. */
int image_reference_parse(const char *text, ImageReference *ret, Failure *why);

/* "docker.io/library/busybox:latest"; without the tag if there is none. */
void image_reference_print_tag(const ImageReference *reference, char ret[IMAGE_REFERENCE_SIZE]);

/* "docker.io/library/busybox@sha256:…" with this digest ("sha256:…"). */
void image_reference_print_digest(const ImageReference *reference, const char *digest,
                                  char ret[IMAGE_REFERENCE_SIZE]);
