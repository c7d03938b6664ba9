/* SPDX-License-Identifier: Apache-2.0 */
/* One image written as a tar that is an OCI image layout and an archive of docker load at once, as
 * docker save has made them since version 25. The same image gives the same bytes. */
#pragma once

#include "dispatcher/image/store.h"

/* To a descriptor that need not seek, with all names of the image. −ENOENT: no such image;
 * −EBADMSG: a blob on the disk is not what it was; what has been written by then is worth nothing.
 */
int image_save(const char *root_dir, ImageStore *store, const char *name, int fd, Failure *why);
