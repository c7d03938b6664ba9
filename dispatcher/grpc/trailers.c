/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/trailers.h"

#include <assert.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>
#include <stdio.h>

#include "dispatcher/grpc/frame.h"
#include "dispatcher/grpc/hpack.h"

/* The structures as libh2o-evloop 2.2.5 was compiled with. Another header, or another compiler's
 * idea of them, must not get any further than here. */
static_assert(H2O_VERSION_MAJOR == 2 && H2O_VERSION_MINOR == 2 && H2O_VERSION_PATCH == 5,
              "this file knows the structures of h2o 2.2.5 only");
static_assert(sizeof(void *) == 8, "the offsets below are those of 64-bit machines");
#define ASSERT_OFFSET(type, member, offset)                                                        \
    static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
ASSERT_OFFSET(h2o_http2_stream_t, stream_id, 0);
ASSERT_OFFSET(h2o_http2_stream_t, state, 40);
ASSERT_OFFSET(h2o_http2_stream_t, output_window, 48);
ASSERT_OFFSET(h2o_http2_stream_t, _data, 96);
ASSERT_OFFSET(h2o_http2_stream_t, _num_streams_slot, 128);
ASSERT_OFFSET(h2o_http2_stream_t, _refs.link, 152);
ASSERT_OFFSET(h2o_http2_stream_t, _refs.scheduler._self_is_active, 232);
ASSERT_OFFSET(h2o_http2_stream_t, req, 272);
ASSERT_OFFSET(h2o_req_t, conn, 0);
ASSERT_OFFSET(h2o_req_t, _generator, 520);
ASSERT_OFFSET(h2o_http2_conn_t, num_streams.pull, 112);
ASSERT_OFFSET(h2o_http2_conn_t, num_streams.push, 124);
ASSERT_OFFSET(h2o_http2_conn_t, _write.buf, 384);
ASSERT_OFFSET(h2o_http2_conn_t, _write.streams_to_proceed, 400);
static_assert(sizeof(h2o_http2_stream_t) == 880, "h2o_http2_stream_t has another size");
static_assert(sizeof(h2o_http2_conn_t) == 472, "h2o_http2_conn_t has another size");
static_assert(sizeof(h2o_req_t) == 608, "h2o_req_t has another size");

static h2o_http2_stream_t *stream_of(const h2o_req_t *request)
{
    return H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, request);
}

static h2o_http2_conn_t *connection_of(const h2o_req_t *request)
{
    return (h2o_http2_conn_t *)request->conn;
}

/* What h2o does after a final piece: the stream is closed when the bytes before it are written. */
static void end_stream(h2o_http2_conn_t *connection, h2o_http2_stream_t *stream)
{
    stream->req._generator = NULL;
    /* h2o asserts that no WINDOW_UPDATE lifts the window of a finished stream above 0 while it
     * waits for its last write. From down there none does. */
    stream->output_window._avail = -((ssize_t)1 << 60);
    h2o_http2_stream_set_state(connection, stream, H2O_HTTP2_STREAM_STATE_END_STREAM);
    /* An active stream is put into the list by the next run of the scheduler. */
    if (!h2o_linklist_is_linked(&stream->_refs.link) && !stream->_refs.scheduler._self_is_active)
        h2o_linklist_insert(&connection->_write.streams_to_proceed, &stream->_refs.link);
    h2o_http2_conn_request_write(connection);
}

void trailers_write(h2o_req_t *request, FailureCode code, const char *text, size_t size)
{
    static const char status_name[] = "grpc-status", message_name[] = "grpc-message";
    h2o_http2_stream_t *stream = stream_of(request);
    h2o_http2_conn_t *connection = connection_of(request);
    uint8_t *frame, *fields, *end;
    char status[12];
    int length;

    if (stream->state != H2O_HTTP2_STREAM_STATE_SEND_BODY)
        return;

    length = snprintf(status, sizeof(status), "%d", (int)code);
    /* The text is bounded so that the fields fit into one frame of the smallest allowed size. */
    static_assert(FRAME_TEXT_SIZE + 256 < 16384, "trailers need a CONTINUATION frame");
    frame = (uint8_t *)h2o_buffer_reserve(
                &connection->_write.buf, H2O_HTTP2_FRAME_HEADER_SIZE +
                                             HPACK_FIELD_SIZE(sizeof(status_name), sizeof(status)) +
                                             HPACK_FIELD_SIZE(sizeof(message_name), size))
                .base;
    fields = frame + H2O_HTTP2_FRAME_HEADER_SIZE;
    end = hpack_put_field(fields, status_name, sizeof(status_name) - 1, status, (size_t)length);
    if (size > 0)
        end = hpack_put_field(end, message_name, sizeof(message_name) - 1, text, size);
    (void)h2o_http2_encode_frame_header(frame, (size_t)(end - fields), H2O_HTTP2_FRAME_TYPE_HEADERS,
                                        H2O_HTTP2_FRAME_FLAG_END_HEADERS |
                                            H2O_HTTP2_FRAME_FLAG_END_STREAM,
                                        (int32_t)stream->stream_id);
    connection->_write.buf->size += (size_t)(end - frame);
    end_stream(connection, stream);
}

