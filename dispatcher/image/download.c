/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/download.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/blob_fetch.h"
#include "dispatcher/image/layer_job.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"

enum {
    WAIT_MS = 500,
    TURN_WAIT_MS = 50, /* until another commit has fetched what this one needs too */
    PIPE_SIZE = 1024 * 1024,
};

#define UNPACK_TIME_MOST (3600 * CLOCK_SECOND) /* from the last byte on */

typedef struct Download Download;

/* One layer. The bytes go into a file and are hashed as they come; from the file they go on to the
 * unpacker as fast as that takes them, so that neither waits for the other. */
typedef struct DownloadLayer {
    Download *all;
    size_t position;
    const ImageDescriptor *blob;
    char digest[DIGEST_TEXT_SIZE];
    enum {
        LAYER_WAITING,
        LAYER_UNDER_WAY,
        LAYER_DONE,
    } state;
    bool has_begun;
    BlobFetch *fetch; /* NULL: the blob was there from the beginning */
    bool is_there;    /* the blob */
    bool is_unpacked;
    LayerJob *job;       /* NULL: unpacked already, or failed */
    Failure job_failure; /* of an unpacker that did not like bytes which may yet prove wrong */
    int pipe_fd;         /* to the unpacker; −1: it has all, or reads the blob itself */
    off_t fed;           /* bytes it was given */
    uint64_t deadline;   /* of the unpacking, once all is there */
} DownloadLayer;

struct Download {
    const DownloadPlan *plan;
    DownloadLayer *layers;
    size_t count;
    size_t whole; /* so many layers, from the lowest on, are in their places */
};

static void report(const DownloadLayer *layer)
{
    const PullPlan *pull = layer->all->plan->pull;
    PullProgress progress = {
        .digest = layer->digest,
        .position = layer->position,
        .count = layer->all->count,
        .got = layer->fetch      ? blob_fetch_got(layer->fetch)
               : layer->is_there ? layer->blob->size
                                 : 0,
        .size = layer->blob->size,
        .state = layer->state == LAYER_WAITING ? PULL_WAITING
                 : layer->state == LAYER_DONE  ? PULL_DONE
                 : !layer->is_there            ? PULL_DOWNLOADING
                                               : PULL_UNPACKING,
    };

    if (pull->report)
        pull->report(pull->data, &progress);
}

static int fail(const DownloadLayer *layer, Failure *why, int error, const char *what)
{
    (void)failure_set(why, FAILURE_INTERNAL, error, "cannot %s", what);
    failure_prefix(why, "layer %s", layer->digest);
    return -error;
}

/* ---- the bytes ---- */

static int begin_job(DownloadLayer *layer, int archive_fd, Failure *why)
{
    const DownloadPlan *plan = layer->all->plan;
    LayerPlan job = {
        .chain = plan->config->record->layers,
        .position = layer->position,
        .diff_id = &plan->config->diff_ids[layer->position],
        .archive_fd = archive_fd,
        .lower_is_whole = layer->all->whole >= layer->position,
    };
    int r = layer_job_start(plan->commit, &job, &layer->job, why);

    if (r < 0)
        failure_prefix(why, "layer %s", layer->digest);
    return r;
}

static int begin_piped_job(DownloadLayer *layer, Failure *why)
{
    AUTO_CLOSE int read_fd = -1;
    int pair[2], r;

    if (pipe2(pair, O_CLOEXEC) < 0)
        return fail(layer, why, errno, "make a pipe");
    read_fd = pair[0];
    layer->pipe_fd = pair[1];
    layer->fed = 0;
    (void)fcntl(layer->pipe_fd, F_SETPIPE_SZ, PIPE_SIZE); /* only faster */
    r = fd_set_nonblocking(layer->pipe_fd, true);
    return r < 0 ? fail(layer, why, -r, "make a pipe") : begin_job(layer, read_fd, why);
}

/* From the first byte on: what was unpacked so far is worth nothing. */
static int begin_again(void *data, Failure *why)
{
    DownloadLayer *layer = data;
    int r;

    if (layer->is_unpacked)
        return 0;
    layer->job_failure = (Failure){0};
    layer->job = layer_job_free(layer->job);
    fd_close(&layer->pipe_fd);
    r = layer_job_discard(layer->all->plan->commit,
                          layer->all->plan->config->record->layers[layer->position]);
    return r < 0 ? fail(layer, why, -r, "delete what was unpacked") : begin_piped_job(layer, why);
}

/* ---- a layer's beginning, middle and end ---- */

static int begin_fetch(DownloadLayer *layer, Failure *why)
{
    const DownloadPlan *plan = layer->all->plan;
    BlobFetchPlan fetch = {
        .client = plan->client,
        .endpoints = plan->endpoints,
        .commit = plan->commit,
        .blob = layer->blob,
        .stall_timeout = plan->pull->stall_timeout,
        .begin_again = begin_again,
        .data = layer,
    };

    return blob_fetch_start(&fetch, &layer->fetch, why);
}

