/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a layer's archive, unpacked into a directory of its own (in this process: what the
 * confinement would stop, a sanitizer is to see). Beside it lies a canary. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/image/layer.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const LayerLimits limits = {.bytes = 1 << 20, .entries = 100};
    char path[] = "/tmp/podmon-fuzz-unpack-XXXXXX";
    AUTO_CLOSE int dir_fd = -1, tree_fd = -1, archive_fd = fd_sealed_memory("fuzz", data, size);
    AUTO_CLOSE int parent_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    Digest diff_id;
    Failure why;

    if (archive_fd < 0 || lseek(archive_fd, 0, SEEK_SET) < 0 || !mkdtemp(path))
        return 0;
    layer_prepare();
    dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tree_fd = file_open_directory_at(dir_fd, "tree", 0755);
    if (tree_fd >= 0 && file_write_at(dir_fd, "canary", "alive", 5, 0640, FILE_SYNC_NO) == 0) {
        (void)layer_extract(archive_fd, tree_fd, &limits, NULL, &diff_id, &why);
        if (fstatat(dir_fd, "canary", &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_size != 5 ||
            status.st_nlink != 1 || (status.st_mode & 07777) != 0640)
            abort();
    }
    (void)file_delete_tree_at(parent_fd, path + sizeof("/tmp/") - 1);
    return 0;
}
