/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "podmon/seccomp_default.h"
#include "podmon/seccomp_json.h"
#include "podmon/seccomp_profile.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

/* The library only writes to a descriptor. */
static int export_filter(scmp_filter_ctx context, SeccompFilter *ret)
{
    AUTO_CLOSE int fd = memfd_create("seccomp", MFD_CLOEXEC);
    AUTO_FREE void *instructions = NULL;
    struct stat status;
    ssize_t size;
    int r;

    if (fd < 0)
        return -errno;
    r = seccomp_export_bpf(context, fd);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    if (status.st_size <= 0 || status.st_size / (off_t)sizeof(struct sock_filter) > BPF_MAXINSNS)
        return -E2BIG;
    instructions = malloc((size_t)status.st_size);
    if (!instructions)
        return -ENOMEM;
    size = fd_read_all(fd, instructions, (size_t)status.st_size);
    if (size != status.st_size)
        return -EIO;
    ret->count = (uint16_t)((size_t)size / sizeof(struct sock_filter));
    ret->instructions = TAKE(instructions);
    return 0;
}

static void context_release(scmp_filter_ctx *context)
{
    seccomp_release(*context);
}

static int add_rule(scmp_filter_ctx context, const SeccompProfile *profile, const SeccompRule *rule)
{
    int number = seccomp_syscall_resolve_name(rule->name);
    int r;

    /* A call that this machine or library does not know needs no rule; one that says what holds
     * for all is refused by the library. */
    if (number == __NR_SCMP_ERROR || rule->action == profile->default_action)
        return 0;
    r = seccomp_rule_add_array(context, rule->action, number, rule->arguments_count,
                               rule->arguments);
    return r == -EDOM || r == -EEXIST ? 0 : r;
}

static int compile(const SeccompProfile *profile, SeccompFilter *ret)
{
    CLEANUP(context_release) scmp_filter_ctx context = seccomp_init(profile->default_action);
    int r;

    if (!context)
        return -ENOMEM;
    /* A tree, because every system call of the container goes through it. */
    r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; r >= 0 && i < profile->architectures_count; i++) {
        r = seccomp_arch_add(context, profile->architectures[i]);
        if (r == -EEXIST)
            r = 0;
    }
    for (size_t i = 0; r >= 0 && i < profile->rules_count; i++)
        r = add_rule(context, profile, &profile->rules[i]);
    return r < 0 ? r : export_filter(context, ret);
}

static int compile_default(uint64_t capabilities, SeccompFilter *ret)
{
    struct sock_filter *instructions;
    size_t count;
    int r = seccomp_default(capabilities, &instructions, &count);

    if (r >= 0)
        *ret = (SeccompFilter){instructions, (uint16_t)count};
    return r;
}

static int compile_json(const ProtobufCBinaryData *text, uint64_t capabilities, SeccompFilter *ret,
                        Failure *why)
{
    CLEANUP(seccomp_profile_done) SeccompProfile profile = {0};
    SeccompMachine machine = {.capabilities = capabilities};
    struct utsname names;
    char *rest = NULL;
    int r;

    if (uname(&names) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot read the kernel's version");
    machine.kernel_major = (unsigned)strtoul(names.release, &rest, 10);
    machine.kernel_minor = *rest == '.' ? (unsigned)strtoul(rest + 1, NULL, 10) : 0;
    r = seccomp_json_parse((const char *)text->data, text->len, &machine, &profile, why);
    if (r < 0)
        return r;
    r = compile(&profile, ret);
    return r < 0 ? failure_set(why, FAILURE_INVALID_ARGUMENT, -r,
                               "seccomp profile: cannot be compiled")
                 : 0;
}

static int copy_filter(const SeccompFilter *filter, SeccompFilter *ret)
{
    size_t size = filter->count * sizeof(struct sock_filter);
    void *instructions = malloc(size > 0 ? size : 1);

    if (!instructions)
        return -ENOMEM;
    memcpy(instructions, filter->instructions, size);
    *ret = (SeccompFilter){instructions, filter->count};
    return 0;
}

/* Compiling takes longer than all the rest of an exec, and the containers of a pod mostly have the
 * same profile: so the last filter is kept, with what it was made from. */
typedef struct Cache {
    SeccompFilter filter;
    uint64_t capabilities;
    void *text; /* of a profile of the node's; NULL: the default one */
    size_t size;
} Cache;

static bool cache_has(const Cache *cache, uint64_t capabilities, const ProtobufCBinaryData *text)
{
    return cache->filter.instructions && cache->capabilities == capabilities &&
           (cache->text != NULL) == (text != NULL) &&
           (!text || (cache->size == text->len && memcmp(cache->text, text->data, text->len) == 0));
}

static int cache_keep(Cache *cache, const SeccompFilter *filter, uint64_t capabilities,
                      const ProtobufCBinaryData *text)
{
    Cache fresh = {.capabilities = capabilities};

    if (text) {
        fresh.text = malloc(text->len);
        if (!fresh.text)
            return -ENOMEM;
        memcpy(fresh.text, text->data, text->len);
        fresh.size = text->len;
    }
    fresh.filter = *filter;
    seccomp_done(&cache->filter);
    free(cache->text);
    *cache = fresh;
    return 0;
}

/* `text` is NULL for the default profile. */
static int get_filter(uint64_t capabilities, const ProtobufCBinaryData *text, SeccompFilter *ret,
                      Failure *why)
{
    static Cache cache;
    SeccompFilter filter = {0};
    int r;

    if (!cache_has(&cache, capabilities, text)) {
        r = text ? compile_json(text, capabilities, &filter, why)
                 : compile_default(capabilities, &filter);
        if (r < 0 && text)
            return r;
        if (r >= 0)
            r = cache_keep(&cache, &filter, capabilities, text);
        if (r < 0) {
            seccomp_done(&filter);
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot compile the seccomp profile");
        }
    }
    r = copy_filter(&cache.filter, ret);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot copy the seccomp filter") : 0;
}

int seccomp_prepare(const Podmon__SecurityPlan *security, uint64_t capabilities, SeccompFilter *ret,
                    Failure *why)
{
    bool localhost;

    *ret = (SeccompFilter){0};
    if (!security || security->privileged ||
        security->seccomp == PODMON__PROFILE_KIND__PROFILE_UNCONFINED)
        return 0;
    localhost = security->seccomp == PODMON__PROFILE_KIND__PROFILE_LOCALHOST;
    return get_filter(capabilities, localhost ? &security->seccomp_profile : NULL, ret, why);
}

void seccomp_done(SeccompFilter *filter)
{
    free(filter->instructions);
    *filter = (SeccompFilter){0};
}

int seccomp_apply(const SeccompFilter *filter)
{
    struct sock_fprog program = {filter->count, filter->instructions};

    if (!filter->instructions)
        return 0;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
