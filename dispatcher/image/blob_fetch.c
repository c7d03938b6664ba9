/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/blob_fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/commit_part.h"
#include "dispatcher/image/fetch.h"
#include "dispatcher/image/partial.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

enum {
    RANGES_MAX = 32,
    HASH_SIZE = 256 * 1024,
    HASH_STEP = 8 * 1024 * 1024, /* in one step of what came before its turn */
};

#define RANGE_LEAST (UINT64_C(8) << 20)   /* that is worth a request of its own */
#define PARTIAL_LEAST (UINT64_C(1) << 20) /* that is worth being kept for the next download */

/* The blob is cut into ranges, in their order and without gaps. Each is complete, or being fetched,
 * or was given up by a helper; such a one is fetched once all before it is there. */
typedef struct Range {
    BlobFetch *all;
    uint64_t begin, at, end; /* the first byte; the next one wanted; behind the last */
    Fetch *fetch;
    bool is_helper; /* one try at one endpoint: whatever it cannot do is done without it */
} Range;

struct BlobFetch {
    BlobFetchPlan plan;
    char digest[DIGEST_TEXT_SIZE], path[DIGEST_TEXT_SIZE + 8], what[DIGEST_TEXT_SIZE + 8];
    int fd;
    DigestStream *hash;
    uint64_t whole;            /* bytes from the first on that are there and hashed */
    Range *ranges[RANGES_MAX]; /* in their order */
    size_t count;
    bool is_plain; /* one request for all, whose end is judged by the fetch itself */
    bool no_split; /* a helper has failed: the server may not like ranges */
    bool is_wrong; /* not to be kept */
    bool is_published;
};

static int failed(Failure *why, int error, const char *what)
{
    return failure_set(why, FAILURE_INTERNAL, error, "cannot %s", what);
}

/* ---- bytes ---- */

static int write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t count = TEMP_FAILURE_RETRY(pwrite(fd, at, size, (off_t)offset));

        if (count < 0)
            return -errno;
        at += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

/* From the first byte on again, and all in one. */
static int begin_again(BlobFetch *fetch, Failure *why)
{
    int r;

    digest_stream_free(TAKE(fetch->hash));
    r = digest_stream_new(fetch->plan.blob->digest.algorithm, &fetch->hash);
    if (r < 0 || ftruncate(fetch->fd, 0) < 0)
        return failed(why, r < 0 ? -r : errno, "begin a download");
    fetch->whole = 0;
    fetch->is_wrong = false;
    return fetch->plan.begin_again(fetch->plan.data, why);
}

static int take_bytes(void *data, uint64_t offset, const void *bytes, size_t size, Failure *why)
{
    Range *range = data;
    BlobFetch *fetch = range->all;
    int r = fetch->is_plain && offset == 0 && fetch->whole > 0 ? begin_again(fetch, why) : 0;

    if (r < 0)
        return r;
    r = write_at(fetch->fd, bytes, size, offset);
    if (r == 0 && offset == fetch->whole) {
        r = digest_stream_add(fetch->hash, bytes, size);
        fetch->whole += size;
    }
    if (r < 0)
        return failed(why, -r, "store its bytes");
    range->at = offset + size;
    return 0;
}

static int check_digest(BlobFetch *fetch, Failure *why)
{
    char text[DIGEST_TEXT_SIZE];
    Digest found;

    if (digest_stream_finish(fetch->hash, &found) < 0)
        return failed(why, EIO, "hash");
    if (digest_equal(&found, &fetch->plan.blob->digest))
        return 0;
    fetch->is_wrong = true;
    digest_print(&found, text);
    return failure_say(why, FAILURE_FAILED_PRECONDITION, "its bytes have digest %s", text);
}

/* Of one range among several nothing can be said. */
static int check_bytes(void *data, const char *content_type, Failure *why)
{
    Range *range = data;

    (void)content_type;
    return range->all->is_plain ? check_digest(range->all, why) : 0;
}

/* Hashes some of what has come before its turn. */
static int catch_up(BlobFetch *fetch, Failure *why)
{
    AUTO_FREE char *buffer = NULL;
    uint64_t there = 0, most = fetch->whole + HASH_STEP;

    for (size_t i = 0; i < fetch->count && there == fetch->ranges[i]->begin; i++)
        there = fetch->ranges[i]->at;
    if (there <= fetch->whole)
        return 0;
    buffer = malloc(HASH_SIZE);
    if (!buffer)
        return failed(why, ENOMEM, "hash");
    while (fetch->whole < there && fetch->whole < most) {
        uint64_t left = there - fetch->whole;
        ssize_t count = TEMP_FAILURE_RETRY(pread(
            fetch->fd, buffer, left < HASH_SIZE ? (size_t)left : HASH_SIZE, (off_t)fetch->whole));

        if (count <= 0 || digest_stream_add(fetch->hash, buffer, (size_t)count) < 0)
            return failed(why, count < 0 ? errno : EIO, "read what was downloaded");
        fetch->whole += (uint64_t)count;
    }
    return 0;
}

