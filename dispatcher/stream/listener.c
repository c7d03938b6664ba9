/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/stream/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatcher/stream/endpoint.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/log.h"
#include "shared/number.h"

enum { PORT_TEXT_MAX = 8 };

typedef union Address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

static int parse_address(const char *text, Address *ret)
{
    *ret = (Address){0};
    if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
        ret->any.sa_family = AF_INET;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
        ret->any.sa_family = AF_INET6;
        return 0;
    }
    return -EINVAL;
}

static bool is_loopback(const Address *address)
{
    return address->any.sa_family == AF_INET
               ? ntohl(address->v4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET
               : IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* The port is at the same place in both. */
static int listen_at(Address address, uint16_t port)
{
    AUTO_CLOSE int fd =
        socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = address.any.sa_family == AF_INET ? sizeof(address.v4) : sizeof(address.v6);
    int one = 1;

    address.v4.sin_port = htons(port);
    /* What goes from a loopback address stays here, where nothing can be congested, and some of
     * the ways to avoid that (BBR) would take half of a stream's time. Connections inherit it. */
    if (is_loopback(&address))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
    /* Sessions of an earlier dispatcher still have this port as theirs. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, &address.any, size) < 0 || listen(fd, ENDPOINT_CONNECTIONS_MAX) < 0)
        return -errno;
    return take_fd(&fd);
}

/* 0: there is none. */
static uint16_t read_port(int run_fd)
{
    AUTO_FREE char *text = NULL;
    uint64_t port = 0;

    if (file_read_at(run_fd, LISTENER_PORT_FILE, PORT_TEXT_MAX, &text, NULL) < 0)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return number_parse_unsigned(text, UINT16_MAX, &port) < 0 ? 0 : (uint16_t)port;
}

static void keep_port(int run_fd, uint16_t port)
{
    char text[PORT_TEXT_MAX];
    int length = snprintf(text, sizeof(text), "%u\n", port);
    int r = file_write_at(run_fd, LISTENER_PORT_FILE, text, (size_t)length, 0600, FILE_SYNC_NO);

    if (r < 0)
        log_warning("cannot keep the port of streams: error %d", -r);
}

int listener_open(const char *address, uint16_t port, const char *scheme, const char *run_dir,
                  char *ret_url, Failure *why)
{
    AUTO_CLOSE int run_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int fd = -1;
    Address local;
    socklen_t size = sizeof(local);
    uint16_t kept;

    if (parse_address(address, &local) < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "address in [stream]: \"%s\" is no IP address", address);
    if (run_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open %s", run_dir);
    kept = read_port(run_fd);
    fd = listen_at(local, port > 0 ? port : kept);
    if (fd < 0 && port == 0 && kept > 0)
        fd = listen_at(local, 0);
    if (fd < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -fd, "cannot listen at %s port %u",
                           address, port);
    if (getsockname(fd, &local.any, &size) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot tell the port of streams");
    if (ntohs(local.v4.sin_port) != kept)
        keep_port(run_fd, ntohs(local.v4.sin_port));
    (void)snprintf(ret_url, ENDPOINT_URL_MAX,
                   local.any.sa_family == AF_INET ? "%s://%s:%u/" : "%s://[%s]:%u/", scheme,
                   address, ntohs(local.v4.sin_port));
    return take_fd(&fd);
}
