/* SPDX-License-Identifier: Apache-2.0 */
/* One handler per method of runtime.v1 that is built; the table in methods.c names them. Each is a
 * CriHandler. */
#pragma once

#include "dispatcher/api/call.h"

/* node.c */
void cri_version(CriCall *call);
void cri_status(CriCall *call);
void cri_runtime_config(CriCall *call);
void cri_update_runtime_config(CriCall *call);

/* pod.c */
void cri_run_pod_sandbox(CriCall *call);
void cri_stop_pod_sandbox(CriCall *call);
void cri_remove_pod_sandbox(CriCall *call);
void cri_pod_sandbox_status(CriCall *call);
void cri_update_pod_sandbox_resources(CriCall *call);

/* container.c */
void cri_create_container(CriCall *call);
void cri_start_container(CriCall *call);
void cri_stop_container(CriCall *call);
void cri_remove_container(CriCall *call);
void cri_container_status(CriCall *call);
void cri_update_container_resources(CriCall *call);
void cri_reopen_container_log(CriCall *call);

/* lists.c */
void cri_list_pod_sandbox(CriCall *call);
void cri_list_containers(CriCall *call);
void cri_stream_pod_sandboxes(CriCall *call);
void cri_stream_containers(CriCall *call);

/* events.c */
void cri_get_container_events(CriCall *call);

/* stats.c */
void cri_container_stats(CriCall *call);
void cri_list_container_stats(CriCall *call);
void cri_stream_container_stats(CriCall *call);
void cri_pod_sandbox_stats(CriCall *call);
void cri_list_pod_sandbox_stats(CriCall *call);
void cri_stream_pod_sandbox_stats(CriCall *call);
void cri_list_metric_descriptors(CriCall *call);
void cri_list_pod_sandbox_metrics(CriCall *call);
void cri_stream_pod_sandbox_metrics(CriCall *call);

/* exec.c */
void cri_exec_sync(CriCall *call);

/* stream.c */
void cri_exec(CriCall *call);
void cri_attach(CriCall *call);
void cri_port_forward(CriCall *call);

/* image.c */
void cri_list_images(CriCall *call);
void cri_stream_images(CriCall *call);
void cri_image_status(CriCall *call);
void cri_pull_image(CriCall *call);
void cri_remove_image(CriCall *call);
void cri_image_fs_info(CriCall *call);
