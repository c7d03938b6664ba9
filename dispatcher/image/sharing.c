/* SPDX-License-Identifier: Apache-2.0 */
/* What commits under way share: blobs, and the turn to fetch one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/image/commit_part.h"
#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

/* A second name of the same file keeps it, whatever garbage collection does to the first. */
static int link_blob(int from_fd, const char *from, int to_fd, const char *hex)
{
    if (linkat(from_fd, from, to_fd, hex, 0) == 0 || errno == EEXIST)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

/* Blobs have their names only once they are checked, in whosever directory. */
static int take_from_others(ImageCommit *commit, const Digest *digest, int to_fd, const char *hex)
{
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r = image_names_list(commit->place.staging_fd, &names);

    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        char path[NAME_MAX + DIGEST_TEXT_SIZE + 16];

        if (strcmp(names[i], commit->name) == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/blobs/%s/%s", names[i],
                       digest_algorithm_name(digest->algorithm), hex);
        r = link_blob(commit->place.staging_fd, path, to_fd, hex);
        /* What is no directory of a maker has no blobs. */
        if (r == -ENOTDIR)
            r = 0;
    }
    return r;
}

int image_commit_has_blob(ImageCommit *commit, const Digest *digest)
{
    AUTO_CLOSE int from_fd = -1, to_fd = -1;
    char hex[DIGEST_HEX_SIZE];
    int r;

    digest_print_hex(digest, hex);
    to_fd = image_place_open_blobs(commit->blobs_fd, digest->algorithm);
    if (to_fd < 0)
        return to_fd;
    if (faccessat(to_fd, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    from_fd = image_place_open_blobs(commit->place.blobs_fd, digest->algorithm);
    if (from_fd < 0)
        return from_fd;
    r = link_blob(from_fd, hex, to_fd, hex);
    if (r == 0)
        r = take_from_others(commit, digest, to_fd, hex);
    /* Published and gone from the other's directory between the two looks. */
    return r == 0 ? link_blob(from_fd, hex, to_fd, hex) : r;
}

/* A byte of one file stands for a digest; the lock (fcntl(2), F_OFD_SETLK) falls with its holder.
 * Two digests with the same byte only wait for each other. */
static int lock_byte(ImageCommit *commit, const Digest *digest, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
    uint64_t offset;

    if (commit->claims_fd < 0) {
        commit->claims_fd = openat(commit->place.root_fd, "claims",
                                   O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (commit->claims_fd < 0)
            return -errno;
    }
    memcpy(&offset, digest->bytes, sizeof(offset));
    lock.l_start = (off_t)(offset >> 2);
    if (fcntl(commit->claims_fd, F_OFD_SETLK, &lock) == 0)
        return 1;
    return errno == EAGAIN || errno == EACCES ? 0 : -errno;
}

int image_commit_claim_blob(ImageCommit *commit, const Digest *digest)
{
    return lock_byte(commit, digest, F_WRLCK);
}

void image_commit_unclaim_blob(ImageCommit *commit, const Digest *digest)
{
    (void)lock_byte(commit, digest, F_UNLCK);
}