void trailers_write_only(h2o_req_t *request)
{
    h2o_http2_stream_t *stream = stream_of(request);
    h2o_http2_conn_t *connection = connection_of(request);
    size_t at = connection->_write.buf->size;

    /* Writes one HEADERS frame at `at`, which becomes the stream's last. */
    h2o_send(request, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
    if (stream->state != H2O_HTTP2_STREAM_STATE_SEND_BODY)
        return;
    connection->_write.buf->bytes[at + 4] |= H2O_HTTP2_FRAME_FLAG_END_STREAM;
    end_stream(connection, stream);
}

bool trailers_flush(h2o_req_t *request)
{
    h2o_http2_stream_t *stream = stream_of(request);
    h2o_http2_conn_t *connection = connection_of(request);

    while (stream->state == H2O_HTTP2_STREAM_STATE_SEND_BODY &&
           h2o_http2_stream_has_pending_data(stream)) {
        size_t before = connection->_write.buf->size;

        h2o_http2_stream_send_pending_data(connection, stream);
        if (connection->_write.buf->size == before)
            return false;
    }
    return true;
}

bool trailers_abort(h2o_req_t *request)
{
    h2o_http2_stream_t *stream = stream_of(request);
    h2o_http2_conn_t *connection = connection_of(request);

    if (stream->state != H2O_HTTP2_STREAM_STATE_SEND_BODY ||
        !h2o_http2_stream_has_pending_data(stream))
        return false;
    h2o_http2_encode_rst_stream_frame(&connection->_write.buf, stream->stream_id,
                                      -H2O_HTTP2_ERROR_CANCEL);
    h2o_http2_conn_request_write(connection);
    h2o_http2_stream_reset(connection, stream);
    return true;
}

/* h2o refuses streams when more than 100 pulled ones are open, a number compiled into it. A
 * request that has arrived is counted among the pushed streams instead, of which there are none;
 * the limit then holds for requests still on their way. */
void trailers_admit(h2o_req_t *request)
{
    h2o_http2_stream_t *stream = stream_of(request);
    h2o_http2_conn_t *connection = connection_of(request);

    if (stream->_num_streams_slot != &connection->num_streams.pull ||
        stream->state != H2O_HTTP2_STREAM_STATE_SEND_HEADERS)
        return;
    --connection->num_streams.pull.half_closed;
    ++connection->num_streams.push.half_closed;
    h2o_http2_stream_update_open_slot(stream, &connection->num_streams.push);
}

uint32_t trailers_admitted(const h2o_req_t *request)
{
    return connection_of(request)->num_streams.push.open;
}

void trailers_announce_limit(h2o_req_t *request, uint32_t limit)
{
    enum { PAYLOAD_SIZE = 6 };
    h2o_http2_conn_t *connection = connection_of(request);
    uint8_t *frame = (uint8_t *)h2o_buffer_reserve(&connection->_write.buf,
                                                   H2O_HTTP2_FRAME_HEADER_SIZE + PAYLOAD_SIZE)
                         .base;
    uint8_t *setting =
        h2o_http2_encode_frame_header(frame, PAYLOAD_SIZE, H2O_HTTP2_FRAME_TYPE_SETTINGS, 0, 0);

    *setting++ = 0;
    *setting++ = H2O_HTTP2_SETTINGS_MAX_CONCURRENT_STREAMS;
    (void)h2o_http2_encode32u(setting, limit);
    connection->_write.buf->size += H2O_HTTP2_FRAME_HEADER_SIZE + PAYLOAD_SIZE;
    h2o_http2_conn_request_write(connection);
}
