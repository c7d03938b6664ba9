/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/text.h"

static bool is_loopback(const char *host)
{
    size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    return (length == strlen("localhost") && strncmp(host, "localhost", length) == 0) ||
           (length == strlen("[::1]") && strncmp(host, "[::1]", length) == 0) ||
           text_starts_with(host, "127.");
}

static bool is_plain(const char *host, const RegistryConfig *config)
{
    if (config && config->plain_http != PLAIN_HTTP_UNSET)
        return config->plain_http == PLAIN_HTTP_YES;
    return is_loopback(host);
}

/* No mirror: `address` is NULL. */
static int fill(Endpoint *endpoint, const char *address, const ImageReference *reference,
                const Registries *registries, const Credentials *credentials)
{
    bool is_hub = strcmp(reference->registry, "docker.io") == 0;
    const char *host = address ? strstr(address, "://") + 3 : reference->registry;
    const char *prefix = address ? strchr(host, '/') : NULL, *scheme;
    size_t prefix_length = prefix ? strlen(prefix) : 0;

    while (prefix_length > 0 && prefix[prefix_length - 1] == '/')
        prefix_length--;
    endpoint->is_mirror = address != NULL;
    endpoint->host = strndup(host, strcspn(host, "/"));
    if (!endpoint->host)
        return -ENOMEM;
    endpoint->config = registries_find(registries, endpoint->host);
    scheme = address ? strncmp(address, "https", 5) == 0 ? "https" : "http"
             : is_plain(endpoint->host, endpoint->config) ? "http"
                                                          : "https";
    if (credentials_fit(credentials, reference->registry, endpoint->host))
        endpoint->credentials = credentials;
    if (asprintf(&endpoint->repository, "%.*s%s%s", prefix_length ? (int)prefix_length - 1 : 0,
                 prefix ? prefix + 1 : "", prefix_length ? "/" : "", reference->repository) < 0 ||
        asprintf(&endpoint->base, "%s://%s/v2/%s", scheme,
                 is_hub && !address ? "registry-1.docker.io" : endpoint->host,
                 endpoint->repository) < 0 ||
        asprintf(&endpoint->query, "%s%s", address ? "?ns=" : "",
                 address ? reference->registry : "") < 0)
        return -ENOMEM;
    return 0;
}

int endpoints_make(const ImageReference *reference, const Registries *registries,
                   const Credentials *credentials, Endpoints *ret, Failure *why)
{
    const RegistryConfig *config = registries_find(registries, reference->registry);
    char *const *mirrors = config ? config->mirrors : NULL;
    size_t mirrors_count = mirrors ? text_list_count(mirrors) : 0;
    Endpoints endpoints = {.list = calloc(mirrors_count + 1, sizeof(Endpoint))};

    if (!endpoints.list)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot ask a registry");
    for (size_t i = 0; i <= mirrors_count; i++) {
        endpoints.count = i + 1;
        if (fill(&endpoints.list[i], mirrors && i < mirrors_count ? mirrors[i] : NULL, reference,
                 registries, credentials) < 0) {
            endpoints_done(&endpoints);
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot ask a registry");
        }
    }
    *ret = endpoints;
    return 0;
}

void endpoints_done(Endpoints *endpoints)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        Endpoint *endpoint = &endpoints->list[i];

        free(endpoint->base);
        free(endpoint->host);
        free(endpoint->query);
        free(endpoint->repository);
        secret_free(endpoint->authorization);
    }
    free(endpoints->list);
    *endpoints = (Endpoints){0};
}
