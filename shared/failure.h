/* SPDX-License-Identifier: Apache-2.0 */
/* Why something did not work, in one sentence for whoever asked: a client sees it as the gRPC
 * status, an administrator in the journal. It is made where the cause is known, once. */
#pragma once

/* The numbers are those of gRPC (grpc/status.h of the gRPC project), so that none is ever mapped.
 */
typedef enum FailureCode {
    FAILURE_NONE = 0,
    FAILURE_CANCELLED = 1,
    FAILURE_UNKNOWN = 2,
    FAILURE_INVALID_ARGUMENT = 3,
    FAILURE_DEADLINE_EXCEEDED = 4,
    FAILURE_NOT_FOUND = 5,
    FAILURE_ALREADY_EXISTS = 6,
    FAILURE_PERMISSION_DENIED = 7,
    FAILURE_RESOURCE_EXHAUSTED = 8,
    FAILURE_FAILED_PRECONDITION = 9,
    FAILURE_ABORTED = 10,
    FAILURE_OUT_OF_RANGE = 11,
    FAILURE_UNIMPLEMENTED = 12,
    FAILURE_INTERNAL = 13,
    FAILURE_UNAVAILABLE = 14,
} FailureCode;

enum { FAILURE_TEXT_MAX = 1024 };

/* Plain data: copied freely, owned by nobody. `text` is always terminated; bytes below 0x20 and
 * 0x7f in what was formatted into it are shown as '?', so that it is safe in logs and terminals. */
typedef struct Failure {
    FailureCode code;
    char text[FAILURE_TEXT_MAX];
} Failure;

/* Fills `why` (which may be NULL) and returns −error, so that `return failure_set(…)` both
 * explains and fails. With error > 0 the text ends in ": " and the name of the error. ENOSPC,
 * EDQUOT, EMFILE, ENFILE, ENOMEM and EAGAIN (of a clone) turn FAILURE_INTERNAL into
 * FAILURE_RESOURCE_EXHAUSTED. */
int failure_set(Failure *why, FailureCode code, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As failure_set, for a refusal that has no errno behind it: returns −EINVAL, −ENOENT, −EEXIST,
 * −EBUSY or −EIO as suits the code. */
int failure_say(Failure *why, FailureCode code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "what: " in front of the text that is there. */
void failure_prefix(Failure *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What both promise, said so that the compiler and the analyzers know it at every call. */
static inline int failure_negative(int r)
{
    if (r >= 0)
        __builtin_unreachable();
    return r;
}

#define failure_set(...) failure_negative(failure_set(__VA_ARGS__))
#define failure_say(...) failure_negative(failure_say(__VA_ARGS__))
