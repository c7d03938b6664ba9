/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp_json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "shared/capability_names.h"
#include "shared/cleanup.h"
#include "shared/number.h"
#include "shared/text.h"

enum { ERRNO_MAX = 4095 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct Word {
    const char *name;
    uint32_t value;
} Word;

static const Word actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
};

static const Word comparisons[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

/* The names of libseccomp, behind "SCMP_ARCH_". */
static const Word architectures[] = {
    {"X86", SCMP_ARCH_X86},           {"X86_64", SCMP_ARCH_X86_64},
    {"X32", SCMP_ARCH_X32},           {"ARM", SCMP_ARCH_ARM},
    {"AARCH64", SCMP_ARCH_AARCH64},   {"MIPS", SCMP_ARCH_MIPS},
    {"MIPS64", SCMP_ARCH_MIPS64},     {"MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"MIPSEL", SCMP_ARCH_MIPSEL},     {"MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"PPC", SCMP_ARCH_PPC},           {"MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"PPC64", SCMP_ARCH_PPC64},       {"PPC64LE", SCMP_ARCH_PPC64LE},
    {"S390", SCMP_ARCH_S390},         {"S390X", SCMP_ARCH_S390X},
    {"RISCV64", SCMP_ARCH_RISCV64},   {"PARISC", SCMP_ARCH_PARISC},
    {"PARISC64", SCMP_ARCH_PARISC64},
};

/* How Go, and so Docker's includes, call the machine. */
#if defined(__x86_64__)
#define MACHINE_NAME "amd64"
#define MACHINE_ARCHITECTURE SCMP_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE_NAME "arm64"
#define MACHINE_ARCHITECTURE SCMP_ARCH_AARCH64
#endif

static bool find_word(const Word *words, size_t count, const char *name, uint32_t *ret)
{
    for (size_t i = 0; name && i < count; i++)
        if (strcmp(words[i].name, name) == 0) {
            *ret = words[i].value;
            return true;
        }
    return false;
}

/* `where` is the entry's place in the file, complete but for the member's name. */
static int refuse(Failure *why, const char *where, const char *member, const char *value,
                  const char *problem)
{
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "seccomp profile: %s%s: %s%.100s%s%s", where,
                       member, value ? "\"" : "", value ? value : "", value ? "\" " : "", problem);
}

/* The member, which may be missing (*ret is NULL then), as an array or null. */
static int get_array(const cJSON *object, const char *where, const char *member, const cJSON **ret,
                     Failure *why)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, member);

    *ret = cJSON_IsNull(array) ? NULL : array;
    return !*ret || cJSON_IsArray(array) ? 0 : refuse(why, where, member, NULL, "is no list");
}

static int get_number(const cJSON *object, const char *where, const char *member, double most,
                      double otherwise, double *ret, Failure *why)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, member);

    *ret = otherwise;
    if (!number || cJSON_IsNull(number))
        return 0;
    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0 && number->valuedouble <= most) ||
        number->valuedouble != floor(number->valuedouble))
        return refuse(why, where, member, NULL, "is no number, or out of range");
    *ret = number->valuedouble;
    return 0;
}

/* `errno_member` goes with SCMP_ACT_ERRNO and SCMP_ACT_TRACE. */
static int get_action(const cJSON *object, const char *where, const char *member,
                      const char *errno_member, uint32_t *ret, Failure *why)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, member));
    double error;
    int r;

    if (!name)
        return refuse(why, where, member, NULL, "is missing");
    if (!find_word(actions, COUNT(actions), name, ret))
        return refuse(why, where, member, name, "is not an action that a container can have");
    r = get_number(object, where, errno_member, ERRNO_MAX, EPERM, &error, why);
    if (r >= 0 && (*ret == SCMP_ACT_ERRNO(0) || *ret == SCMP_ACT_TRACE(0)))
        *ret |= (uint32_t)error;
    return r;
}

static int add_architecture(const cJSON *name, SeccompProfile *profile, Failure *why)
{
    const char *text = cJSON_GetStringValue(name);
    uint32_t value;
    int r;

    if (!text || !text_starts_with(text, "SCMP_ARCH_") ||
        !find_word(architectures, COUNT(architectures), text + strlen("SCMP_ARCH_"), &value))
        return refuse(why, "", "architectures", text, "is not an architecture");
    r = seccomp_profile_add_architecture(profile, value);
    return r < 0 ? refuse(why, "", "architectures", NULL, "are too many") : 0;
}