/* ---- ranges ---- */

static int start_range(BlobFetch *fetch, Range *range, size_t endpoint, Failure *why)
{
    FetchPlan plan = {
        .client = fetch->plan.client,
        .endpoints = fetch->plan.endpoints,
        .path = fetch->path,
        .what = fetch->what,
        .size = fetch->plan.blob->size,
        .limit = fetch->plan.blob->size,
        .from = range->at,
        .end = range->end < fetch->plan.blob->size ? range->end : 0,
        .endpoint = endpoint,
        .once = range->is_helper,
        .stall_timeout = fetch->plan.stall_timeout,
        .take = take_bytes,
        .check = check_bytes,
        .data = range,
    };

    return fetch_start(&plan, &range->fetch, why);
}

static void drop_ranges(BlobFetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        fetch_free(fetch->ranges[i]->fetch);
        free(fetch->ranges[i]);
    }
    fetch->count = 0;
}

/* At that place among the ranges; NULL: no memory. */
static Range *add_range(BlobFetch *fetch, size_t place, uint64_t begin, uint64_t end)
{
    Range *range = calloc(1, sizeof(*range));

    if (!range)
        return NULL;
    *range = (Range){.all = fetch, .begin = begin, .at = begin, .end = end};
    for (size_t i = fetch->count; i > place; i--)
        fetch->ranges[i] = fetch->ranges[i - 1];
    fetch->ranges[place] = range;
    fetch->count++;
    return range;
}

/* One request for everything, without what was there before. */
static int start_plain(BlobFetch *fetch, Failure *why)
{
    Range *range;

    drop_ranges(fetch);
    fetch->is_plain = fetch->no_split = true;
    range = add_range(fetch, 0, 0, fetch->plan.blob->size);
    return range ? start_range(fetch, range, 0, why) : failed(why, ENOMEM, "begin a download");
}

/* What others have brought or mixed may be what is wrong. */
static int start_over(BlobFetch *fetch, Failure *why)
{
    int r = begin_again(fetch, why);

    return r < 0 ? r : start_plain(fetch, why);
}

static bool is_complete(const Range *range)
{
    return range->at == range->end && !range->fetch;
}

static int step_range(BlobFetch *fetch, Range *range, Failure *why)
{
    Failure ignored = {0};
    int r = fetch_step(range->fetch, range->is_helper ? &ignored : why);

    if (r == 0)
        return 0;
    range->fetch = fetch_free(range->fetch);
    if (r > 0)
        return 0;
    if (range->is_helper && ignored.code != FAILURE_RESOURCE_EXHAUSTED) {
        fetch->no_split = true;
        range->is_helper = false;
        return 0;
    }
    if (range->is_helper)
        *why = ignored;
    return r;
}

/* The first that is not complete is somebody's business: without it nothing goes on. */
static int start_first(BlobFetch *fetch, Failure *why)
{
    for (size_t i = 0; i < fetch->count; i++)
        if (!is_complete(fetch->ranges[i]))
            return fetch->ranges[i]->fetch ? 0 : start_range(fetch, fetch->ranges[i], 0, why);
    return 0;
}

static int publish(BlobFetch *fetch, Failure *why)
{
    int r = blob_publish(image_commit_blobs_fd(fetch->plan.commit), fetch->fd,
                         &fetch->plan.blob->digest, why);

    if (r < 0)
        return r;
    fetch->is_published = true;
    partial_remove(&fetch->plan.commit->place, &fetch->plan.blob->digest);
    return 1;
}

int blob_fetch_step(BlobFetch *fetch, Failure *why)
{
    bool all_complete = true;
    Failure wrong = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < fetch->count; i++)
        if (fetch->ranges[i]->fetch)
            r = step_range(fetch, fetch->ranges[i], why);
    if (r == 0 && !fetch->is_plain)
        r = catch_up(fetch, why);
    if (r < 0) {
        fetch->is_wrong = fetch->is_wrong || why->code == FAILURE_RESOURCE_EXHAUSTED;
        /* The registry has said what it does not take back: what is here may not fit to it. */
        if (fetch->is_plain || why->code != FAILURE_FAILED_PRECONDITION)
            return r;
        return start_over(fetch, why);
    }
    for (size_t i = 0; i < fetch->count; i++)
        all_complete = all_complete && is_complete(fetch->ranges[i]);
    if (!all_complete)
        return start_first(fetch, why);
    if (fetch->whole < fetch->plan.blob->size)
        return 0;
    if (!fetch->is_plain && check_digest(fetch, &wrong) < 0)
        return start_over(fetch, why);
    return publish(fetch, why);
}