/* More than one request for a big layer, where the layers alone do not use what is allowed. */
static int split_some(Download *download, Failure *why)
{
    size_t requests = 0;
    int r = 0;

    for (size_t i = 0; i < download->count; i++) {
        DownloadLayer *layer = &download->layers[i];

        if (layer->state == LAYER_WAITING)
            return 0;
        if (layer->fetch && !layer->is_there)
            requests += blob_fetch_requests(layer->fetch);
    }
    for (size_t i = 0; r >= 0 && i < download->count; i++) {
        DownloadLayer *layer = &download->layers[i];

        r = 0;
        while (layer->fetch && !layer->is_there &&
               requests < download->plan->pull->parallel_layers &&
               (r = blob_fetch_split(layer->fetch, why)) > 0)
            requests++;
        if (r < 0)
            failure_prefix(why, "layer %s", layer->digest);
    }
    return r < 0 ? r : 0;
}

/* The same blob may be several layers of one image; it is fetched for the first. */
static bool is_fetched_for_another(const DownloadLayer *layer)
{
    for (size_t i = 0; i < layer->position; i++)
        if (layer->all->layers[i].fetch && !layer->all->layers[i].is_there &&
            digest_equal(&layer->all->layers[i].blob->digest, &layer->blob->digest))
            return true;
    return false;
}

/* 0: it is somebody else's turn. */
static int begin(DownloadLayer *layer, Failure *why)
{
    const DownloadPlan *plan = layer->all->plan;
    AUTO_CLOSE int blob_fd = -1;
    int r, unpacked;

    if (is_fetched_for_another(layer))
        return 0;
    r = image_commit_has_blob(plan->commit, &layer->blob->digest);
    if (r == 0) {
        r = image_commit_claim_blob(plan->commit, &layer->blob->digest);
        if (r == 0)
            return 0;
        /* The one who had it may have finished between the two. */
        r = r < 0 ? r : image_commit_has_blob(plan->commit, &layer->blob->digest);
    }
    if (r < 0)
        return fail(layer, why, -r, "look for its blob");
    unpacked = layer_job_claim(plan->commit, plan->config->record->layers[layer->position], why);
    if (unpacked < 0)
        return unpacked;
    layer->state = LAYER_UNDER_WAY;
    layer->is_unpacked = unpacked > 0;
    if (r == 0) {
        r = begin_fetch(layer, why);
        return r < 0 || unpacked ? r : begin_piped_job(layer, why);
    }
    image_commit_unclaim_blob(plan->commit, &layer->blob->digest);
    layer->is_there = true;
    layer->deadline = clock_monotonic() + UNPACK_TIME_MOST;
    if (unpacked)
        return 0;
    blob_fd = blob_open(image_commit_blobs_fd(plan->commit), &layer->blob->digest, NULL);
    return blob_fd < 0 ? fail(layer, why, -blob_fd, "open its blob")
                       : begin_job(layer, blob_fd, why);
}

static bool has_more_to_feed(const DownloadLayer *layer)
{
    return layer->pipe_fd >= 0 && (uint64_t)layer->fed < blob_fetch_whole(layer->fetch);
}

static int feed(DownloadLayer *layer, Failure *why)
{
    while (has_more_to_feed(layer)) {
        ssize_t count = sendfile(layer->pipe_fd, blob_fetch_fd(layer->fetch), &layer->fed,
                                 (size_t)(blob_fetch_whole(layer->fetch) - (uint64_t)layer->fed));

        if (count < 0 && errno == EAGAIN)
            return 0;
        /* An unpacker that has ended says why itself. */
        if (count < 0 && errno == EPIPE)
            fd_close(&layer->pipe_fd);
        else if (count < 0 && errno != EINTR)
            return fail(layer, why, errno, "feed its unpacker");
    }
    if (layer->is_there)
        fd_close(&layer->pipe_fd);
    return 0;
}

static int go_on_fetching(DownloadLayer *layer, Failure *why)
{
    int r = blob_fetch_step(layer->fetch, why);

    if (r <= 0)
        return r;
    image_commit_unclaim_blob(layer->all->plan->commit, &layer->blob->digest);
    layer->is_there = true;
    layer->deadline = clock_monotonic() + UNPACK_TIME_MOST;
    return 0;
}

/* A broken archive whose bytes still come may be the registry's fault or the image's: the digest
 * will say. No room is no room at once. */
static int go_on_unpacking(DownloadLayer *layer, Failure *why)
{
    Failure failure = {0};
    int r = layer_job_step(layer->job, &failure);

    if (r == 0 && layer->is_there && clock_monotonic() > layer->deadline)
        r = failure_set(&failure, FAILURE_DEADLINE_EXCEEDED, ETIMEDOUT, "unpacking takes too long");
    if (r == 0)
        return 0;
    layer->job = layer_job_free(layer->job);
    layer->is_unpacked = r > 0;
    if (r > 0)
        return 0;
    fd_close(&layer->pipe_fd);
    failure_prefix(&failure, "layer %s", layer->digest);
    layer->job_failure = failure;
    if (!layer->is_there && failure.code != FAILURE_RESOURCE_EXHAUSTED)
        return 0;
    *why = failure;
    return r;
}

