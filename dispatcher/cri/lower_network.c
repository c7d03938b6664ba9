/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "shared/cleanup.h"
#include "shared/text.h"

enum {
    DNS_WORDS_MAX = 256,
    PORTS_MAX = 4096,
    PORT_MAX = 65535,
};

static int check_words(char **words, size_t count, const char *field, Failure *why)
{
    if (count > DNS_WORDS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s: %zu are more than %d", field, count,
                           DNS_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *problem = check_word(words[i]);

        if (problem)
            return check_refuse(why, words[i], problem, "%s[%zu]", field, i);
    }
    return 0;
}

/* One line "keyword a b c\n", or nothing. */
static int add_line(Text *text, const char *keyword, char **words, size_t count)
{
    int r = count > 0 ? text_add(text, keyword) : 0;

    for (size_t i = 0; r >= 0 && i < count; i++)
        r = text_print(text, " %s", words[i]);
    return r < 0 || count == 0 ? r : text_add(text, "\n");
}

static int write_resolv_conf(const Runtime__V1__DNSConfig *dns, Text *ret)
{
    int r = add_line(ret, "search", dns->searches, dns->n_searches);

    for (size_t i = 0; r >= 0 && i < dns->n_servers; i++)
        r = add_line(ret, "nameserver", &dns->servers[i], 1);
    return r < 0 ? r : add_line(ret, "options", dns->options, dns->n_options);
}

/* A configuration that says nothing means the host's file. */
static int lower_resolv_conf(const LowerContext *context, const Runtime__V1__DNSConfig *dns,
                             Podmon__PodSpec *spec, Failure *why)
{
    CLEANUP(text_done) Text text = {0};
    const char *content = context->node_resolv_conf;
    int r;

    if (dns && dns->n_servers + dns->n_searches + dns->n_options > 0) {
        r = check_words(dns->servers, dns->n_servers, "config.dns_config.servers", why);
        if (r < 0)
            return r;
        r = check_words(dns->searches, dns->n_searches, "config.dns_config.searches", why);
        if (r < 0)
            return r;
        r = check_words(dns->options, dns->n_options, "config.dns_config.options", why);
        if (r < 0)
            return r;
        r = write_resolv_conf(dns, &text);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot write resolv.conf");
        content = text.data;
    }
    spec->resolv_conf.data = (uint8_t *)arena_copy(context->arena, content);
    spec->resolv_conf.len = strlen(content);
    return 0;
}

static int lower_port(Arena *arena, const Runtime__V1__PortMapping *from, size_t position,
                      Podmon__PortMapping **ret, Failure *why)
{
    static const char *const protocols[] = {
        [RUNTIME__V1__PROTOCOL__TCP] = "tcp",
        [RUNTIME__V1__PROTOCOL__UDP] = "udp",
        [RUNTIME__V1__PROTOCOL__SCTP] = "sctp",
    };
    const char *problem = *from->host_ip ? check_address(from->host_ip) : NULL;
    Podmon__PortMapping *port;

    if ((unsigned)from->protocol >= sizeof(protocols) / sizeof(protocols[0]))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.port_mappings[%zu].protocol: %d is not a protocol", position,
                           (int)from->protocol);
    if (from->container_port < 1 || from->container_port > PORT_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.port_mappings[%zu].container_port: %d is outside 1..65535",
                           position, from->container_port);
    if (from->host_port < 0 || from->host_port > PORT_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.port_mappings[%zu].host_port: %d is outside 0..65535", position,
                           from->host_port);
    if (problem)
        return check_refuse(why, from->host_ip, problem, "config.port_mappings[%zu].host_ip",
                            position);
    port = arena_alloc(arena, sizeof(*port));
    podmon__port_mapping__init(port);
    port->protocol = (char *)(uintptr_t)protocols[from->protocol];
    port->container_port = from->container_port;
    port->host_port = from->host_port;
    port->host_ip = from->host_ip;
    *ret = port;
    return 0;
}

/* A mapping without a port of the host only tells what the pod listens on: nothing to do. */
static int lower_ports(Arena *arena, const Runtime__V1__PodSandboxConfig *from,
                       Podmon__NetworkPlan *network, Failure *why)
{
    if (from->n_port_mappings > PORTS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.port_mappings: %zu are more than %d", from->n_port_mappings,
                           PORTS_MAX);
    network->port_mappings =
        arena_alloc_array(arena, from->n_port_mappings, sizeof(Podmon__PortMapping *));
    for (size_t i = 0; i < from->n_port_mappings; i++) {
        int r = lower_port(arena, from->port_mappings[i], i,
                           &network->port_mappings[network->n_port_mappings], why);

        if (r < 0)
            return r;
        if (from->port_mappings[i]->host_port > 0)
            network->n_port_mappings++;
    }
    return 0;
}

int lower_network(const LowerContext *context, const Runtime__V1__PodSandboxConfig *from,
                  Podmon__PodSpec *spec, Failure *why)
{
    const Runtime__V1__DNSConfig *dns = from->dns_config;
    const Config *config = context->config;
    Podmon__NetworkPlan *network = arena_alloc(context->arena, sizeof(*network));
    int r;

    r = lower_resolv_conf(context, dns, spec, why);
    if (r < 0)
        return r;
    podmon__network_plan__init(network);
    r = lower_ports(context->arena, from, network, why);
    if (r < 0)
        return r;
    if (spec->namespaces->network == PODMON__NAMESPACE_MODE__NAMESPACE_NODE)
        return 0;

    network->conf_dir = config->cni_conf_dir;
    network->bin_dirs = config->cni_bin_dirs;
    network->n_bin_dirs = text_list_count(config->cni_bin_dirs);
    network->timeout_ms = config->cni_timeout_ms;
    if (dns) {
        network->dns_servers = dns->servers;
        network->n_dns_servers = dns->n_servers;
        network->dns_searches = dns->searches;
        network->n_dns_searches = dns->n_searches;
        network->dns_options = dns->options;
        network->n_dns_options = dns->n_options;
    }
    spec->network = network;
    return 0;
}
