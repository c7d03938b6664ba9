/* SPDX-License-Identifier: Apache-2.0 */
/* What podmon and the process that serves one stream tell each other, over a socket pair of theirs.
 * The one is a fork of the other, but podmon may become another program meanwhile: then the two
 * understand each other as long as CONTROL_VERSION is the same, and the session ends otherwise. */
#pragma once

#include <stdint.h>

#include "shared/failure.h"

enum { CONTROL_VERSION = 1 }; /* counts up with every change of what is below */

typedef enum ControlKind {
    CONTROL_READY,       /* to podmon: the client has opened all streams */
    CONTROL_INPUT_ENDED, /* to podmon: the container's stdin is to be closed for good (attach) */
    CONTROL_RUN,         /* from podmon: descriptors of what runs */
    CONTROL_CLOSE_INPUT, /* from podmon: the container's stdin has been closed */
    CONTROL_EXITED,      /* from podmon: it has ended with `value` */
    CONTROL_FAILED,      /* from podmon: it did not start, or cannot go on: `text` */
    CONTROL_QUIT,        /* from podmon: the pod stops */
} ControlKind;

enum {
    CONTROL_FDS = 3
}; /* by Channel: stdin (also what a terminal's size is set on), stdout, stderr */

typedef struct ControlMessage {
    ControlKind kind;
    int value;
    int fds[CONTROL_FDS]; /* −1: none. The receiver owns them */
    char text[FAILURE_TEXT_MAX];
} ControlMessage;

#define CONTROL_MESSAGE(kind) ((ControlMessage){(kind), 0, {-1, -1, -1}, ""})

/* 0 or −errno; the descriptors stay the sender's. */
int control_send(int fd, const ControlMessage *message);

/* 1: *ret is a message; 0: the other end is closed; −EAGAIN; −errno. */
int control_receive(int fd, ControlMessage *ret);
