/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dispatcher/image/pull.h"
#include "dispatcher/image/worker_group.h"
#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"

#if defined(__SANITIZE_ADDRESS__)
#define WORKER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WORKER_SANITIZED 1
#endif
#endif
#ifndef WORKER_SANITIZED
#define WORKER_SANITIZED 0
#endif

enum {
    ORDER_TIMEOUT_MS = 10 * 1000,
    FILES_MAX = 4096,
};

#define MEMORY_MAX (UINT64_C(1) << 30) /* of address space */

static int limit_self(void)
{
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX}, core = {0, 0};
    const struct rlimit files = {FILES_MAX, FILES_MAX};

    /* Nobody but root may look into a process that holds secrets. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
        setrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    return !WORKER_SANITIZED && setrlimit(RLIMIT_AS, &memory) < 0 ? -errno : 0;
}

static Pull__Order *receive_order(void)
{
    CLEANUP(channel_message_done) ChannelMessage message = {0};
    struct pollfd readable = {.fd = WORKER_CHANNEL_FD, .events = POLLIN};
    Pull__Order *order;

    if (poll(&readable, 1, ORDER_TIMEOUT_MS) != 1 ||
        channel_receive(WORKER_CHANNEL_FD, &message) != 1)
        return NULL;
    order = pull__order__unpack(NULL, message.size, message.data);
    explicit_bzero(message.data, message.size);
    return order;
}

static int carry_out(const Pull__Order *order, char ret_id[DIGEST_TEXT_SIZE], Failure *why)
{
    static const Pull__Credentials none = PULL__CREDENTIALS__INIT;
    CLEANUP(credentials_done) Credentials credentials = {0};
    PullPlan plan = {
        .root_dir = order->root_dir,
        .registries_dir = order->registries_dir,
        .reference = order->reference,
        .credentials = &credentials,
        .parallel_layers = order->parallel_layers,
        .stall_timeout = order->stall_timeout_ms * CLOCK_MILLISECOND,
        .proxy = *order->proxy ? order->proxy : NULL,
    };
    int r =
        credentials_make(order->credentials ? order->credentials : &none, NULL, &credentials, why);

    return r < 0 ? r : image_pull(&plan, ret_id, why);
}

static void wipe(Pull__Order *order)
{
    Pull__Credentials *credentials = order->credentials;

    if (credentials) {
        char *const secrets[] = {credentials->username, credentials->password,
                                 credentials->identity_token, credentials->registry_token};

        for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
            explicit_bzero(secrets[i], strlen(secrets[i]));
    }
    pull__order__free_unpacked(order, NULL);
}

static int send_answer(const Pull__Answer *answer)
{
    size_t size = pull__answer__get_packed_size(answer);
    AUTO_FREE uint8_t *data = malloc(size + 1);

    if (!data)
        return -ENOMEM;
    (void)pull__answer__pack(answer, data);
    return channel_send(WORKER_CHANNEL_FD, data, size, NULL, 0);
}

/* Without a group of its own it is bounded by its address space alone, and the pull goes on. */
static void enter_group(const Pull__Order *order)
{
    const WorkerGroupPlan plan = {order->slice, order->systemd, order->memory_max,
                                  order->reference};
    Failure why = {0};

    if (*order->slice && worker_group_enter(&plan, &why) < 0)
        log_warning("pull of %.300s: %s", order->reference, why.text);
}

int image_worker_run(void)
{
    Pull__Answer answer = PULL__ANSWER__INIT;
    char id[DIGEST_TEXT_SIZE];
    Pull__Order *order;
    Failure why = {0};
    int r;

    (void)signal(SIGPIPE, SIG_IGN);
    if (limit_self() < 0 || !(order = receive_order())) {
        log_error("an image worker has no order");
        return EXIT_FAILURE;
    }
    enter_group(order);
    r = carry_out(order, id, &why);
    if (r < 0) {
        answer.failure_code = why.code;
        answer.failure_text = why.text;
    } else {
        answer.image_id = id;
    }
    wipe(order);
    return send_answer(&answer) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
