/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/pieces.h"

#include <string.h>

#include "dispatcher/cri/forward.h"

enum {
    PIECE_ITEMS = 500,
    PIECE_SIZE = 1024 * 1024, /* bytes; a single item may be larger */
};

/* How many of the items go into the next message. */
static size_t count_items(ProtobufCMessage *const *items, size_t count)
{
    size_t size = 0, taken = 0;

    while (taken < count && taken < PIECE_ITEMS) {
        size += protobuf_c_message_get_packed_size(items[taken]);
        if (taken > 0 && size > PIECE_SIZE)
            break;
        taken++;
    }
    return taken;
}

void pieces_send(CriCall *call, const ProtobufCMessageDescriptor *response, void *items,
                 size_t count)
{
    const ProtobufCFieldDescriptor *field = &response->fields[0];
    ProtobufCMessage *message = forward_empty(call, response);
    ProtobufCMessage **next = items;

    while (count > 0) {
        size_t taken = count_items(next, count);

        memcpy((char *)message + field->quantifier_offset, &taken, sizeof(taken));
        memcpy((char *)message + field->offset, &next, sizeof(next));
        cri_call_send(call, message);
        next += taken;
        count -= taken;
    }
    cri_call_end(call);
}
