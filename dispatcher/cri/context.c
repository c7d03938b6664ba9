/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/context.h"

#include <fcntl.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"

enum { RESOLV_CONF_MAX = 64 * 1024, HOSTNAME_SIZE = 65 };

/* A node without a readable file has pods with an empty one: they still run. */
static const char *read_resolv_conf(Arena *arena)
{
    AUTO_FREE char *text = NULL;

    if (file_read_at(AT_FDCWD, "/etc/resolv.conf", RESOLV_CONF_MAX, &text, NULL) < 0)
        return "";
    return arena_copy(arena, text);
}

LowerContext context_read(CriCall *call)
{
    const Node *node = cri_call_node(call);
    Arena *arena = cri_call_arena(call);
    char *hostname = arena_alloc(arena, HOSTNAME_SIZE);

    if (gethostname(hostname, HOSTNAME_SIZE - 1) < 0)
        *hostname = '\0';
    return (LowerContext){
        .arena = arena,
        .config = node->config,
        .systemd = node->systemd,
        .node_hostname = *hostname ? hostname : "localhost",
        .node_resolv_conf = read_resolv_conf(arena),
    };
}
