/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/device_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "podmon/cgroup.h"
#include "podmon/cgroup_tree.h"
#include "podmon/devices.h"
#include "shared/cleanup.h"
#include "shared/text.h"

enum {
    RULE_INSTRUCTIONS_MAX = 8,
    HEAD_INSTRUCTIONS = 6,
    TAIL_INSTRUCTIONS = 2,
    ANY = -1,
    ACCESS_ALL = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE,
};

/* Where the program keeps what it is asked about. */
enum { RESULT = BPF_REG_0, CONTEXT = BPF_REG_1, SCRATCH = BPF_REG_1 };
enum { TYPE = BPF_REG_2, ACCESS = BPF_REG_3, MAJOR = BPF_REG_4, MINOR = BPF_REG_5 };

typedef struct Rule {
    int type; /* BPF_DEVCG_DEV_…, or ANY */
    int64_t major, minor;
    int access; /* of ACCESS_ALL */
} Rule;

typedef struct Program {
    struct bpf_insn *instructions;
    size_t count;
} Program;

static void emit(Program *program, int code, int destination, int source, int offset,
                 int32_t immediate)
{
    program->instructions[program->count++] = (struct bpf_insn){
        .code = (uint8_t)code,
        .dst_reg = (uint8_t)(destination & 0xf),
        .src_reg = (uint8_t)(source & 0xf),
        .off = (int16_t)offset,
        .imm = immediate,
    };
}

