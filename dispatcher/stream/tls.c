/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/stream/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dispatcher/stream/relay.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/log.h"

/* A process that has a connection, until it ends. */
typedef struct Child {
    TlsServer *server;
    struct Child *next, **link;
    int pidfd;
    EventSource *source;
} Child;

struct TlsServer {
    EventLoop *loop;
    SSL_CTX *context;
    Child *children;
};

/* What OpenSSL says last is the most general, and first the most exact. */
static int refuse(const char *setting, const char *path, Failure *why)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    int r = failure_say(why, FAILURE_FAILED_PRECONDITION, "%s in [stream]: \"%s\" is of no use: %s",
                        setting, path, reason ? reason : "it cannot be read");

    ERR_clear_error();
    return r;
}

static int load(SSL_CTX *context, const char *certificate, const char *key, Failure *why)
{
    if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION))
        return failure_say(why, FAILURE_INTERNAL, "TLS 1.2 is not to be had");
    /* Tickets would only serve clients that come again: tokens are good once. */
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_num_tickets(context, 0); /* Fails for no context only. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return refuse("tls_cert", certificate, why);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return refuse("tls_key", key, why);
    return 0;
}

int tls_server_new(EventLoop *loop, const char *certificate, const char *key, TlsServer **ret,
                   Failure *why)
{
    TlsServer *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for TLS");
    server->loop = loop;
    server->context = SSL_CTX_new(TLS_server_method());
    r = server->context ? load(server->context, certificate, key, why)
                        : failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for TLS");
    if (r < 0) {
        tls_server_free(server);
        return r;
    }
    *ret = server;
    return 0;
}

static void child_free(Child *child)
{
    *child->link = child->next;
    if (child->next)
        child->next->link = child->link;
    event_free(child->source);
    fd_close(&child->pidfd);
    free(child);
}

TlsServer *tls_server_free(TlsServer *server)
{
    if (!server)
        return NULL;
    while (server->children)
        child_free(server->children);
    SSL_CTX_free(server->context);
    free(server);
    return NULL;
}

static void on_end(void *data, uint32_t events)
{
    Child *child = data;
    siginfo_t end = {0};

    (void)events;
    (void)waitid(P_PIDFD, (id_t)child->pidfd, &end, WEXITED);
    if (end.si_code != CLD_EXITED)
        log_warning("the TLS of a stream was ended by signal %d", end.si_status);
    child_free(child);
}

/* Without a watch it would stay as a zombie: rather no connection. */
static int watch(TlsServer *server, pid_t pid)
{
    Child *child = calloc(1, sizeof(*child));
    int r = child ? fd_open_pid(pid) : -ENOMEM;

    if (r >= 0) {
        *child = (Child){.server = server, .link = &server->children, .pidfd = r};
        child->next = server->children;
        if (child->next)
            child->next->link = &child->next;
        server->children = child;
        r = event_add_fd(server->loop, child->pidfd, EPOLLIN, on_end, child, &child->source);
        if (r < 0)
            child_free(child);
    } else {
        free(child);
    }
    if (r < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    return r;
}

int tls_server_accept(TlsServer *server, int client_fd)
{
    AUTO_CLOSE int client = client_fd;
    AUTO_CLOSE int ours = -1, theirs = -1;
    int ends[2], r;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    ours = ends[0];
    theirs = ends[1];
    pid = fork();
    if (pid == 0)
        relay_main(server->context, client, theirs);
    if (pid < 0)
        return -errno;
    r = watch(server, pid);
    return r < 0 ? r : take_fd(&ours);
}
