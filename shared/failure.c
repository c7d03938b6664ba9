/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_safe(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static FailureCode adjust_code(FailureCode code, int error)
{
    if (code != FAILURE_INTERNAL)
        return code;
    if (error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE ||
        error == ENOMEM || error == EAGAIN)
        return FAILURE_RESOURCE_EXHAUSTED;
    return code;
}

/* An errno for a refusal that has none behind it. */
static int code_to_error(FailureCode code)
{
    static const int errors[] = {
        [FAILURE_INVALID_ARGUMENT] = EINVAL,   [FAILURE_OUT_OF_RANGE] = EINVAL,
        [FAILURE_NOT_FOUND] = ENOENT,          [FAILURE_ALREADY_EXISTS] = EEXIST,
        [FAILURE_FAILED_PRECONDITION] = EBUSY,
    };

    if ((size_t)code < sizeof(errors) / sizeof(errors[0]) && errors[code] != 0)
        return errors[code];
    return EIO;
}

__attribute__((format(printf, 4, 0))) static void
failure_fill(Failure *why, FailureCode code, int error, const char *format, va_list arguments)
{
    size_t used;

    if (!why)
        return;
    why->code = adjust_code(code, error);
    (void)vsnprintf(why->text, sizeof(why->text), format, arguments);
    used = strlen(why->text);
    if (error > 0) {
        const char *description = strerrordesc_np(error);
        if (description)
            (void)snprintf(why->text + used, sizeof(why->text) - used, ": %s", description);
        else
            (void)snprintf(why->text + used, sizeof(why->text) - used, ": error %d", error);
    }
    make_safe(why->text);
}

int(failure_set)(Failure *why, FailureCode code, int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    failure_fill(why, code, error, format, arguments);
    va_end(arguments);
    /* Never 0: who returns this has failed, even if errno was lost on the way here. */
    return error > 0 ? -error : -code_to_error(code);
}

int(failure_say)(Failure *why, FailureCode code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    failure_fill(why, code, 0, format, arguments);
    va_end(arguments);
    return -code_to_error(code);
}

void failure_prefix(Failure *why, const char *format, ...)
{
    char old[FAILURE_TEXT_MAX];
    va_list arguments;
    size_t used;

    if (!why)
        return;
    memcpy(old, why->text, sizeof(old));
    va_start(arguments, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, arguments);
    va_end(arguments);
    used = strlen(why->text);
    (void)snprintf(why->text + used, sizeof(why->text) - used, ": %s", old);
    make_safe(why->text);
}
