/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "podmon/handover.h"
#include "podmon/stream/control.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "test.h"

#define VARIABLE "PODMON_HANDOVER"

enum { COMMAND_PID = 4711, COMMAND_NUMBER = 12, PID = 4710 };

static Podmon__CarriedSession session;
static Podmon__CarriedSession *sessions[] = {&session};
static char cgroup[] = "/pod/container/exec-12";

static Podmon__Handover one_session(int control_fd)
{
    Podmon__Handover handover = PODMON__HANDOVER__INIT;

    session = (Podmon__CarriedSession)PODMON__CARRIED_SESSION__INIT;
    session.pid = PID;
    session.control_fd = control_fd;
    session.output_fd = session.error_fd = -1;
    session.command_pid = COMMAND_PID;
    session.command_number = COMMAND_NUMBER;
    session.command_cgroup = cgroup;
    handover.control_version = CONTROL_VERSION;
    handover.n_sessions = 1;
    handover.sessions = sessions;
    return handover;
}

static bool is_inherited(int fd)
{
    return fcntl(fd, F_GETFD) == 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

TEST(what_is_given_is_taken)
{
    AUTO_CLOSE int control_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    Podmon__Handover given = one_session(control_fd), *taken = NULL;
    int fd = handover_give(&given);

    CHECK(fd >= 0 && is_inherited(fd) && is_inherited(control_fd));
    CHECK_EQ(handover_take(&taken), 1);
    CHECK(!is_open(fd) && is_open(control_fd) && !is_inherited(control_fd));
    CHECK(!getenv(VARIABLE));
    CHECK_EQ(taken->n_sessions, 1);
    CHECK_EQ(taken->sessions[0]->control_fd, control_fd);
    CHECK_EQ(taken->sessions[0]->output_fd, -1);
    CHECK_STR(taken->sessions[0]->command_cgroup, cgroup);
    podmon__handover__free_unpacked(taken, NULL);
    CHECK_EQ(handover_take(&taken), 0);
}

TEST(what_is_taken_back_is_not_there)
{
    AUTO_CLOSE int control_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    Podmon__Handover given = one_session(control_fd), *taken = NULL;
    int fd = handover_give(&given);

    CHECK(fd >= 0);
    handover_take_back(&given, fd);
    CHECK(!is_open(fd) && is_open(control_fd) && !is_inherited(control_fd));
    CHECK_EQ(handover_take(&taken), 0);
}

TEST(sessions_of_another_kind_are_closed)
{
    int control_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    Podmon__Handover given = one_session(control_fd), *taken = NULL;

    given.control_version = CONTROL_VERSION + 1;
    CHECK(handover_give(&given) >= 0);
    CHECK_EQ(handover_take(&taken), -EPROTO);
    CHECK(!is_open(control_fd) && !getenv(VARIABLE));
}

TEST(what_is_none)
{
    AUTO_CLOSE int fd = fd_sealed_memory("garbage", "\xff\xff\xff", 3);
    Podmon__Handover *taken = NULL;
    char number[16];

    (void)snprintf(number, sizeof(number), "%d", fcntl(fd, F_DUPFD_CLOEXEC, 3));
    CHECK_EQ(setenv(VARIABLE, number, 1), 0);
    CHECK_EQ(handover_take(&taken), -EBADMSG);
    CHECK_EQ(setenv(VARIABLE, "9999", 1), 0);
    CHECK_EQ(handover_take(&taken), -EBADF);
    CHECK_EQ(setenv(VARIABLE, "x", 1), 0);
    CHECK(handover_take(&taken) < 0);
    CHECK(!getenv(VARIABLE));
}

TEST(who_is_among_them)
{
    Podmon__Handover handover = one_session(-1);

    CHECK(handover_has_process(&handover, PID));
    CHECK(handover_has_process(&handover, COMMAND_PID));
    CHECK(!handover_has_process(&handover, PID + 10));
    CHECK(!handover_has_process(NULL, PID));
    CHECK(handover_has_command(&handover, COMMAND_NUMBER));
    CHECK(!handover_has_command(&handover, COMMAND_NUMBER + 1));
    session.command_pid = 0;
    CHECK(!handover_has_command(&handover, COMMAND_NUMBER));
    CHECK(!handover_has_command(NULL, COMMAND_NUMBER));
}

TEST_MAIN
