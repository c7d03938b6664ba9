/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/route.h"

#include <string.h>

#include "dispatcher/api/seed.h"
#include "shared/text.h"

static const Method *method_find(const char *service, size_t service_size, const char *name)
{
    for (size_t i = 0; i < cri_methods_count; i++) {
        const Method *method = &cri_methods[i];

        if (strlen(method->service) == service_size &&
            memcmp(method->service, service, service_size) == 0 && strcmp(method->name, name) == 0)
            return method;
    }
    return NULL;
}

int route_find(const char *path, Route *ret, Failure *why)
{
    /* Kubelets from 1.20 to 1.25 call runtime.v1 by the name it had before; what they know of it
     * has the same numbers and types. */
    static const char v1[] = "/runtime.v1.", alpha[] = "/runtime.v1alpha2.", seed[] = "/runtime.";
    const char *package = text_starts_with(path, v1)      ? v1
                          : text_starts_with(path, alpha) ? alpha
                                                          : seed;
    const char *service, *slash;
    Route route = {.seed = package == seed};
    bool known = false;

    if (text_starts_with(path, package)) {
        service = path + strlen(package);
        slash = strchr(service, '/');
        route.method = slash ? method_find(service, (size_t)(slash - service), slash + 1) : NULL;
        known = route.method && route.method->handle;
    }
    if (known && route.seed)
        known = seed_find_method(route.method->service, route.method->name, &route.request,
                                 &route.response) >= 0;
    if (!known)
        return failure_say(why, FAILURE_UNIMPLEMENTED, "%.200s is not implemented", path);
    if (!route.seed) {
        route.request = route.method->request;
        route.response = route.method->response;
    }
    *ret = route;
    return 0;
}
