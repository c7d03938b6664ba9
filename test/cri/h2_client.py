# SPDX-License-Identifier: Apache-2.0
"""As much HTTP/2 as a test needs that wants to send what no real client would: frames by hand over a
unix socket, and the headers that come back."""

import socket
import struct
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = \
    range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_MAX = 16384

# RFC 7541, appendix A: what a gRPC answer refers to.
STATIC = {8: (":status", "200"), 9: (":status", "204"), 10: (":status", "206"),
          11: (":status", "304"), 12: (":status", "400"), 13: (":status", "404"),
          14: (":status", "500"), 22: ("allow", ""), 31: ("content-type", ""), 33: ("date", "")}
STATIC_SIZE = 61

# RFC 7541, appendix B: the lengths of the codes, A for 5 bits. The code is canonical, so that the
# lengths say all.
HUFFMAN_LENGTHS = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJB"
    "KABABABBBACCBBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS"
    "VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWVZ")


def huffman_codes():
    codes, code, previous = {}, 0, 0
    lengths = [ord(letter) - ord("A") + 5 for letter in HUFFMAN_LENGTHS]
    for symbol in sorted(range(len(lengths)), key=lambda symbol: (lengths[symbol], symbol)):
        code <<= lengths[symbol] - previous
        previous = lengths[symbol]
        codes[previous, code] = symbol
        code += 1
    return codes


HUFFMAN = huffman_codes()


def huffman_decode(data):
    out, code, length = bytearray(), 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = HUFFMAN.get((length, code))
            if symbol is not None:
                out.append(symbol)
                code, length = 0, 0
    return bytes(out)


class HeaderDecoder:
    """RFC 7541 with a dynamic table that is never full."""

    def __init__(self):
        self.table = []

    def decode(self, block):
        self.block, self.at = block, 0
        fields = []
        while self.at < len(block):
            byte = block[self.at]
            if byte & 0x80:
                fields.append(self.entry(self.integer(7)))
            elif byte & 0xE0 == 0x20:
                self.integer(5)
            else:
                index = self.integer(6 if byte & 0x40 else 4)
                name = self.entry(index)[0] if index else self.string()
                fields.append((name, self.string()))
                if byte & 0x40:
                    self.table.insert(0, fields[-1])
        return dict(fields)

    def entry(self, index):
        if index > STATIC_SIZE:
            return self.table[index - STATIC_SIZE - 1]
        return STATIC.get(index, (f"static-{index}", ""))

    def integer(self, prefix):
        limit = (1 << prefix) - 1
        value = self.block[self.at] & limit
        self.at += 1
        if value < limit:
            return value
        shift = 0
        while True:
            byte = self.block[self.at]
            self.at += 1
            value += (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def string(self):
        huffman = self.block[self.at] & 0x80
        size = self.integer(7)
        data = self.block[self.at:self.at + size]
        self.at += size
        return (huffman_decode(data) if huffman else data).decode()


def encode_headers(fields):
    """Literals without indexing; everything shorter than 127 bytes."""
    block = b""
    for name, value in fields:
        block += b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return block


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(body, flag=0, size=None):
    """A gRPC message with its prefix, which may lie."""
    return struct.pack(">BI", flag, len(body) if size is None else size) + body


class Answer:
    """What has come back on one stream."""

    def __init__(self):
        self.headers, self.trailers = None, None
        self.body = b""
        self.reset = None
        self.ended = False

    @property
    def status(self):
        fields = self.trailers or self.headers or {}
        return int(fields["grpc-status"]) if "grpc-status" in fields else None


class Connection:
    def __init__(self, path, settings=(), timeout=20, gives_windows=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.decoder = HeaderDecoder()
        self.input = b""
        self.answers = {}
        self.settings = {}
        self.goaway = None
        self.closed = False
        self.pongs = 0
        self.gives_windows = gives_windows
        self.next_stream = 1
        payload = b"".join(struct.pack(">HI", key, value) for key, value in settings)
        self.send(PREFACE + frame(SETTINGS, 0, 0, payload))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def open(self, path, headers=None, method="POST", end=False, without=()):
        """Sends the headers of a request; returns the stream's number."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        fields = {":method": method, ":scheme": "http", ":path": path, ":authority": "localhost",
                  "te": "trailers", "content-type": "application/grpc", **(headers or {})}
        block = encode_headers([item for item in fields.items() if item[0] not in without])
        self.answers[stream] = Answer()
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block))
        return stream

    def data(self, stream, body, end=True, piece=FRAME_MAX):
        if not body:
            self.send(frame(DATA, END_STREAM if end else 0, stream))
        for at in range(0, len(body), piece):
            last = at + piece >= len(body)
            self.send(frame(DATA, END_STREAM if end and last else 0, stream, body[at:at + piece]))

    def request(self, path, body, **options):
        stream = self.open(path, **options)
        self.data(stream, body)
        return stream

    def call(self, path, body, **options):
        """A whole request and its answer."""
        return self.wait(self.request(path, body, **options))

    def wait(self, stream):
        answer = self.answers[stream]
        self.read_until(lambda: answer.ended or answer.reset is not None or self.closed)
        return answer

    def read_until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            assert left > 0, "no answer in time"
            self.socket.settimeout(left)
            self.read_some()

    def read_some(self):
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        self.input += data
        while len(self.input) >= 9:
            size = int.from_bytes(self.input[:3], "big")
            if len(self.input) < 9 + size:
                break
            kind, flags, stream = struct.unpack(">BBI", self.input[3:9])
            payload, self.input = self.input[9:9 + size], self.input[9 + size:]
            self.take(kind, flags, stream, payload)

    def take(self, kind, flags, stream, payload):
        answer = self.answers.setdefault(stream, Answer())
        if kind == HEADERS:
            fields = self.decoder.decode(payload)
            if answer.headers is None:
                answer.headers = fields
            else:
                answer.trailers = fields
        elif kind == DATA:
            answer.body += payload
            if payload and self.gives_windows:
                update = struct.pack(">I", len(payload))
                self.try_send(frame(WINDOW_UPDATE, 0, 0, update) +
                              frame(WINDOW_UPDATE, 0, stream, update))
        elif kind == RST_STREAM:
            answer.reset = struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self.settings.update(struct.iter_unpack(">HI", payload))
            self.try_send(frame(SETTINGS, ACK, 0))
        elif kind == PING:
            self.pongs += bool(flags & ACK)
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            answer.ended = True

    def try_send(self, data):
        """The other side may have closed already."""
        try:
            self.send(data)
        except OSError:
            self.closed = True
