/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "podmon/seccomp_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const SeccompMachine machine = {.capabilities = 0x55, .kernel_major = 6, .kernel_minor = 1};
    SeccompProfile profile = {0};
    Failure why = {0};

    if (seccomp_json_parse((const char *)data, size, &machine, &profile, &why) < 0) {
        if (why.code != FAILURE_INVALID_ARGUMENT || profile.rules)
            abort();
        return 0;
    }
    for (size_t i = 0; i < profile.rules_count; i++)
        if (!profile.rules[i].name || profile.rules[i].arguments_count > SECCOMP_ARGUMENTS_MAX)
            abort();
    seccomp_profile_done(&profile);
    return 0;
}
