/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of an image: several downloaded at a time, each unpacked while it comes. */
#pragma once

#include "dispatcher/image/commit.h"
#include "dispatcher/image/config.h"
#include "dispatcher/image/endpoint.h"
#include "dispatcher/image/http.h"
#include "dispatcher/image/manifest.h"
#include "dispatcher/image/pull.h"

typedef struct DownloadPlan {
    const PullPlan *pull;
    HttpClient *client;
    Endpoints *endpoints;
    ImageCommit *commit;
    const Manifest *manifest;
    const ImageConfig *config; /* with as many layers as the manifest */
} DownloadPlan;

/* Afterwards the commit has all blobs and all layers. −errno; what is half there is the commit's.
 */
int download_layers(const DownloadPlan *plan, Failure *why);
