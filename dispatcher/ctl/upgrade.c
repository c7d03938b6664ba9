/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl upgrade: every podmon executes the new program in its own process, one after the other;
 * containers, their output and their terminals do not notice. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/ctl/command.h"
#include "dispatcher/pods/index.h"
#include "dispatcher/program.h"
#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/message.h"

enum {
    PROTOCOL_VERSION = 1,
    ANSWER_MS = 10 * 1000,
    ARRIVAL_MS = 10 * 1000,
    LOOK_MS = 10,
    MOMENT_MS = 5 * 1000 /* for what a podmon is in the middle of */
};

static void index_cleanup(PodIndex **index)
{
    (void)pod_index_free(*index);
}

static int ask(const Command *command, const char *id, const char *program, Failure *why)
{
    Podmon__Upgrade upgrade = PODMON__UPGRADE__INIT;
    Podmon__Request request = PODMON__REQUEST__INIT;
    AUTO_CLOSE int dir_fd = -1, fd = -1;
    struct pollfd answered = {.events = POLLIN};
    ProtobufCMessage *message = NULL;
    const Podmon__Reply *reply;
    char path[PATH_MAX];
    int r;

    (void)snprintf(path, sizeof(path), "%s/" LAYOUT_PODS "/%s", command->run_dir, id);
    dir_fd = open(path, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
    fd = dir_fd < 0 ? -errno : channel_connect_at(dir_fd, LAYOUT_CONTROL);
    if (fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -fd, "cannot reach its podmon");
    upgrade.program = (char *)(uintptr_t)program; /* only packed */
    request.version = PROTOCOL_VERSION;
    request.call_case = PODMON__REQUEST__CALL_UPGRADE;
    request.upgrade = &upgrade;
    r = message_send(fd, &request.base, NULL, 0);
    answered.fd = fd;
    if (r >= 0 && poll(&answered, 1, ANSWER_MS) == 0)
        r = -ETIMEDOUT;
    if (r >= 0)
        r = message_receive(fd, &podmon__reply__descriptor, NULL, &message);
    if (r <= 0)
        return failure_set(why, FAILURE_UNAVAILABLE, r < 0 ? -r : EPIPE,
                           "its podmon has not answered");
    reply = (const Podmon__Reply *)message;
    r = reply->code == FAILURE_NONE
            ? 0
            : failure_say(why, (FailureCode)reply->code, "%s", reply->message);
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

/* Waits until the pod's record says that it was taken up once more. */
static int await_arrival(PodIndex *index, const char *id, uint32_t before, Failure *why)
{
    uint64_t deadline = clock_monotonic() + ARRIVAL_MS * CLOCK_MILLISECOND;
    const Pod *pod;

    do {
        pod_index_sync(index);
        if (pod_index_find(index, id, &pod) < 0)
            return 0; /* Removed meanwhile. */
        if (pod->record->podmon_starts > before) {
            (void)printf("%.*s  now %s\n", ID_SHORT, id, pod->record->podmon_version);
            return 0;
        }
        (void)poll(NULL, 0, LOOK_MS);
    } while (clock_monotonic() < deadline);
    return failure_say(why, FAILURE_DEADLINE_EXCEEDED, "the new podmon has not come up in time");
}

static int upgrade_pod(const Command *command, PodIndex *index, const char *id, uint32_t before,
                       const char *program)
{
    uint64_t deadline = clock_monotonic() + MOMENT_MS * CLOCK_MILLISECOND;
    Failure why = {0};
    int r = ask(command, id, program, &why);

    while (r < 0 && why.code == FAILURE_UNAVAILABLE && clock_monotonic() < deadline) {
        (void)poll(NULL, 0, LOOK_MS);
        r = ask(command, id, program, &why);
    }
    if (r >= 0)
        r = await_arrival(index, id, before, &why);
    if (r < 0)
        (void)printf("%.*s  not upgraded: %s\n", ID_SHORT, id, why.text);
    return r;
}

int command_upgrade(const Command *command, Failure *why)
{
    CLEANUP(index_cleanup) PodIndex *index = NULL;
    AUTO_FREE char *installed = NULL;
    AUTO_FREE char *program = NULL;
    const char *named = command->arguments[0];
    size_t failed = 0, count;
    int r = named ? 0 : program_find_podmon(command->config, &installed, why);

    if (r < 0)
        return r;
    named = named ? named : installed;
    program = realpath(named, NULL);
    if (!program)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "there is no program \"%s\"", named);
    r = pod_index_new(command->run_dir, command->root_dir, &index, why);
    if (r < 0)
        return r;
    count = pod_index_count(index);
    for (size_t i = 0; i < count; i++) {
        /* The index changes while it is waited for: what is in it is looked at afresh. */
        const Pod *pod = i < pod_index_count(index) ? pod_index_get(index, i) : NULL;
        char id[ID_SIZE];

        if (!pod || pod->stale || pod->record->phase != PODMON__POD_PHASE__POD_READY)
            continue;
        (void)snprintf(id, sizeof(id), "%s", pod->record->spec->id);
        failed += upgrade_pod(command, index, id, pod->record->podmon_starts, program) < 0;
    }
    if (failed > 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "%zu pods were not upgraded; they go on as they are", failed);
    return 0;
}
