/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/device_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/cgroup_tree.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "test/unit/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the program says, by walking it as the kernel does. −1: an instruction that it should not
 * have. */
static int ask(const struct bpf_insn *instructions, size_t count, uint32_t type, uint32_t access,
               uint32_t major, uint32_t minor)
{
    const struct bpf_cgroup_dev_ctx context = {access << 16 | type, major, minor};
    uint64_t registers[11] = {0};

    for (size_t i = 0; i < count; i++) {
        const struct bpf_insn *now = &instructions[i];
        uint64_t *to = &registers[now->dst_reg];
        uint64_t value = now->code & BPF_X ? registers[now->src_reg] : (uint64_t)(int64_t)now->imm;

        switch (now->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            *to = *(const uint32_t *)(const void *)((const char *)&context + now->off);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            *to = (uint32_t)(*to & value);
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            *to = (uint32_t)*to >> value;
            break;
        case BPF_ALU | BPF_MOV | BPF_X:
        case BPF_ALU64 | BPF_MOV | BPF_K:
            *to = value;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
        case BPF_JMP | BPF_JNE | BPF_X:
            i += *to != value ? (size_t)now->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return (int)registers[0];
        default:
            return -1;
        }
    }
    return -1;
}

TEST(rules_become_a_program)
{
    static const char *const rules[] = {"c 1:3 rwm", "c 136:* rw", "b *:* m", "c 1:5 r"};
    static const struct {
        uint32_t type, access, major, minor;
        int expected;
    } cases[] = {
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 1, 3, 1},
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD, 1, 3, 1},
        {BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_READ, 1, 3, 0},
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 1, 4, 0},
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 1, 5, 1},
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 1, 5, 0},
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_WRITE, 136, 77, 1},
        {BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_MKNOD, 136, 77, 0},
        {BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_MKNOD, 8, 0, 1},
        {BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ, 8, 0, 0},
    };
    AUTO_FREE struct bpf_insn *program = NULL;
    size_t count = 0;

    CHECK_EQ(device_filter_compile(rules, COUNT(rules), &program, &count), 0);
    for (size_t i = 0; i < COUNT(cases); i++)
        CHECK_EQ(
            ask(program, count, cases[i].type, cases[i].access, cases[i].major, cases[i].minor),
            cases[i].expected);
}

TEST(one_rule_allows_everything)
{
    static const char *const rules[] = {"a"};
    AUTO_FREE struct bpf_insn *program = NULL;
    size_t count = 0;

    CHECK_EQ(device_filter_compile(rules, 1, &program, &count), 0);
    CHECK_EQ(ask(program, count, BPF_DEVCG_DEV_BLOCK, BPF_DEVCG_ACC_WRITE, 8, 0), 1);
}

TEST(no_rule_allows_nothing)
{
    AUTO_FREE struct bpf_insn *program = NULL;
    size_t count = 0;

    CHECK_EQ(device_filter_compile(NULL, 0, &program, &count), 0);
    CHECK_EQ(ask(program, count, BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ, 1, 3), 0);
}

TEST(what_is_no_rule)
{
    static const char *const bad[] = {"",        "aa",       "c",        "c 1:3",
                                      "c 1:3 ",  "x 1:3 r",  "c 1 r",    "c :3 r",
                                      "c 1:3 q", "c -1:3 r", "c 1:3  r", "c 1:999999999 r"};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct bpf_insn *program = NULL;
        size_t count = 0;

        CHECK_EQ(device_filter_compile(&bad[i], 1, &program, &count), -EINVAL);
        CHECK(!program);
    }
}

/* In the child: 0, or which expectation failed. */
static int use_devices(const char *procs, const char *node)
{
    if (file_put_at(AT_FDCWD, procs, "0") < 0)
        return 1;
    if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
        return 2;
    if (open("/dev/full", O_RDONLY | O_CLOEXEC) >= 0 || errno != EPERM)
        return 3;
    if (mknod(node, S_IFCHR | 0600, makedev(1, 7)) < 0)
        return 4;
    if (open(node, O_RDONLY | O_CLOEXEC) >= 0 || errno != EPERM)
        return 5;
    (void)unlink(node);
    return mknod(node, S_IFBLK | 0600, makedev(7, 0)) < 0 && errno == EPERM ? 0 : 6;
}

TEST(the_kernel_obeys_the_program)
{
    static const char *const rules[] = {"c 1:3 rwm", "c *:* m"};
    AUTO_FREE struct bpf_insn *program = NULL;
    const CgroupHierarchy *v2 = NULL;
    const CgroupTree *tree;
    char directory[PATH_MAX], procs[PATH_MAX], node[64], name[64];
    AUTO_CLOSE int fd = -1;
    size_t count = 0;
    int status = -1;
    pid_t pid;

    (void)snprintf(name, sizeof(name), "/podmon-devices-%d", getpid());
    if (geteuid() == 0 && cgroup_tree_get(&tree, NULL) == 0)
        v2 = cgroup_tree_v2(tree);
    if (!v2 || cgroup_place(v2, name, strlen(name), NULL, directory) < 0 ||
        cgroup_place(v2, name, strlen(name), "cgroup.procs", procs) < 0 ||
        mkdir(directory, 0755) < 0)
        SKIP("needs root and a writable hierarchy of cgroup v2");
    (void)snprintf(node, sizeof(node), "/tmp/podmon-device-%d", getpid());
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(device_filter_compile(rules, COUNT(rules), &program, &count), 0);
    CHECK_EQ(device_filter_attach(fd, program, count), 0);
    pid = fork();
    if (pid == 0)
        _exit(use_devices(procs, node));
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    (void)unlink(node);
    CHECK_EQ(rmdir(directory), 0);
    CHECK_EQ(WEXITSTATUS(status), 0);
}

TEST_MAIN
