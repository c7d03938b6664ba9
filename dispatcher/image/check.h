/* SPDX-License-Identifier: Apache-2.0 */
/* Is the store what it says it is? Every blob is hashed again; of every layer its record and the
 * number of its inodes are looked at. Takes as long as reading everything does. */
#pragma once

#include "dispatcher/image/store.h"

/* Something is wrong with this image (`id` "sha256:…", `name` one of its names or ""). */
typedef void ImageCheckReport(void *data, const char *id, const char *name, const char *problem);

typedef struct CheckCount {
    size_t images, damaged, blobs, layers;
} CheckCount;

/* −errno if the store cannot be read at all; damage is what is reported. */
int image_check(const char *root_dir, ImageStore *store, ImageCheckReport *report, void *data,
                CheckCount *ret, Failure *why);