/* OCI names all of them; Docker says which ones go with the machine's. */
static int add_architectures(const cJSON *root, SeccompProfile *profile, Failure *why)
{
    const cJSON *list, *map, *entry, *name;
    int r = get_array(root, "", "architectures", &list, why);

    if (r >= 0)
        r = get_array(root, "", "archMap", &map, why);
    if (r < 0)
        return r;
    cJSON_ArrayForEach(name, list)
    {
        r = add_architecture(name, profile, why);
        if (r < 0)
            return r;
    }
    cJSON_ArrayForEach(entry, map)
    {
        const char *of =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "architecture"));
        const cJSON *companions;
        uint32_t value;

        if (!of || !text_starts_with(of, "SCMP_ARCH_"))
            return refuse(why, "archMap[].", "architecture", of, "is not an architecture");
        if (!find_word(architectures, COUNT(architectures), of + strlen("SCMP_ARCH_"), &value) ||
            value != MACHINE_ARCHITECTURE)
            continue;
        r = get_array(entry, "archMap[].", "subArchitectures", &companions, why);
        if (r < 0)
            return r;
        cJSON_ArrayForEach(name, companions)
        {
            r = add_architecture(name, profile, why);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* "4.8" or "4.8.1": the machine's kernel is that or younger. */
static bool kernel_is_at_least(const SeccompMachine *machine, const char *version)
{
    unsigned long major = strtoul(version, NULL, 10);
    const char *dot = strchr(version, '.');
    unsigned long minor = dot ? strtoul(dot + 1, NULL, 10) : 0;

    return machine->kernel_major > major ||
           (machine->kernel_major == major && machine->kernel_minor >= minor);
}

/* What of the conditions is there, and holds: all of what is named must be had (`every`), or any
 * of it (excludes). */
static int test_conditions(const cJSON *conditions, const SeccompMachine *machine,
                           const char *where, bool every, bool *ret, Failure *why)
{
    const cJSON *list, *item;
    const char *version = NULL;
    bool any = false, all = true, here = false;
    int r = get_array(conditions, where, "caps", &list, why);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_GetStringValue(item);
        int number = name ? capability_names_find(name) : -1;

        if (number < 0)
            return refuse(why, where, "caps", name, "is not a capability");
        any = any || (machine->capabilities >> number & 1);
        all = all && (machine->capabilities >> number & 1);
    }
    r = get_array(conditions, where, "arches", &list, why);
    if (r < 0)
        return r;
    cJSON_ArrayForEach(item, list)
    {
        here = here || (cJSON_IsString(item) && strcmp(item->valuestring, MACHINE_NAME) == 0);
    }
    any = any || here;
    all = all && (here || cJSON_GetArraySize(list) == 0);
    version = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(conditions, "minKernel"));
    if (version) {
        any = any || kernel_is_at_least(machine, version);
        all = all && kernel_is_at_least(machine, version);
    }
    *ret = every ? all : any;
    return 0;
}

static int concerns_machine(const cJSON *entry, const SeccompMachine *machine, const char *where,
                            bool *ret, Failure *why)
{
    const cJSON *includes = cJSON_GetObjectItemCaseSensitive(entry, "includes");
    const cJSON *excludes = cJSON_GetObjectItemCaseSensitive(entry, "excludes");
    bool included = true, excluded = false;
    int r = 0;

    if (includes)
        r = test_conditions(includes, machine, where, true, &included, why);
    if (r >= 0 && excludes)
        r = test_conditions(excludes, machine, where, false, &excluded, why);
    *ret = included && !excluded;
    return r;
}

static int parse_argument(const cJSON *from, const char *where, struct scmp_arg_cmp *ret,
                          Failure *why)
{
    const double most = 18446744073709549568.0; /* the largest double below 2⁶⁴ */
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "op"));
    double index, value, second;
    uint32_t comparison;
    int r;

    if (!find_word(comparisons, COUNT(comparisons), name, &comparison))
        return refuse(why, where, "op", name, "is not a comparison");
    if ((r = get_number(from, where, "index", SECCOMP_ARGUMENTS_MAX - 1, 0, &index, why)) < 0 ||
        (r = get_number(from, where, "value", most, 0, &value, why)) < 0 ||
        (r = get_number(from, where, "valueTwo", most, 0, &second, why)) < 0)
        return r;
    *ret = (struct scmp_arg_cmp){(unsigned)index, (enum scmp_compare)comparison, (uint64_t)value,
                                 (uint64_t)second};
    return 0;
}

