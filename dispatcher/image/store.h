/* SPDX-License-Identifier: Apache-2.0 */
/* The image store on disk, as its readers see it. One object, one file; nothing is visible before
 * it is whole; no database.
 *
 *   ROOT/images/records/<64 hex>          ImageRecord, named by the image id
 *   ROOT/images/blobs/sha256/<64 hex>     manifest, configuration, layer archives as they came
 *   ROOT/images/layers/<64 hex>/          unpacked, by chain id; in it tree/, and size, a record
 *   ROOT/images/staging/<random>/         what is being made; garbage if its maker is gone
 *   ROOT/images/partial/sha256:<hex>      of downloads that were cut: no blobs
 *   ROOT/images/lock, use                 held by whoever changes the store, or uses its layers
 *
 * An image exists if its record does. Removing an image removes the record first; blobs and layers
 * that no record names are garbage and go under the store's lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct ImageStore ImageStore;

int image_store_open(const char *root_dir, ImageStore **ret, Failure *why);
ImageStore *image_store_free(ImageStore *store);

/* Reads the records again if the directory has changed. Records stay valid until the next sync. */
void image_store_sync(ImageStore *store);
size_t image_store_count(const ImageStore *store);
const Podmon__ImageRecord *image_store_get(const ImageStore *store, size_t position);

/* Ids (without "sha256:") whose records cannot be read: no images, but they can be removed.
 * NULL-terminated, or NULL: none. Valid until the next sync. */
char *const *image_store_damaged(const ImageStore *store);

/* By tag, digest, image id ("sha256:…" or bare) or a unique prefix of the id of at least 12 digits;
 * names are normalised ("busybox" is "docker.io/library/busybox:latest"). −ENOENT; −EINVAL: not a
 * reference. */
int image_store_find(const ImageStore *store, const char *name, const Podmon__ImageRecord **ret);

/* Absolute path of a layer's tree; PATH_MAX bytes. */
int image_store_layer_path(const ImageStore *store, const char *chain_id, char *ret);

/* Between looking an image up and having its layers mounted: no garbage is collected while the
 * returned descriptor is open, by whatever process. fd or −EBUSY. */
int image_store_hold(const ImageStore *store);

/* The other side: no layers are about to be mounted, and none will be while the returned descriptor
 * is open. fd or −EBUSY. */
int image_store_hold_sweep(const ImageStore *store);

/* Removes the image with all its names, at once; what nobody needs any more then goes in a process
 * in the background. Layers in use by a container stay until a later call: `layers_in_use`, paths
 * as in ContainerSpec.layers, NULL-terminated or NULL, looked up while `sweep_fd`
 * (image_store_hold_sweep; borrowed) was held; with −1 nothing but the image goes now. Needs no
 * free space. Absent: 0. */
int image_store_remove(ImageStore *store, const char *image_id, int sweep_fd,
                       char *const *layers_in_use, Failure *why);

/* What the store occupies: the sum of the sizes noted when layers and blobs were stored, reckoned
 * anew when some came or went. */
int image_store_usage(ImageStore *store, uint64_t *ret_bytes, uint64_t *ret_inodes);
const char *image_store_path(const ImageStore *store);
