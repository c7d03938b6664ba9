/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry asks for with 401: the header WWW-Authenticate (RFC 9110, 11.6.1). Pure. */
#pragma once

typedef enum ChallengeScheme {
    CHALLENGE_NONE,
    CHALLENGE_BASIC,
    CHALLENGE_BEARER,
} ChallengeScheme;

enum { CHALLENGE_VALUE_SIZE = 1024 };

/* Plain data; what is not given is "". */
typedef struct Challenge {
    ChallengeScheme scheme;
    char realm[CHALLENGE_VALUE_SIZE], service[CHALLENGE_VALUE_SIZE], scope[CHALLENGE_VALUE_SIZE];
} Challenge;

/* One challenge of one header. −EINVAL: not of this form, or of a scheme that is not known. */
int challenge_parse(const char *header, Challenge *ret);
