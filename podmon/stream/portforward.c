/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/portforward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shared/number.h"

int port_stream_parse(uint32_t id, const SpdyHeaders *headers, PortStream *ret)
{
    const char *type = spdy_headers_get(headers, "streamtype");
    const char *port = spdy_headers_get(headers, "port");
    const char *request = spdy_headers_get(headers, "requestid");
    PortStream stream = {0};
    uint64_t number;

    if (!type || !port || number_parse_unsigned(port, UINT16_MAX, &number) < 0 || number == 0)
        return -EINVAL;
    if (strcmp(type, "error") != 0 && strcmp(type, "data") != 0)
        return -EINVAL;
    stream.is_error = type[0] == 'e';
    stream.port = (uint16_t)number;
    if (request && strlen(request) >= sizeof(stream.request))
        return -EINVAL;
    if (request)
        memcpy(stream.request, request, strlen(request) + 1);
    else /* An ancient client opens both in a row, the one for errors first. */
        (void)snprintf(stream.request, sizeof(stream.request), "%u", stream.is_error ? id : id - 2);
    *ret = stream;
    return 0;
}
