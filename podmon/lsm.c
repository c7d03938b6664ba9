/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/lsm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "podmon/labels.h"
#include "shared/apparmor.h"
#include "shared/cleanup.h"
#include "shared/text.h"

static int prepare_apparmor(const char *profile, LsmPlan *ret, Failure *why)
{
    if (!*profile || strlen(profile) > 255 || !text_is_printable(profile))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "AppArmor profile \"%.300s\" is no name",
                           profile);
    if (!apparmor_is_on())
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "AppArmor profile \"%s\": this kernel runs without AppArmor", profile);
    if (!apparmor_has(profile))
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "AppArmor profile \"%s\" is not loaded", profile);
    ret->attribute = "/proc/thread-self/attr/apparmor/exec";
    (void)snprintf(ret->label, sizeof(ret->label), "exec %s", profile);
    return 0;
}

static int prepare_apparmor_of(const Podmon__SecurityPlan *security, LsmPlan *ret, Failure *why)
{
    if (security->apparmor == PODMON__PROFILE_KIND__PROFILE_LOCALHOST)
        return prepare_apparmor(security->apparmor_profile, ret, why);
    /* Nobody asked for it by name, so a node that has not loaded it does without. */
    if (security->apparmor == PODMON__PROFILE_KIND__PROFILE_DEFAULT && apparmor_is_on() &&
        apparmor_has(APPARMOR_DEFAULT))
        return prepare_apparmor(APPARMOR_DEFAULT, ret, why);
    return 0;
}

/* A kernel runs with one of the two at most. */
int lsm_prepare(const Podmon__PodSpec *pod, const Podmon__SecurityPlan *security, LsmPlan *ret,
                Failure *why)
{
    Labels labels;
    int r = labels_of(pod, security, &labels, why);

    *ret = (LsmPlan){0};
    if (r < 0)
        return r;
    if (*labels.process) {
        ret->attribute = "/proc/thread-self/attr/exec";
        memcpy(ret->label, labels.process, sizeof(labels.process));
    }
    return security && !security->privileged ? prepare_apparmor_of(security, ret, why) : 0;
}

int lsm_open(const LsmPlan *plan, int *ret_fd)
{
    AUTO_CLOSE int fd = -1;
    struct statfs status;

    *ret_fd = -1;
    if (!plan->attribute)
        return 0;
    fd = open(plan->attribute, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstatfs(fd, &status) < 0)
        return -errno;
    if (status.f_type != PROC_SUPER_MAGIC)
        return -EBADF;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* AppArmor is told "exec NAME" and says "NAME (mode)"; SELinux says what it was told, and a NUL. */
static bool label_is_set(const LsmPlan *plan, int fd)
{
    static const char verb[] = "exec ";
    const char *label = plan->label;
    char found[LSM_LABEL_MAX + 32] = "";
    size_t length;

    if (text_starts_with(label, verb))
        label += strlen(verb);
    length = strlen(label);
    return pread(fd, found, sizeof(found) - 1, 0) >= (ssize_t)length &&
           memcmp(found, label, length) == 0 &&
           (found[length] == '\0' || found[length] == '\n' || found[length] == ' ');
}

int lsm_apply(const LsmPlan *plan, int fd)
{
    size_t length = strlen(plan->label);
    ssize_t written;

    if (!plan->attribute)
        return 0;
    written = write(fd, plan->label, length);
    if (written < 0)
        return -errno;
    return (size_t)written == length && label_is_set(plan, fd) ? 0 : -EIO;
}
