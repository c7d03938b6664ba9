/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/clock.h"
#include "test/unit/test.h"

typedef struct Outcome {
    EventLoop *loop;
    int calls;
    size_t size;
    char output[64];
    Failure why;
} Outcome;

static void on_done(void *data, const char *output, size_t size, const Failure *why)
{
    Outcome *outcome = data;

    outcome->calls++;
    outcome->size = size;
    if (output)
        (void)snprintf(outcome->output, sizeof(outcome->output), "%.60s", output);
    if (why)
        outcome->why = *why;
    event_loop_exit(outcome->loop, 0);
}

/* Runs one worker to its end; false if it could not be started or left a child behind. */
static bool run_worker(WorkerRun run, void *data, uint64_t timeout, Outcome *ret)
{
    Worker *worker;
    bool clean;

    *ret = (Outcome){0};
    if (event_loop_new(&ret->loop) < 0)
        return false;
    if (worker_start(ret->loop, run, data, clock_monotonic() + timeout, on_done, ret, &worker,
                     NULL) < 0)
        return false;
    (void)event_loop_run(ret->loop);
    clean = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
    (void)event_loop_free(ret->loop);
    return clean && ret->calls == 1;
}

static int run_answer(void *data, Text *output, Failure *why)
{
    (void)why;
    return text_add(output, data);
}

TEST(answer_arrives)
{
    char text[] = "hello";
    Outcome outcome;

    CHECK(run_worker(run_answer, text, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_NONE);
    CHECK_EQ(outcome.size, 5);
    CHECK_STR(outcome.output, "hello");
}

static int run_nothing(void *data, Text *output, Failure *why)
{
    (void)data, (void)output, (void)why;
    return 0;
}

TEST(empty_answer_is_success)
{
    Outcome outcome;

    CHECK(run_worker(run_nothing, NULL, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_NONE);
    CHECK_EQ(outcome.size, 0);
}

static int run_failure(void *data, Text *output, Failure *why)
{
    (void)data, (void)output;
    return failure_say(why, FAILURE_NOT_FOUND, "no such thing");
}

TEST(failure_arrives)
{
    Outcome outcome;

    CHECK(run_worker(run_failure, NULL, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_NOT_FOUND);
    CHECK_STR(outcome.why.text, "no such thing");
}

static int run_unexplained(void *data, Text *output, Failure *why)
{
    (void)data, (void)output, (void)why;
    return -EPERM;
}

TEST(failure_without_words_gets_some)
{
    Outcome outcome;

    CHECK(run_worker(run_unexplained, NULL, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_INTERNAL);
    CHECK(strstr(outcome.why.text, "not permitted"));
}

static int run_crash(void *data, Text *output, Failure *why)
{
    (void)data, (void)output, (void)why;
    (void)raise(SIGSEGV);
    return 0;
}

TEST(crash_is_named)
{
    Outcome outcome;

    CHECK(run_worker(run_crash, NULL, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_INTERNAL);
    CHECK(strstr(outcome.why.text, "SIGSEGV"));
}

static int run_big(void *data, Text *output, Failure *why)
{
    char block[1024] = {0};
    int r = 0;

    (void)why;
    for (size_t i = 0; i < *(size_t *)data / sizeof(block) && r == 0; i++)
        r = text_append(output, block, sizeof(block));
    return r;
}

TEST(output_is_bounded)
{
    size_t most = WORKER_OUTPUT_MAX, over = WORKER_OUTPUT_MAX + 1024;
    Outcome outcome;

    CHECK(run_worker(run_big, &most, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_NONE);
    CHECK_EQ(outcome.size, WORKER_OUTPUT_MAX);
    CHECK(run_worker(run_big, &over, CLOCK_SECOND * 10, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_RESOURCE_EXHAUSTED);
}

/* Starts a grandchild that holds a pipe of the test's, and hangs with it. */
static int run_hang(void *data, Text *output, Failure *why)
{
    (void)data, (void)output, (void)why;
    (void)fork();
    while (pause() < 0)
        continue;
    return 0;
}

TEST(deadline_kills_the_whole_group)
{
    uint64_t start = clock_monotonic();
    Outcome outcome;
    int fds[2];
    char byte;

    CHECK_EQ(pipe(fds), 0);
    CHECK(run_worker(run_hang, NULL, CLOCK_MILLISECOND * 50, &outcome));
    CHECK_EQ(outcome.why.code, FAILURE_DEADLINE_EXCEEDED);
    CHECK(clock_monotonic() - start < CLOCK_SECOND * 2);
    (void)close(fds[1]);
    CHECK_EQ(read(fds[0], &byte, 1), 0); /* end of file: no process has the other end any more */
    (void)close(fds[0]);
}

TEST(freed_worker_is_killed_and_silent)
{
    Outcome outcome = {0};
    Worker *worker;

    CHECK_EQ(event_loop_new(&outcome.loop), 0);
    CHECK_EQ(
        worker_start(outcome.loop, run_hang, NULL, UINT64_MAX, on_done, &outcome, &worker, NULL),
        0);
    worker = worker_free(worker);
    CHECK(!worker);
    CHECK_EQ(event_loop_step(outcome.loop, 20), 0);
    CHECK_EQ(outcome.calls, 0);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    (void)event_loop_free(outcome.loop);
}

TEST_MAIN