static int go_on(DownloadLayer *layer, Failure *why)
{
    int r = layer->is_there ? 0 : go_on_fetching(layer, why);

    if (r == 0 && layer->is_there && layer->job_failure.code != FAILURE_NONE) {
        *why = layer->job_failure;
        return -EINVAL;
    }
    if (r == 0)
        r = feed(layer, why);
    if (r == 0 && layer->job)
        r = go_on_unpacking(layer, why);
    if (r == 0 && layer->is_there && layer->is_unpacked) {
        layer->state = LAYER_DONE;
        layer->fetch = blob_fetch_free(layer->fetch);
    }
    report(layer);
    return r;
}

/* ---- all of them ---- */

static int begin_some(Download *download, bool *ret_wait_for_turn, Failure *why)
{
    size_t under_way = 0;

    for (size_t i = 0; i < download->count; i++)
        under_way += download->layers[i].state == LAYER_UNDER_WAY;
    *ret_wait_for_turn = false;
    for (size_t i = 0; i < download->count && under_way < download->plan->pull->parallel_layers;
         i++) {
        DownloadLayer *layer = &download->layers[i];
        int r = layer->state == LAYER_WAITING ? begin(layer, why) : 0;

        if (r < 0)
            return r;
        if (layer->state == LAYER_WAITING) {
            /* Not even a higher layer: it would want to know of this one. */
            *ret_wait_for_turn = true;
            return 0;
        }
        under_way += layer->state == LAYER_UNDER_WAY && !layer->has_begun;
        layer->has_begun = true;
    }
    return 0;
}

/* Tells those whose layers below have all come to their places meanwhile. */
static int count_whole(Download *download, Failure *why)
{
    while (download->whole < download->count && download->layers[download->whole].is_unpacked) {
        DownloadLayer *next;
        int r;

        download->whole++;
        if (download->whole == download->count)
            break;
        next = &download->layers[download->whole];
        r = next->job ? layer_job_lower_is_whole(next->job, why) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int wait_for_any(const Download *download, int timeout_ms, Failure *why)
{
    struct pollfd fds[2 * PULL_PARALLEL_MAX];
    uint64_t now = clock_monotonic();
    size_t count = 0;

    for (size_t i = 0; i < download->count; i++) {
        const DownloadLayer *layer = &download->layers[i];
        uint64_t deadline =
            layer->fetch && !layer->is_there ? blob_fetch_deadline(layer->fetch) : UINT64_MAX;

        if (layer->state != LAYER_UNDER_WAY)
            continue;
        if (layer->job)
            fds[count++] = (struct pollfd){.fd = layer_job_fd(layer->job), .events = POLLIN};
        if (has_more_to_feed(layer))
            fds[count++] = (struct pollfd){.fd = layer->pipe_fd, .events = POLLOUT};
        if (deadline <= now)
            timeout_ms = 0;
        else if (deadline - now < (uint64_t)timeout_ms * CLOCK_MILLISECOND)
            timeout_ms = (int)((deadline - now) / CLOCK_MILLISECOND) + 1;
    }
    if (http_client_wait(download->plan->client, fds, count, timeout_ms) < 0)
        return failure_set(why, FAILURE_INTERNAL, EIO, "cannot wait for a registry");
    return 0;
}

static int run(Download *download, Failure *why)
{
    for (;;) {
        bool wait_for_turn, all_done = true;
        int r = begin_some(download, &wait_for_turn, why);

        if (r == 0 && !wait_for_turn)
            r = split_some(download, why);
        for (size_t i = 0; r == 0 && i < download->count; i++) {
            if (download->layers[i].state == LAYER_UNDER_WAY)
                r = go_on(&download->layers[i], why);
            all_done = all_done && download->layers[i].state == LAYER_DONE;
        }
        if (r == 0)
            r = count_whole(download, why);
        if (r < 0 || all_done)
            return r;
        r = wait_for_any(download, wait_for_turn ? TURN_WAIT_MS : WAIT_MS, why);
        if (r < 0)
            return r;
    }
}

static void download_done(Download *download)
{
    for (size_t i = 0; i < download->count; i++) {
        DownloadLayer *layer = &download->layers[i];

        blob_fetch_free(layer->fetch);
        layer_job_free(layer->job);
        fd_close(&layer->pipe_fd);
    }
    free(download->layers);
}

int download_layers(const DownloadPlan *plan, Failure *why)
{
    CLEANUP(download_done) Download download = {.plan = plan};

    download.layers = calloc(plan->manifest->entries_count + 1, sizeof(DownloadLayer));
    if (!download.layers)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot download layers");
    download.count = plan->manifest->entries_count;
    for (size_t i = 0; i < download.count; i++) {
        DownloadLayer *layer = &download.layers[i];

        layer->all = &download;
        layer->position = i;
        layer->blob = &plan->manifest->entries[i];
        layer->pipe_fd = -1;
        digest_print(&layer->blob->digest, layer->digest);
        report(layer);
    }
    return run(&download, why);
}
