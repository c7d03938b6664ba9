/* SPDX-License-Identifier: Apache-2.0 */
/* One layer on its way into a commit: its directory, the confined child that unpacks into it, and
 * the check of what came out. The archive's bytes come from a descriptor: a blob's file, or a pipe
 * that a download fills meanwhile. */
#pragma once

#include "dispatcher/image/commit.h"

typedef struct LayerJob LayerJob;

typedef struct LayerPlan {
    char *const *chain; /* chain ids of the image, lowest first */
    size_t position;    /* of this layer in it */
    const Digest *diff_id;
    int archive_fd;      /* borrowed by layer_job_start for the call */
    bool lower_is_whole; /* are all layers below in their places? */
} LayerPlan;

/* 1: the layer is in the commit, or in the store and kept from garbage collection; 0: it has to be
 * made. */
int layer_job_claim(ImageCommit *commit, const char *chain_id, Failure *why);

/* Layers may be made at the same time, lower ones begun first. The commit outlives the job. */
int layer_job_start(ImageCommit *commit, const LayerPlan *plan, LayerJob **ret, Failure *why);
LayerJob *layer_job_free(LayerJob *job);

/* What the child wants to know of the layers below is answered from now on. */
int layer_job_lower_is_whole(LayerJob *job, Failure *why);

/* Deletes what a job that was freed before its end has made. */
int layer_job_discard(ImageCommit *commit, const char *chain_id);

/* Readable when layer_job_step has something to do. */
int layer_job_fd(const LayerJob *job);

/* 0: not done yet; 1: the layer is made; −errno. Never waits. */
int layer_job_step(LayerJob *job, Failure *why);

/* Start, and steps to the end. */
int layer_job_run(ImageCommit *commit, const LayerPlan *plan, Failure *why);
