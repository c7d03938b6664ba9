/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/pull.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/download.h"
#include "dispatcher/image/fetch.h"
#include "dispatcher/image/garbage.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/text.h"

#define OCI "application/vnd.oci.image."
#define DOCKER "application/vnd.docker.distribution.manifest."

enum {
    PUBLISH_TRIES = 3, /* layers of the store may go while the rest is downloaded */
    TURN_WAIT_MS = 20, /* until another commit has fetched what this one needs too */
};

static const char *const manifest_types[] = {
    OCI "manifest.v1+json",
    OCI "index.v1+json",
    DOCKER "v2+json",
    DOCKER "list.v2+json",
};

static const char accepted[] =
    OCI "manifest.v1+json, " OCI "index.v1+json, " DOCKER "v2+json, " DOCKER "list.v2+json";

typedef struct Pull {
    const PullPlan *plan;
    ImageReference reference;
    Registries registries;
    Endpoints endpoints;
    HttpClient *client;
    ImageCommit *commit;
} Pull;

static void pull_done(Pull *pull)
{
    image_commit_free(pull->commit);
    http_client_free(pull->client);
    endpoints_done(&pull->endpoints);
    registries_done(&pull->registries);
}

/* ---- documents ---- */

/* A manifest or a configuration, on its way into memory. */
typedef struct Document {
    Text text;
    const Digest *expected; /* NULL: whatever it is */
    bool is_manifest;
} Document;

static void document_done(Document *document)
{
    text_done(&document->text);
}

static int take_bytes(void *data, uint64_t offset, const void *bytes, size_t size, Failure *why)
{
    Document *document = data;

    if (offset == 0)
        text_done(&document->text);
    if (text_append(&document->text, bytes, size) < 0)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot keep it");
    return 0;
}

/* What says nothing of itself is looked at. */
static bool may_be_manifest(const char *content_type)
{
    static const char *const vague[] = {"", "application/json", "application/octet-stream",
                                        "text/plain"};

    for (size_t i = 0; i < sizeof(manifest_types) / sizeof(manifest_types[0]); i++)
        if (strcmp(content_type, manifest_types[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof(vague) / sizeof(vague[0]); i++)
        if (strcmp(content_type, vague[i]) == 0)
            return true;
    return false;
}

static int check_document(void *data, const char *content_type, Failure *why)
{
    const Document *document = data;
    CLEANUP(manifest_done) Manifest manifest = {0};
    char text[DIGEST_TEXT_SIZE];
    Digest found;
    int r;

    if (document->is_manifest && !may_be_manifest(content_type))
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "is of type \"%.100s\", which is no manifest that is known",
                           content_type);
    if (document->expected) {
        r = digest_of(document->expected->algorithm, document->text.data ? document->text.data : "",
                      document->text.size, &found);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot hash");
        digest_print(&found, text);
        if (!digest_equal(&found, document->expected))
            return failure_say(why, FAILURE_FAILED_PRECONDITION, "its bytes have digest %s", text);
    }
    if (!document->is_manifest)
        return 0;
    r = manifest_parse(document->text.data ? document->text.data : "", document->text.size,
                       &manifest, why);
    if (r < 0 && why->code == FAILURE_INVALID_ARGUMENT)
        why->code = FAILURE_FAILED_PRECONDITION;
    return r;
}

static int store_document(const Pull *pull, const Document *document, Digest *ret, Failure *why)
{
    AUTO_CLOSE int fd = fd_sealed_memory("document", document->text.data, document->text.size);

    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot keep a manifest");
    return blob_store(image_commit_blobs_fd(pull->commit), fd, document->expected,
                      document->text.size, ret, NULL, why);
}

/* Into the commit; `expected` may be NULL, then `name` is a tag. */
static int fetch_document(const Pull *pull, bool is_manifest, const char *name,
                          const Digest *expected, uint64_t size, Digest *ret, Failure *why)
{
    CLEANUP(document_done) Document document = {.expected = expected, .is_manifest = is_manifest};
    char path[IMAGE_REFERENCE_TAG_MAX + DIGEST_TEXT_SIZE + 16];
    FetchPlan plan = {
        .client = pull->client,
        .endpoints = (Endpoints *)(uintptr_t)&pull->endpoints,
        .path = path,
        .accept = is_manifest ? accepted : NULL,
        .what = is_manifest ? "manifest" : "configuration",
        .size = size,
        .limit = is_manifest ? (uint64_t)MANIFEST_SIZE_MAX : (uint64_t)IMAGE_CONFIG_SIZE_MAX,
        .stall_timeout = pull->plan->stall_timeout,
        .take = take_bytes,
        .check = check_document,
        .data = &document,
    };
    int r;

    if (size != FETCH_SIZE_UNKNOWN && size > plan.limit)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "%s %s: has %" PRIu64 " bytes, the limit is %" PRIu64, plan.what, name,
                           size, plan.limit);
    (void)snprintf(path, sizeof(path), "%s/%s", is_manifest ? "manifests" : "blobs", name);
    r = fetch_run(&plan, why);
    return r < 0 ? r : store_document(pull, &document, ret, why);
}

