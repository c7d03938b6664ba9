/* SPDX-License-Identifier: Apache-2.0 */
/* The two questions that cAdvisor, inside a kubelet, asks a CRI-O: GET /info and GET
 * /containers/<id>, HTTP/1.1 on a unix socket. A podmon whose pod was made with this switched on
 * names its groups so that cAdvisor asks for them (podmon.proto, PodSpec.cadvisor). */
#pragma once

#include "dispatcher/loop.h"
#include "dispatcher/node.h"
#include "shared/failure.h"

enum { CADVISOR_CONNECTIONS_MAX = 64 /* more wait in the socket */ };

typedef struct CadvisorEndpoint CadvisorEndpoint;

/* Listens at `path`. */
int cadvisor_endpoint_new(Loop *loop, Node *node, const char *path, CadvisorEndpoint **ret,
                          Failure *why);

/* Accepts NULL. Before the loop's end: connections are closed by running it. */
CadvisorEndpoint *cadvisor_endpoint_free(CadvisorEndpoint *endpoint);
