/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podmon/stream/control.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/number.h"

#define VARIABLE "PODMON_HANDOVER"

enum { SIZE_MAX_BYTES = 64 * 1024 * 1024 };

static void for_all_descriptors(const Podmon__Handover *handover, void (*act)(int fd))
{
    for (size_t i = 0; i < handover->n_sessions; i++) {
        const Podmon__CarriedSession *session = handover->sessions[i];
        const int fds[] = {session->control_fd, session->output_fd, session->error_fd};

        for (size_t j = 0; j < sizeof(fds) / sizeof(*fds); j++)
            if (fds[j] >= 0)
                act(fds[j]);
    }
}

/* All three fail only for a descriptor that is not open, which its session notices. */
static void leave_open(int fd)
{
    (void)fcntl(fd, F_SETFD, 0);
}

static void keep_here(int fd)
{
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void close_one(int fd)
{
    (void)close(fd);
}

int handover_give(const Podmon__Handover *handover)
{
    size_t size = podmon__handover__get_packed_size(handover);
    AUTO_FREE uint8_t *data = malloc(size + 1);
    AUTO_CLOSE int fd = -1;
    char number[16];

    if (!data)
        return -ENOMEM;
    (void)podmon__handover__pack(handover, data);
    fd = fd_sealed_memory("podmon-handover", data, size);
    if (fd < 0)
        return fd;
    (void)snprintf(number, sizeof(number), "%d", fd);
    if (setenv(VARIABLE, number, 1) < 0)
        return -errno;
    (void)fcntl(fd, F_SETFD, 0);
    for_all_descriptors(handover, leave_open);
    return take_fd(&fd);
}

void handover_take_back(const Podmon__Handover *handover, int fd)
{
    (void)unsetenv(VARIABLE);
    for_all_descriptors(handover, keep_here);
    fd_close(&fd);
}

static int read_message(int fd, Podmon__Handover **ret)
{
    AUTO_FREE uint8_t *data = NULL;
    Podmon__Handover *handover;
    struct stat status;
    ssize_t size;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size > SIZE_MAX_BYTES)
        return -EMSGSIZE;
    data = malloc((size_t)status.st_size + 1);
    if (!data)
        return -ENOMEM;
    size = pread(fd, data, (size_t)status.st_size, 0);
    if (size != status.st_size)
        return -EIO;
    handover = podmon__handover__unpack(NULL, (size_t)size, data);
    if (!handover)
        return -EBADMSG;
    *ret = handover;
    return 0;
}

int handover_take(Podmon__Handover **ret)
{
    const char *number = getenv(VARIABLE);
    Podmon__Handover *handover = NULL;
    AUTO_CLOSE int fd = -1;
    uint64_t value = 0;
    int r;

    if (!number)
        return 0;
    r = number_parse_unsigned(number, INT32_MAX, &value);
    (void)unsetenv(VARIABLE);
    if (r < 0)
        return r;
    fd = (int)value;
    r = read_message(fd, &handover);
    if (r < 0)
        return r;
    if (handover->control_version != CONTROL_VERSION) {
        for_all_descriptors(handover, close_one);
        podmon__handover__free_unpacked(handover, NULL);
        return -EPROTO;
    }
    for_all_descriptors(handover, keep_here);
    *ret = handover;
    return 1;
}

bool handover_has_process(const Podmon__Handover *handover, pid_t pid)
{
    for (size_t i = 0; handover && i < handover->n_sessions; i++)
        if (handover->sessions[i]->pid == pid || handover->sessions[i]->command_pid == pid)
            return true;
    return false;
}

bool handover_has_command(const Podmon__Handover *handover, uint32_t number)
{
    for (size_t i = 0; handover && i < handover->n_sessions; i++)
        if (handover->sessions[i]->command_pid > 0 &&
            handover->sessions[i]->command_number == number)
            return true;
    return false;
}