/* 1: the commit has it; 0: it is this commit's turn to fetch it. */
static int take_turn(const Pull *pull, const Digest *digest)
{
    static const struct timespec pause = {.tv_nsec = TURN_WAIT_MS * 1000L * 1000L};

    for (;;) {
        int r = image_commit_has_blob(pull->commit, digest);

        if (r != 0)
            return r;
        r = image_commit_claim_blob(pull->commit, digest);
        /* The one who had it may have finished between the two. */
        if (r != 0)
            return r < 0 ? r : image_commit_has_blob(pull->commit, digest);
        (void)nanosleep(&pause, NULL);
    }
}

/* One that another document names. */
static int get_document(const Pull *pull, bool is_manifest, const ImageDescriptor *descriptor,
                        Failure *why)
{
    char text[DIGEST_TEXT_SIZE];
    int r = take_turn(pull, &descriptor->digest);

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot look for a blob");
    digest_print(&descriptor->digest, text);
    if (r == 0)
        r = fetch_document(pull, is_manifest, text, &descriptor->digest, descriptor->size, NULL,
                           why);
    image_commit_unclaim_blob(pull->commit, &descriptor->digest);
    return r < 0 ? r : 0;
}

/* ---- the image ---- */

static int read_manifest(const Pull *pull, const Digest *digest, Manifest *ret, Failure *why)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    int r = blob_read(image_commit_blobs_fd(pull->commit), digest, MANIFEST_SIZE_MAX, &text, &size,
                      why);

    return r < 0 ? r : manifest_parse(text, size, ret, why);
}

/* From what the reference names, through indexes, to this machine's manifest. */
static int find_manifest(const Pull *pull, Digest *ret_named, Digest *ret_digest, Manifest *ret,
                         Failure *why)
{
    const ImageReference *reference = &pull->reference;
    CLEANUP(manifest_done) Manifest manifest = {0};
    Digest wanted;
    bool has_digest = reference->digest[0] && digest_parse(reference->digest, &wanted) == 0;
    int r = fetch_document(pull, true, has_digest ? reference->digest : reference->tag,
                           has_digest ? &wanted : NULL, FETCH_SIZE_UNKNOWN, ret_named, why);

    if (r < 0)
        return r;
    if (has_digest)
        *ret_named = wanted;
    *ret_digest = *ret_named;
    r = read_manifest(pull, ret_digest, &manifest, why);
    for (int depth = 0; r == 0 && manifest.is_index; depth++) {
        Manifest inner;
        size_t chosen;

        if (depth == MANIFEST_NESTING_MAX)
            return failure_say(why, FAILURE_FAILED_PRECONDITION, "has indexes more than %d deep",
                               MANIFEST_NESTING_MAX);
        if ((r = manifest_choose(&manifest, &chosen, why)) < 0 ||
            (r = get_document(pull, true, &manifest.entries[chosen], why)) < 0)
            return r;
        *ret_digest = manifest.entries[chosen].digest;
        r = read_manifest(pull, ret_digest, &inner, why);
        if (r < 0)
            return r;
        manifest_done(&manifest);
        manifest = inner;
    }
    if (r < 0)
        return r;
    *ret = manifest;
    manifest = (Manifest){0};
    return 0;
}

static int check_layers(const Manifest *manifest, const ImageConfig *config, Failure *why)
{
    for (size_t i = 0; i < manifest->entries_count; i++)
        if (!manifest_layer_is_known(manifest->entries[i].media_type))
            return failure_say(why, FAILURE_FAILED_PRECONDITION,
                               "layer %zu is of type \"%.200s\", which is not supported", i + 1,
                               manifest->entries[i].media_type);
    if (config->diff_ids_count != manifest->entries_count)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "the manifest has %zu layers, the configuration %zu",
                           manifest->entries_count, config->diff_ids_count);
    return 0;
}

