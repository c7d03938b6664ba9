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

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"

#define APPARMOR_ENABLED "/sys/module/apparmor/parameters/enabled"
#define APPARMOR_DEFAULT "podmon-default" /* units/podmon-default.apparmor */
#define APPARMOR_PROFILES "/sys/kernel/security/apparmor/profiles"

enum { PROFILES_MAX = 4 * 1024 * 1024 };

static bool apparmor_is_on(void)
{
    AUTO_FREE char *text = NULL;

    return file_read_virtual_at(AT_FDCWD, APPARMOR_ENABLED, 16, &text, NULL) >= 0 && *text == 'Y';
}

/* The kernel lists "name (mode)", one a line. */
static bool apparmor_has(const char *profile)
{
    AUTO_FREE char *text = NULL;
    size_t length = strlen(profile);

    if (file_read_virtual_at(AT_FDCWD, APPARMOR_PROFILES, PROFILES_MAX, &text, NULL) < 0)
        return false;
    for (const char *line = text; *line;) {
        if (strncmp(line, profile, length) == 0 && text_starts_with(line + length, " ("))
            return true;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return false;
}

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

static int prepare_selinux(const Podmon__SelinuxLabel *label, LsmPlan *ret, Failure *why)
{
    char text[LSM_LABEL_MAX];
    int length =
        snprintf(text, sizeof(text), "%s:%s:%s:%s", *label->user ? label->user : "system_u",
                 *label->role ? label->role : "system_r",
                 *label->type ? label->type : "container_t", *label->level ? label->level : "s0");

    if (length >= LSM_LABEL_MAX || !text_is_printable(text))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "SELinux label \"%.300s\" is no label",
                           text);
    if (access("/sys/fs/selinux/enforce", F_OK) < 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "SELinux label \"%s\": this kernel runs without SELinux", text);
    ret->attribute = "/proc/thread-self/attr/exec";
    memcpy(ret->label, text, (size_t)length + 1);
    return 0;
}

static bool label_is_asked(const Podmon__SelinuxLabel *label)
{
    return label && (*label->user || *label->role || *label->type || *label->level);
}

int lsm_prepare(const Podmon__SecurityPlan *security, LsmPlan *ret, Failure *why)
{
    *ret = (LsmPlan){0};
    if (!security || security->privileged)
        return 0;
    if (security->apparmor == PODMON__PROFILE_KIND__PROFILE_LOCALHOST)
        return prepare_apparmor(security->apparmor_profile, ret, why);
    /* Nobody asked for it by name, so a node that has not loaded it does without. */
    if (security->apparmor == PODMON__PROFILE_KIND__PROFILE_DEFAULT && apparmor_is_on() &&
        apparmor_has(APPARMOR_DEFAULT))
        return prepare_apparmor(APPARMOR_DEFAULT, ret, why);
    if (label_is_asked(security->selinux))
        return prepare_selinux(security->selinux, ret, why);
    return 0;
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
