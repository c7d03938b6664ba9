/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing images into the store: all or nothing. Blobs and layers are gathered in a directory of
 * their own below staging/, and move to their places, under the store's lock, when everything is
 * right and on the disk; the records come last. A commit whose process is gone is garbage. */
#pragma once

#include "dispatcher/image/digest.h"
#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct ImageCommit ImageCommit;

int image_commit_new(const char *root_dir, ImageCommit **ret, Failure *why);

/* Deletes what was not published. Accepts NULL. */
ImageCommit *image_commit_free(ImageCommit *commit);

/* Where blobs go (dispatcher/image/blob); borrowed. */
int image_commit_blobs_fd(const ImageCommit *commit);

/* The commit's own directory, for files its maker needs meanwhile; borrowed. */
int image_commit_dir_fd(const ImageCommit *commit);

/* Is the blob here already, in the store, or in another commit under way? 1: the commit has it now,
 * 0: no, or −errno. */
int image_commit_has_blob(ImageCommit *commit, const Digest *digest);

/* Who gets 1 may fetch the blob, until the commit is freed or gives it back; 0: another commit is
 * about it, ask again later whether the blob is there. −errno. */
int image_commit_claim_blob(ImageCommit *commit, const Digest *digest);
void image_commit_unclaim_blob(ImageCommit *commit, const Digest *digest);

/* The image of a manifest whose blobs (itself, configuration, layers) the commit has: reads and
 * checks them and unpacks the layers that the store has not. The names are normalised:
 * "registry/repository:tag" and "registry/repository@sha256:…"; NULL: none. *ret is the record,
 * borrowed until the commit is freed. */
int image_commit_add(ImageCommit *commit, const Digest *manifest, char *const *tags,
                     char *const *digests, const Podmon__ImageRecord **ret, Failure *why);

/* Makes everything added visible. Names that other images had are taken from them. −EAGAIN: a
 * layer that the store had was removed meanwhile; −EBUSY: the store is locked for too long. */
int image_commit_publish(ImageCommit *commit, Failure *why);

static inline void image_commit_cleanup(ImageCommit **commit)
{
    image_commit_free(*commit);
}
