/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sample_network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"

enum {
    REPLY_SIZE = 32 * 1024, /* what the kernel fills at most at once */
    INTERFACES_MAX = 256,
};

int sample_network_open(int netns_fd)
{
    AUTO_CLOSE int own_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd;

    if (own_fd < 0)
        return -errno;
    if (setns(netns_fd, CLONE_NEWNET) < 0)
        return -errno;
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0)
        fd = -errno;
    if (setns(own_fd, CLONE_NEWNET) < 0)
        abort();
    return fd;
}

static int ask(int fd)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg body;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .body = {.ifi_family = AF_UNSPEC},
    };

    return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

static int add_interface(Podmon__PodSample *sample, const char *name,
                         const struct rtnl_link_stats64 *counters)
{
    Podmon__InterfaceSample **list, *item;

    if (sample->n_interfaces == INTERFACES_MAX)
        return -E2BIG;
    list = realloc(sample->interfaces, (sample->n_interfaces + 1) * sizeof(item));
    if (!list)
        return -ENOMEM;
    sample->interfaces = list;
    item = malloc(sizeof(*item));
    if (!item)
        return -ENOMEM;
    podmon__interface_sample__init(item);
    list[sample->n_interfaces++] = item;
    item->rx_bytes = counters->rx_bytes;
    item->rx_packets = counters->rx_packets;
    item->rx_errors = counters->rx_errors;
    item->rx_dropped = counters->rx_dropped;
    item->tx_bytes = counters->tx_bytes;
    item->tx_packets = counters->tx_packets;
    item->tx_errors = counters->tx_errors;
    item->tx_dropped = counters->tx_dropped;
    item->name = strdup(name);
    return item->name ? 0 : -ENOMEM;
}

static int take_link(const struct nlmsghdr *message, Podmon__PodSample *sample)
{
    const struct ifinfomsg *link = NLMSG_DATA(message);
    struct rtnl_link_stats64 counters = {0};
    char name[IF_NAMESIZE] = "";
    unsigned left = (unsigned)IFLA_PAYLOAD(message);

    if (message->nlmsg_type != RTM_NEWLINK || link->ifi_flags & IFF_LOOPBACK)
        return 0;
    for (const struct rtattr *item = IFLA_RTA(link); RTA_OK(item, left);
         item = RTA_NEXT(item, left)) {
        size_t size = RTA_PAYLOAD(item);

        if (item->rta_type == IFLA_IFNAME && size > 0 && size <= sizeof(name)) {
            memcpy(name, RTA_DATA(item), size);
            name[size - 1] = '\0';
        } else if (item->rta_type == IFLA_STATS64) {
            memcpy(&counters, RTA_DATA(item), size < sizeof(counters) ? size : sizeof(counters));
        }
    }
    return *name ? add_interface(sample, name, &counters) : 0;
}

/* 1: that was the last; 0: there is more; or −errno. */
static int take_reply(const void *reply, size_t size, Podmon__PodSample *sample)
{
    const struct nlmsghdr *message = reply;

    for (; NLMSG_OK(message, size); message = NLMSG_NEXT(message, size)) {
        int r;

        if (message->nlmsg_type == NLMSG_DONE)
            return 1;
        if (message->nlmsg_type == NLMSG_ERROR)
            return -EIO;
        r = take_link(message, sample);
        if (r < 0)
            return r;
    }
    return 0;
}

int sample_network(int socket_fd, Podmon__PodSample *sample)
{
    AUTO_FREE char *reply = malloc(REPLY_SIZE);
    int r = reply ? ask(socket_fd) : -ENOMEM;

    /* A dump never waits: the kernel has the next part ready when one was taken. */
    while (r == 0) {
        ssize_t size = recv(socket_fd, reply, REPLY_SIZE, 0);

        r = size < 0 ? -errno : take_reply(reply, (size_t)size, sample);
    }
    if (r < 0)
        return r;
    sample->interfaces_taken_at = clock_real();
    return 0;
}
