/* SPDX-License-Identifier: Apache-2.0 */
/* Images out of files: OCI image layouts (a directory, or a tar of it) and the archives that
 * `docker save` writes; tars may be compressed by gzip or zstd. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Told of every image, after all of them are in the store. The record is borrowed. */
typedef void ImageLoadReport(void *context, const Podmon__ImageRecord *record);

/* `tag`: the name for the only image of the file, in place of those it brings; NULL: its own.
 * All images of the file or none. Returns how many, or −errno. Needs root. */
int image_load(const char *root_dir, const char *path, const char *tag, ImageLoadReport *report,
               void *context, Failure *why);
