/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes: OCI image-spec 1.x and Docker's schema 2. Pure; bytes in, data out. A
 * document that could be read as either kind is refused, whatever its media type says. */
#pragma once

#include "dispatcher/image/digest.h"
#include "podmon.pb-c.h"
#include "shared/failure.h"

enum {
    MANIFEST_SIZE_MAX = 4 * 1024 * 1024,
    MANIFEST_ENTRIES_MAX = 1024, /* layers of a manifest, manifests of an index */
    MANIFEST_NESTING_MAX = 4,    /* indexes of indexes; for whoever follows them */
};

/* Strings are never NULL; empty: not given. */
typedef struct ImagePlatform {
    char *os;
    char *architecture;
    char *variant;
} ImagePlatform;

typedef struct ImageDescriptor {
    Digest digest;
    uint64_t size;
    char *media_type;
    ImagePlatform platform; /* in an index */
    char *name;             /* annotation io.containerd.image.name */
    char *reference;        /* annotation org.opencontainers.image.ref.name */
} ImageDescriptor;

typedef struct Manifest {
    bool is_index;
    ImageDescriptor config;   /* of a manifest */
    ImageDescriptor *entries; /* layers, lowest first; or the index's manifests */
    size_t entries_count;
    Podmon__Pair **annotations;
    size_t annotations_count;
} Manifest;

/* −EINVAL, −EFBIG, −ENOMEM. `data` is terminated. */
int manifest_parse(const char *data, size_t size, Manifest *ret, Failure *why);
void manifest_done(Manifest *manifest);

/* Is this a layer archive that can be unpacked? Others are refused by name. */
bool manifest_layer_is_known(const char *media_type);

/* Does a program for this platform run on this machine? "" fits. */
bool image_platform_fits(const char *os, const char *architecture);

/* The entry of an index for this machine; the best variant, the first of equals.
 * −ENOENT: none. */
int manifest_choose(const Manifest *index, size_t *ret, Failure *why);
