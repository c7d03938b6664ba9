/* SPDX-License-Identifier: Apache-2.0 */
/* Is the store what it says it is? Every blob is hashed again, and every layer unpacked again from
 * its blob, in a place of its own, and compared with what lies in the store. Takes as long as
 * loading everything does, and for a while the room of the largest layer. */
#pragma once

#include "dispatcher/image/store.h"

/* Something is wrong with this image (`id` "sha256:…", `name` one of its names or ""). */
typedef void ImageCheckReport(void *data, const char *id, const char *name, const char *problem);

typedef struct CheckCount {
    size_t images, damaged, blobs, layers;
} CheckCount;

/* −errno if the store cannot be read at all or there is no room; damage is what is reported. */
int image_check(const char *root_dir, ImageStore *store, ImageCheckReport *report, void *data,
                CheckCount *ret, Failure *why);
