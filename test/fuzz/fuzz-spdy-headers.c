/* SPDX-License-Identifier: Apache-2.0 */
/* Input: blocks of one connection, each behind its size in two bytes. */
#include <stdlib.h>

#include "podmon/stream/portforward.h"
#include "podmon/stream/spdy_headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SpdyHeaders headers;
    SpdyInflater inflater;
    PortStream stream;

    if (spdy_inflater_init(&inflater) < 0)
        return 0;
    while (size > 2) {
        size_t length = (size_t)data[0] << 8 | data[1];

        length = length < size - 2 ? length : size - 2;
        if (spdy_inflate(&inflater, data + 2, length, &headers) < 0)
            break;
        if (headers.count > SPDY_HEADERS_MAX)
            abort();
        if (port_stream_parse(3, &headers, &stream) == 0 && stream.port == 0)
            abort();
        data += 2 + length;
        size -= 2 + length;
    }
    spdy_inflater_done(&inflater);
    return 0;
}