static int read_config(const Pull *pull, const Manifest *manifest, ImageConfig *ret, Failure *why)
{
    CLEANUP(image_config_done) ImageConfig config = {0};
    AUTO_FREE char *text = NULL;
    size_t size;
    int r = get_document(pull, false, &manifest->config, why);

    if (r < 0 || (r = blob_read(image_commit_blobs_fd(pull->commit), &manifest->config.digest,
                                IMAGE_CONFIG_SIZE_MAX, &text, &size, why)) < 0)
        return r;
    if ((r = image_config_parse(text, size, &config, why)) < 0 ||
        (r = check_layers(manifest, &config, why)) < 0)
        return r;
    *ret = config;
    config = (ImageConfig){0};
    return 0;
}

static int add_image(const Pull *pull, const Digest *named, const Digest *digest,
                     char ret_id[DIGEST_TEXT_SIZE], Failure *why)
{
    char tag[IMAGE_REFERENCE_SIZE], by_digest[IMAGE_REFERENCE_SIZE], text[DIGEST_TEXT_SIZE];
    char *tags[] = {tag, NULL}, *digests[] = {by_digest, NULL};
    const Podmon__ImageRecord *record;
    int r;

    image_reference_print_tag(&pull->reference, tag);
    digest_print(named, text);
    image_reference_print_digest(&pull->reference, text, by_digest);
    r = image_commit_add(pull->commit, digest, pull->reference.digest[0] ? NULL : tags, digests,
                         &record, why);
    if (r < 0)
        return r;
    (void)snprintf(ret_id, DIGEST_TEXT_SIZE, "%s", record->id);
    return image_commit_publish(pull->commit, why);
}

static int pull_once(Pull *pull, char ret_id[DIGEST_TEXT_SIZE], Failure *why)
{
    CLEANUP(manifest_done) Manifest manifest = {0};
    CLEANUP(image_config_done) ImageConfig config = {0};
    Digest named, digest;
    DownloadPlan plan = {
        .pull = pull->plan,
        .client = pull->client,
        .endpoints = &pull->endpoints,
        .manifest = &manifest,
        .config = &config,
    };
    int r;

    pull->commit = image_commit_free(pull->commit);
    if ((r = image_commit_new(pull->plan->root_dir, &pull->commit, why)) < 0 ||
        (r = find_manifest(pull, &named, &digest, &manifest, why)) < 0 ||
        (r = read_config(pull, &manifest, &config, why)) < 0)
        return r;
    plan.commit = pull->commit;
    r = download_layers(&plan, why);
    return r < 0 ? r : add_image(pull, &named, &digest, ret_id, why);
}

static int prepare(Pull *pull, Failure *why)
{
    CLEANUP(image_place_done) ImagePlace place = {-1, -1, -1, -1, -1, NULL};
    int r;

    r = image_place_open(pull->plan->root_dir, &place, why);
    if (r < 0)
        return r;
    /* libcurl has no proxies by kind of address but through the environment, where also those are
     * named that are to be reached without. */
    if (pull->plan->proxy &&
        (setenv("http_proxy", pull->plan->proxy, 1) < 0 ||
         setenv("https_proxy", pull->plan->proxy, 1) < 0 || unsetenv("HTTPS_PROXY") < 0))
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot set the proxy");
    /* What cannot be deleted now is in nobody's way. */
    (void)image_garbage_sweep(&place, NULL);
    if ((r = registries_load(pull->plan->registries_dir, &pull->registries, why)) < 0 ||
        (r = endpoints_make(&pull->reference, &pull->registries, pull->plan->credentials,
                            &pull->endpoints, why)) < 0)
        return r;
    r = http_client_new(&pull->client);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare for HTTP") : 0;
}

int image_pull(const PullPlan *plan, char ret_id[DIGEST_TEXT_SIZE], Failure *why)
{
    CLEANUP(pull_done) Pull pull = {.plan = plan};
    int r = image_reference_parse(plan->reference, &pull.reference, why);

    if (r < 0)
        return r;
    r = prepare(&pull, why);
    for (int try = 0; r == 0; try++) {
        r = pull_once(&pull, ret_id, why);
        if (r != -EAGAIN || try + 1 == PUBLISH_TRIES)
            break;
        r = 0;
    }
    if (r < 0) {
        /* The caller's argument was good; what the registry has is not. */
        if (why->code == FAILURE_INVALID_ARGUMENT)
            why->code = FAILURE_FAILED_PRECONDITION;
        failure_prefix(why, "%.300s", plan->reference);
    }
    return r;
}