uint64_t blob_fetch_deadline(const BlobFetch *fetch)
{
    uint64_t deadline = UINT64_MAX, there = 0;

    for (size_t i = 0; i < fetch->count; i++) {
        const Range *range = fetch->ranges[i];

        if (there == range->begin)
            there = range->at;
        if (range->fetch && fetch_deadline(range->fetch) < deadline)
            deadline = fetch_deadline(range->fetch);
    }
    return there > fetch->whole ? 0 : deadline;
}

uint64_t blob_fetch_whole(const BlobFetch *fetch)
{
    return fetch->whole;
}

uint64_t blob_fetch_got(const BlobFetch *fetch)
{
    uint64_t left = 0;

    for (size_t i = 0; i < fetch->count; i++)
        left += fetch->ranges[i]->end - fetch->ranges[i]->at;
    return fetch->plan.blob->size - left;
}

int blob_fetch_fd(const BlobFetch *fetch)
{
    return fetch->fd;
}

size_t blob_fetch_requests(const BlobFetch *fetch)
{
    size_t count = 0;

    for (size_t i = 0; i < fetch->count; i++)
        count += fetch->ranges[i]->fetch != NULL;
    return count;
}

/* The place of the range with the most before it; −1: none. */
static int find_longest(const BlobFetch *fetch)
{
    uint64_t most = 0;
    int place = -1;

    for (size_t i = 0; i < fetch->count; i++) {
        const Range *range = fetch->ranges[i];

        /* Not before it has shown that its endpoint gives something. */
        if (range->fetch && range->at > range->begin && range->end - range->at > most) {
            most = range->end - range->at;
            place = (int)i;
        }
    }
    return place;
}

int blob_fetch_split(BlobFetch *fetch, Failure *why)
{
    int place = fetch->no_split || fetch->count == RANGES_MAX ? -1 : find_longest(fetch), r;
    Range *longest, *half;
    uint64_t middle;

    if (place < 0)
        return 0;
    longest = fetch->ranges[place];
    if (longest->end - longest->at < 2 * RANGE_LEAST)
        return 0;
    middle = longest->at + (longest->end - longest->at) / 2;
    half = add_range(fetch, (size_t)place + 1, middle, longest->end);
    if (!half)
        return failed(why, ENOMEM, "begin a download");
    half->is_helper = true;
    fetch->is_plain = false;
    longest->end = middle;
    fetch_shorten(longest->fetch, middle);
    r = start_range(fetch, half, fetch_endpoint(longest->fetch), why);
    return r < 0 ? r : 1;
}

/* ---- beginning and end ---- */

static int start(BlobFetch *fetch, Failure *why)
{
    uint64_t size = fetch->plan.blob->size, begun = 0;
    Range *range;
    int r;

    fetch->fd = partial_open(&fetch->plan.commit->place, &fetch->plan.blob->digest, size, &begun);
    if (fetch->fd < 0)
        return failed(why, -fetch->fd, "begin a download");
    r = digest_stream_new(fetch->plan.blob->digest.algorithm, &fetch->hash);
    if (r < 0)
        return failed(why, -r, "hash");
    if (begun == 0 && ftruncate(fetch->fd, 0) < 0)
        return failed(why, errno, "begin a download");
    fetch->is_plain = begun == 0;
    range = add_range(fetch, 0, 0, size);
    if (!range)
        return failed(why, ENOMEM, "begin a download");
    range->at = begun;
    return start_range(fetch, range, 0, why);
}

int blob_fetch_start(const BlobFetchPlan *plan, BlobFetch **ret, Failure *why)
{
    BlobFetch *fetch = calloc(1, sizeof(*fetch));
    int r;

    if (!fetch)
        return failed(why, ENOMEM, "begin a download");
    fetch->plan = *plan;
    fetch->fd = -1;
    digest_print(&plan->blob->digest, fetch->digest);
    (void)snprintf(fetch->path, sizeof(fetch->path), "blobs/%s", fetch->digest);
    (void)snprintf(fetch->what, sizeof(fetch->what), "layer %s", fetch->digest);
    r = start(fetch, why);
    if (r < 0) {
        failure_prefix(why, "%s", fetch->what);
        blob_fetch_free(fetch);
        return r;
    }
    *ret = fetch;
    return 0;
}

BlobFetch *blob_fetch_free(BlobFetch *fetch)
{
    if (!fetch)
        return NULL;
    if (fetch->fd >= 0 && !fetch->is_published &&
        (fetch->is_wrong || blob_fetch_got(fetch) < PARTIAL_LEAST))
        partial_remove(&fetch->plan.commit->place, &fetch->plan.blob->digest);
    drop_ranges(fetch);
    digest_stream_free(fetch->hash);
    fd_close(&fetch->fd);
    free(fetch);
    return NULL;
}
