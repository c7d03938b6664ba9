/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/signal_names.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "shared/number.h"

enum { API_PREFIX_LENGTH = 7 }; /* "SIGNAL_" */

static const struct {
    const char *name;
    int number;
} NAMES[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},       {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},  {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},
    {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},         {"IOT", SIGABRT},
    {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGIO},       {"PROF", SIGPROF},
    {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
};

/* "RTMIN", "RTMIN+3", "RTMAX-2"; also the API's "RTMINPLUS3" and "RTMAXMINUS2". Counted from libc's
 * SIGRTMIN, which leaves out what libc keeps to itself, as everybody counts who writes these. */
static int find_real_time(const char *name)
{
    static const struct {
        const char *prefix;
        int sign;
        bool bare; /* nothing follows */
    } forms[] = {
        {"RTMINPLUS", 1, false}, {"RTMIN+", 1, false}, {"RTMAXMINUS", -1, false},
        {"RTMAX-", -1, false},   {"RTMIN", 1, true},   {"RTMAX", -1, true},
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t length = strlen(forms[i].prefix);
        int base = forms[i].sign > 0 ? SIGRTMIN : SIGRTMAX;
        uint64_t distance = 0;

        if (strncasecmp(name, forms[i].prefix, length) != 0)
            continue;
        if (forms[i].bare)
            return name[length] ? -ENOENT : base;
        if (number_parse_unsigned(name + length, (uint64_t)(SIGRTMAX - SIGRTMIN), &distance) < 0)
            return -ENOENT;
        return base + forms[i].sign * (int)distance;
    }
    return -ENOENT;
}

int signal_names_find(const char *name)
{
    uint64_t number;

    if (number_parse_unsigned(name, (uint64_t)SIGRTMAX, &number) >= 0)
        return number > 0 ? (int)number : -ENOENT;
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (strcasecmp(name, NAMES[i].name) == 0)
            return NAMES[i].number;
    return find_real_time(name);
}

int signal_names_of_api(Runtime__V1__Signal value)
{
    const ProtobufCEnumValue *found =
        protobuf_c_enum_descriptor_get_value(&runtime__v1__signal__descriptor, (int)value);

    if (!found || value == RUNTIME__V1__SIGNAL__SIGNAL_RUNTIME_DEFAULT)
        return -ENOENT;
    return signal_names_find(found->name + API_PREFIX_LENGTH);
}

Runtime__V1__Signal signal_names_to_api(int number)
{
    const ProtobufCEnumDescriptor *all = &runtime__v1__signal__descriptor;

    for (unsigned i = 0; i < all->n_values; i++)
        if (signal_names_of_api((Runtime__V1__Signal)all->values[i].value) == number)
            return (Runtime__V1__Signal)all->values[i].value;
    return RUNTIME__V1__SIGNAL__SIGNAL_RUNTIME_DEFAULT;
}
