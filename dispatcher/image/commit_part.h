/* SPDX-License-Identifier: Apache-2.0 */
/* What a commit is made of, for the files that make it: commit, layer_job, publish. */
#pragma once

#include "dispatcher/image/commit.h"
#include "dispatcher/image/place.h"

enum {
    COMMIT_LOCK_WAIT_MS = 60 * 1000,
    COMMIT_NAME_DIGITS = 16,
};

struct ImageCommit {
    ImagePlace place;
    char name[COMMIT_NAME_DIGITS + 1]; /* below staging/ */
    int dir_fd;                        /* of it; locked (flock) for as long as the commit lives */
    int blobs_fd, layers_fd;           /* blobs/ and layers/ in it */
    int claims_fd; /* the file whose bytes are locked for downloads; −1: none yet */
    Podmon__ImageRecord **records;
    size_t records_count;
};
