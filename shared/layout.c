/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"

int layout_lock_pod(int pod_dir_fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    AUTO_CLOSE int fd = -1;

    fd = openat(pod_dir_fd, LAYOUT_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
        return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
    return take_fd(&fd);
}

int layout_pod_is_alive(int pod_dir_fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    AUTO_CLOSE int fd = openat(pod_dir_fd, LAYOUT_LOCK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fcntl(fd, F_OFD_GETLK, &whole) < 0)
        return -errno;
    return whole.l_type == F_UNLCK ? 0 : 1;
}

int layout_read_boot_id(char ret[LAYOUT_BOOT_ID_SIZE])
{
    AUTO_FREE char *text = NULL;
    size_t size = 0;
    int r;

    r = file_read_virtual_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", LAYOUT_BOOT_ID_SIZE,
                             &text, &size);
    if (r < 0)
        return r;
    if (strcspn(text, "\n") != LAYOUT_BOOT_ID_SIZE - 1)
        return -EBADMSG;
    memcpy(ret, text, LAYOUT_BOOT_ID_SIZE - 1);
    ret[LAYOUT_BOOT_ID_SIZE - 1] = '\0';
    return 0;
}
