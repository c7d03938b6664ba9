/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon.pb-c.h"
#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/message.h"

enum { QUESTIONS = 6 /* in the time of the patience */ };

struct Pulse {
    EventLoop *loop;
    const char *run_dir;
    char pod_id[ID_SIZE];
    int podmon_fd;
    uint64_t patience;
    EventSource *timer;
    int fd; /* of the question; −1: none is asked */
    EventSource *answer;
    uint64_t silent_since; /* 0: nothing is owed */
    uint64_t struck_at;
    bool told;
};

static void hang_up(Pulse *pulse)
{
    pulse->answer = event_free(pulse->answer);
    fd_close(&pulse->fd);
}

/* An answer, or the end of the connection, which says as well that somebody is at work. */
static void on_answer(void *data, uint32_t events)
{
    Pulse *pulse = data;

    (void)events;
    hang_up(pulse);
    if (pulse->told)
        log_notice("the podmon of pod %.*s answers again", ID_SHORT, pulse->pod_id);
    pulse->told = false;
    pulse->silent_since = 0;
}

static int connect_pod(const Pulse *pulse)
{
    AUTO_CLOSE int dir_fd = -1;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/" LAYOUT_PODS "/%s", pulse->run_dir, pulse->pod_id) >=
        (int)sizeof(path))
        return -ENAMETOOLONG;
    dir_fd = open(path, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return dir_fd < 0 ? -errno : channel_connect_at(dir_fd, LAYOUT_CONTROL);
}

/* A full backlog is silence like any other; whatever else keeps the question from being asked says
 * nothing of the podmon. */
static void ask(Pulse *pulse)
{
    Podmon__Request nothing = PODMON__REQUEST__INIT;
    int r;

    pulse->fd = connect_pod(pulse);
    if (pulse->fd == -EAGAIN && pulse->silent_since == 0)
        pulse->silent_since = clock_monotonic();
    if (pulse->fd < 0) {
        pulse->fd = -1;
        return;
    }
    r = message_send(pulse->fd, &nothing.base, NULL, 0);
    if (r >= 0)
        r = event_add_fd(pulse->loop, pulse->fd, EPOLLIN, on_answer, pulse, &pulse->answer);
    if (r < 0)
        hang_up(pulse);
    else if (pulse->silent_since == 0)
        pulse->silent_since = clock_monotonic();
}

/* A stopped process takes its signals when it goes on. */
static void strike(Pulse *pulse, uint64_t now)
{
    log_error("the podmon of pod %.*s has not answered for %llu seconds and is made to begin anew",
              ID_SHORT, pulse->pod_id,
              (unsigned long long)((now - pulse->silent_since) / CLOCK_SECOND));
    pulse->struck_at = now;
    (void)fd_signal(pulse->podmon_fd, SIGABRT); /* Fails only for one that has ended. */
    (void)fd_signal(pulse->podmon_fd, SIGCONT);
    hang_up(pulse); /* The next question is for the one who begins. */
}

static void on_timer(void *data, uint32_t events)
{
    Pulse *pulse = data;
    uint64_t now = clock_monotonic(), interval = pulse->patience / QUESTIONS;
    uint64_t silence = pulse_silence(pulse);
    uint64_t struck =
        pulse->struck_at > pulse->silent_since ? pulse->struck_at : pulse->silent_since;

    (void)events;
    if (silence >= interval && !pulse->told) {
        pulse->told = true;
        log_warning("the podmon of pod %.*s does not answer", ID_SHORT, pulse->pod_id);
    }
    if (silence > 0 && now - struck >= pulse->patience)
        strike(pulse, now);
    if (pulse->fd < 0)
        ask(pulse);
    (void)event_set_timer(pulse->timer, now + interval); /* has its memory already */
}

int pulse_new(EventLoop *loop, const char *run_dir, const char *pod_id, int podmon_fd,
              uint64_t patience, Pulse **ret)
{
    Pulse *pulse = calloc(1, sizeof(*pulse));
    int r;

    if (!pulse)
        return -ENOMEM;
    *pulse = (Pulse){
        .loop = loop, .run_dir = run_dir, .podmon_fd = podmon_fd, .patience = patience, .fd = -1};
    (void)stpncpy(pulse->pod_id, pod_id, ID_LENGTH);
    r = event_add_timer(loop, clock_monotonic() + patience / QUESTIONS, on_timer, pulse,
                        &pulse->timer);
    if (r < 0) {
        free(pulse);
        return r;
    }
    *ret = pulse;
    return 0;
}

Pulse *pulse_free(Pulse *pulse)
{
    if (!pulse)
        return NULL;
    hang_up(pulse);
    (void)event_free(pulse->timer);
    free(pulse);
    return NULL;
}

uint64_t pulse_silence(const Pulse *pulse)
{
    return pulse->silent_since == 0 ? 0 : clock_monotonic() - pulse->silent_since;
}
