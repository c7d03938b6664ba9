/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of an image: what a container made of it starts from. Pure. */
#pragma once

#include "dispatcher/image/digest.h"
#include "podmon.pb-c.h"
#include "shared/failure.h"

enum {
    IMAGE_CONFIG_SIZE_MAX = 8 * 1024 * 1024,
    IMAGE_LAYERS_MAX = 500, /* what one overlay mount takes */
};

typedef struct ImageConfig {
    Podmon__ImageRecord *record; /* env, entrypoint, command, working_dir, user, stop_signal,
                                    volumes, labels, layers; the rest as initialised */
    Digest *diff_ids;            /* lowest first, sha256 all */
    size_t diff_ids_count;
} ImageConfig;

/* −EINVAL; an image for another system or architecture is refused by name. `data` is
 * terminated. */
int image_config_parse(const char *data, size_t size, ImageConfig *ret, Failure *why);
void image_config_done(ImageConfig *config);