static void emit_result(Program *program, int32_t result)
{
    emit(program, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, result);
    emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The context is gone after the last load: its register is the scratch one from then on. */
static void emit_head(Program *program)
{
    const int load = BPF_LDX | BPF_MEM | BPF_W;

    emit(program, load, TYPE, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    emit(program, load, ACCESS, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    emit(program, load, MAJOR, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    emit(program, load, MINOR, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
    emit(program, BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
    emit(program, BPF_ALU | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
}

/* Each test that fails jumps over the rest of the rule. */
static void emit_rule(Program *program, const Rule *rule)
{
    const int differs = BPF_JMP | BPF_JNE | BPF_K;
    size_t jumps[4], jumps_count = 0;

    if (rule->type != ANY) {
        jumps[jumps_count++] = program->count;
        emit(program, differs, TYPE, 0, 0, rule->type);
    }
    if (rule->access != ACCESS_ALL) {
        emit(program, BPF_ALU | BPF_MOV | BPF_X, SCRATCH, ACCESS, 0, 0);
        emit(program, BPF_ALU | BPF_AND | BPF_K, SCRATCH, 0, 0, rule->access);
        jumps[jumps_count++] = program->count;
        emit(program, BPF_JMP | BPF_JNE | BPF_X, SCRATCH, ACCESS, 0, 0);
    }
    if (rule->major != ANY) {
        jumps[jumps_count++] = program->count;
        emit(program, differs, MAJOR, 0, 0, (int32_t)rule->major);
    }
    if (rule->minor != ANY) {
        jumps[jumps_count++] = program->count;
        emit(program, differs, MINOR, 0, 0, (int32_t)rule->minor);
    }
    emit_result(program, 1);
    for (size_t i = 0; i < jumps_count; i++)
        program->instructions[jumps[i]].off = (int16_t)(program->count - jumps[i] - 1);
}

/* A number of a device, or "*"; what follows it. */
static const char *parse_number(const char *text, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");

    *ret = *text == '*' ? ANY : 0;
    if (*text == '*')
        return text + 1;
    if (digits == 0 || digits > 8)
        return NULL;
    for (size_t i = 0; i < digits; i++)
        *ret = *ret * 10 + (text[i] - '0');
    return text + digits;
}

static int parse_access(const char *text, int *ret)
{
    static const struct {
        char letter;
        int bit;
    } letters[] = {
        {'r', BPF_DEVCG_ACC_READ}, {'w', BPF_DEVCG_ACC_WRITE}, {'m', BPF_DEVCG_ACC_MKNOD}};

    *ret = 0;
    for (; *text; text++) {
        size_t i = 0;

        while (i < 3 && letters[i].letter != *text)
            i++;
        if (i == 3)
            return -EINVAL;
        *ret |= letters[i].bit;
    }
    return *ret ? 0 : -EINVAL;
}

static int parse_rule(const char *text, Rule *ret)
{
    *ret = (Rule){ANY, ANY, ANY, ACCESS_ALL};
    if (strcmp(text, "a") == 0)
        return 0;
    if ((*text != 'c' && *text != 'b') || text[1] != ' ')
        return -EINVAL;
    ret->type = *text == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK;
    text = parse_number(text + 2, &ret->major);
    if (!text || *text != ':')
        return -EINVAL;
    text = parse_number(text + 1, &ret->minor);
    if (!text || *text != ' ')
        return -EINVAL;
    return parse_access(text + 1, &ret->access);
}

static bool is_everything(const Rule *rule)
{
    return rule->type == ANY && rule->major == ANY && rule->minor == ANY &&
           rule->access == ACCESS_ALL;
}

int device_filter_compile(const char *const *rules, size_t count, struct bpf_insn **ret,
                          size_t *ret_count)
{
    AUTO_FREE struct bpf_insn *instructions =
        calloc(HEAD_INSTRUCTIONS + TAIL_INSTRUCTIONS + count * RULE_INSTRUCTIONS_MAX,
               sizeof(*instructions));
    Program program = {instructions, 0};
    bool allows_all = false;

    if (!instructions)
        return -ENOMEM;
    emit_head(&program);
    /* Behind a rule for everything nothing can be reached, which the kernel's verifier refuses. */
    for (size_t i = 0; i < count && !allows_all; i++) {
        Rule rule;
        int r = parse_rule(rules[i], &rule);

        if (r < 0)
            return r;
        emit_rule(&program, &rule);
        allows_all = is_everything(&rule);
    }
    if (!allows_all)
        emit_result(&program, 0);
    *ret = TAKE(instructions);
    *ret_count = program.count;
    return 0;
}

static int call_bpf(int command, union bpf_attr *attributes)
{
    long r = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

    return r < 0 ? -errno : (int)r;
}

int device_filter_attach(int cgroup_fd, const struct bpf_insn *instructions, size_t count)
{
    static const char license[] = "Apache-2.0";
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insn_cnt = (uint32_t)count,
        .insns = (uint64_t)(uintptr_t)instructions,
        .license = (uint64_t)(uintptr_t)license,
        .prog_name = "podmon_devices",
    };
    AUTO_CLOSE int program_fd = call_bpf(BPF_PROG_LOAD, &load);
    union bpf_attr attach = {
        .target_fd = (uint32_t)cgroup_fd,
        .attach_bpf_fd = (uint32_t)program_fd,
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI,
    };

    return program_fd < 0 ? program_fd : call_bpf(BPF_PROG_ATTACH, &attach);
}

static int apply_program(const CgroupHierarchy *hierarchy, const char *cgroup,
                         const char *const *rules, size_t count)
{
    AUTO_FREE struct bpf_insn *instructions = NULL;
    AUTO_CLOSE int fd = -1;
    char path[PATH_MAX];
    size_t size;
    int r = cgroup_place(hierarchy, cgroup, strlen(cgroup), NULL, path);

    if (r >= 0)
        r = device_filter_compile(rules, count, &instructions, &size);
    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : device_filter_attach(fd, instructions, size);
}

int device_filter_apply(const Podmon__ContainerSpec *spec, const char *cgroup, Failure *why)
{
    CLEANUP(text_list_cleanup) char **rules = NULL;
    const CgroupHierarchy *v2;
    const CgroupTree *tree;
    int r = devices_rules(spec, &rules, why);

    if (r >= 0)
        r = cgroup_tree_get(&tree, why);
    if (r < 0)
        return r;
    if (cgroup_tree_find(tree, CGROUP_DEVICES))
        return cgroup_set_devices(cgroup, (const char *const *)rules, text_list_count(rules), why);
    v2 = cgroup_tree_v2(tree);
    if (!v2)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "this machine cannot confine devices: it has neither the devices "
                           "controller of cgroup v1 nor cgroup v2");
    r = apply_program(v2, cgroup, (const char *const *)rules, text_list_count(rules));
    if (r < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r,
                           "cannot confine the devices of cgroup %s by a BPF program", cgroup);
    return 0;
}
