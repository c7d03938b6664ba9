/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: one INI file and its drop-ins (podmon.conf and the files "*.conf" in podmon.conf.d, by
 * name), read by libinih. A key is spelt like its field below, under its section. A later value
 * replaces an earlier one; a list goes on in indented lines. An unknown section or key, and a value
 * out of range, is an error that names file and line; nothing is guessed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shared/failure.h"

#define CONFIG_DEFAULT_FILE "/etc/podmon/podmon.conf"

typedef struct Config {
    /* [dispatcher] */
    char *listen;               /* path of the gRPC socket */
    char *run_dir;              /* tmpfs */
    char *root_dir;             /* disk */
    char *podmon;               /* the podmon binary; NULL: where main finds it */
    uint32_t podmon_timeout_ms; /* one that does not answer for so long begins anew; 0: never */
    uint32_t log_level;         /* 3 error .. 7 debug */

    /* [cgroup] */
    bool systemd; /* scopes by systemd where it runs; false: never */
    char *slice;  /* parent of pods that name none: "podmon.slice" or "/podmon" */

    /* [network] */
    char *cni_conf_dir;  /* /etc/cni/net.d */
    char **cni_bin_dirs; /* /opt/cni/bin /usr/lib/cni; NULL-terminated */
    uint32_t cni_timeout_ms;

    /* [container] */
    uint32_t drain_timeout_ms; /* output awaited after a process has ended */
    int64_t pids_limit;        /* per container; 0: none */
    int64_t shm_size;          /* bytes of a pod's /dev/shm */
    char *seccomp_profile_dir; /* where the seed's localhost/… profiles lie */
    char **cdi_dirs;           /* files about devices: /etc/cdi /var/run/cdi; later ones win */

    /* [stats] */
    uint32_t stats_period_ms; /* between two measurements of a pod */

    /* [stream] */
    char *stream_address; /* of IPv4 or IPv6, where clients of exec, attach, port-forward connect */
    uint32_t stream_port; /* 0: any, but the same from one start to the next */
    char *stream_tls_cert; /* PEM files; NULL: no TLS. Both or none */
    char *stream_tls_key;

    /* [cadvisor] */
    char *cadvisor_socket; /* where a kubelet's cAdvisor looks for CRI-O; NULL: nowhere */

    /* [image] */
    char *registries_dir;      /* what the administrator says of registries (image/registries) */
    uint32_t parallel_layers;  /* of an image, downloaded and unpacked at a time */
    uint32_t stall_timeout_ms; /* a download without progress for so long has failed */
    int64_t memory_max;        /* bytes of a worker that pulls an image, page cache included */
    char *proxy;               /* in place of the environment's; NULL: that */
    char **pinned;             /* references that image garbage collection leaves alone */
} Config;

/* Defaults, then `path` and its drop-ins. A missing default file (must_exist false) is no error. */
int config_load(const char *path, bool must_exist, Config *ret, Failure *why);
void config_done(Config *config);