static int parse_arguments(const cJSON *entry, const char *where, SeccompRule *rule, Failure *why)
{
    const cJSON *list, *argument;
    int r = get_array(entry, where, "args", &list, why);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(argument, list)
    {
        char place[64];

        (void)snprintf(place, sizeof(place), "%sargs[%u].", where, rule->arguments_count);
        if (rule->arguments_count == SECCOMP_ARGUMENTS_MAX)
            return refuse(why, where, "args", NULL, "are more than a call has");
        r = parse_argument(argument, place, &rule->arguments[rule->arguments_count++], why);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Two conditions on one argument mean "or": such a rule becomes one for each, as runc has it. */
static int add_rule(SeccompProfile *profile, const SeccompRule *rule)
{
    unsigned seen = 0, repeated = 0;
    int r = 0;

    for (unsigned i = 0; i < rule->arguments_count; i++) {
        unsigned bit = 1U << rule->arguments[i].arg;

        repeated |= seen & bit;
        seen |= bit;
    }
    if (!repeated)
        return seccomp_profile_add(profile, rule);
    for (unsigned i = 0; r >= 0 && i < rule->arguments_count; i++) {
        SeccompRule one = *rule;

        one.arguments[0] = rule->arguments[i];
        one.arguments_count = 1;
        r = seccomp_profile_add(profile, &one);
    }
    return r;
}

static int add_names(const cJSON *entry, const char *where, SeccompRule *rule,
                     SeccompProfile *profile, Failure *why)
{
    const cJSON *single = cJSON_GetObjectItemCaseSensitive(entry, "name");
    const cJSON *names, *name;
    int r = get_array(entry, where, "names", &names, why);

    if (r < 0)
        return r;
    if (!names && !cJSON_IsString(single))
        return refuse(why, where, "names", NULL, "is missing");
    if (cJSON_IsString(single)) {
        rule->name = single->valuestring;
        r = add_rule(profile, rule);
    }
    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name))
            return refuse(why, where, "names", NULL, "has something that is no text");
        rule->name = name->valuestring;
        if (r >= 0)
            r = add_rule(profile, rule);
    }
    return r < 0 ? refuse(why, where, "names", NULL, "are too many") : 0;
}

static int add_entry(const cJSON *entry, unsigned position, const SeccompMachine *machine,
                     SeccompProfile *profile, Failure *why)
{
    SeccompRule rule = {0};
    bool concerned = false;
    char where[32];
    int r;

    (void)snprintf(where, sizeof(where), "syscalls[%u].", position);
    if (!cJSON_IsObject(entry))
        return refuse(why, where, "", NULL, "is no object");
    r = get_action(entry, where, "action", "errnoRet", &rule.action, why);
    if (r >= 0)
        r = parse_arguments(entry, where, &rule, why);
    if (r >= 0)
        r = concerns_machine(entry, machine, where, &concerned, why);
    return r < 0 || !concerned ? r : add_names(entry, where, &rule, profile, why);
}

static int fill(const cJSON *root, const SeccompMachine *machine, SeccompProfile *profile,
                Failure *why)
{
    const cJSON *calls, *entry;
    unsigned position = 0;
    int r;

    if (!cJSON_IsObject(root))
        return refuse(why, "", "", NULL, "is no object");
    if ((r = get_action(root, "", "defaultAction", "defaultErrnoRet", &profile->default_action,
                        why)) < 0 ||
        (r = add_architectures(root, profile, why)) < 0 ||
        (r = get_array(root, "", "syscalls", &calls, why)) < 0)
        return r;
    cJSON_ArrayForEach(entry, calls)
    {
        r = add_entry(entry, position++, machine, profile, why);
        if (r < 0)
            return r;
    }
    return 0;
}

static unsigned line_of(const char *text, const char *end)
{
    unsigned line = 1;

    for (; text < end; text++)
        line += *text == '\n';
    return line;
}

static void free_tree(void *tree)
{
    cJSON_Delete(tree);
}

int seccomp_json_parse(const char *text, size_t size, const SeccompMachine *machine,
                       SeccompProfile *ret, Failure *why)
{
    CLEANUP(seccomp_profile_done) SeccompProfile profile = {.free_names = free_tree};
    const char *end = text;
    int r;

    if (size > SECCOMP_JSON_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "seccomp profile: larger than 1 MiB");
    if (size > 0)
        profile.names = cJSON_ParseWithLengthOpts(text, size, &end, false);
    if (!profile.names)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "seccomp profile: line %u is no JSON",
                           line_of(text, end));
    r = fill(profile.names, machine, &profile, why);
    if (r < 0)
        return r;
    *ret = profile;
    profile = (SeccompProfile){0};
    return 0;
}
