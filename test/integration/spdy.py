# SPDX-License-Identifier: Apache-2.0
"""Clients of exec, attach and port-forward: SPDY/3.1 and WebSockets, byte by byte, so that a test
can also do what no real client would."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import select
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import zlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SPDY_VERSIONS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
SYN_STREAM, SYN_REPLY, RST, SETTINGS, PING, GOAWAY, HEADERS, WINDOW = 1, 2, 3, 4, 6, 7, 8, 9


def dictionary():
    """Out of the draft's words as the program has them; the checks below are the draft's own."""
    text = (SOURCE / "podmon/stream/spdy_headers.c").read_text()

    def strings(name):
        body = re.search(name + r"\[\] =(.*?);\n", text, re.S).group(1)
        return "".join(re.findall(r'"([^"]*)"', body))

    words = b"".join(struct.pack(">I", len(word)) + word.encode()
                     for word in strings("WORDS").split("|"))
    result = words + strings("TAIL").encode()
    assert len(result) == 1423 and zlib.adler32(result) == 0xE3C6A7C2
    return result


TLS = None  # the ssl.SSLContext for URLs with https, once a test has one


def connect(url, timeout=20):
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
    connection = socket.create_connection((parts.hostname, parts.port), timeout)
    if parts.scheme == "https":
        connection = TLS.wrap_socket(connection, server_hostname=parts.hostname)
    return connection, path


def read_head(connection):
    """(status, headers as (lower-case name, value) pairs, bytes behind the head)."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise EOFError(f"the connection ended behind {data!r}")
        data += part
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    pairs = [(name.lower(), value.strip())
             for name, value in (line.split(":", 1) for line in lines)]
    return int(first.split()[1]), pairs, rest


def raw_request(url, data, timeout=20):
    """Sends these bytes, {path} replaced; (status, headers, whole body up to the end)."""
    connection, path = connect(url, timeout)
    with connection:
        connection.sendall(data.replace(b"{path}", path.encode()))
        status, headers, body = read_head(connection)
        if status != 101:
            while part := connection.recv(65536):
                body += part
    return status, headers, body


def request(url, method="POST", headers=(), timeout=20):
    lines = [f"{method} {{path}} HTTP/1.1", "Host: node:10250", *headers, "", ""]
    return raw_request(url, "\r\n".join(lines).encode(), timeout)


def spdy_headers(*versions):
    return ["Content-Length: 0", "Connection: Upgrade", "Upgrade: SPDY/3.1",
            *(f"X-Stream-Protocol-Version: {version}" for version in versions)]


class Closed(Exception):
    """The other side ended the connection."""


class Shared:
    """A TLS connection that one thread reads while another writes, which OpenSSL's objects do not
    bear (SSL_read(3) and SSL_write(3) of one connection at the same time)."""

    def __init__(self, connection):
        self.connection, self.lock = connection, threading.Lock()
        self.seconds = connection.gettimeout()
        connection.setblocking(False)

    def _do(self, function, *arguments):
        while True:
            try:
                with self.lock:
                    return function(*arguments)
            except ssl.SSLWantReadError:
                ready = select.select([self.connection], [], [], self.seconds)
            except ssl.SSLWantWriteError:
                ready = select.select([], [self.connection], [], self.seconds)
            if not any(ready):
                raise TimeoutError("the other side is silent")

    def recv(self, size):
        return self._do(self.connection.recv, size)

    def sendall(self, data):
        view = memoryview(data)
        while view:
            view = view[self._do(self.connection.send, view[:1 << 16]):]

    def pending(self):
        return self.connection.pending()

    def fileno(self):
        return self.connection.fileno()

    def close(self):
        self.connection.close()


class Bytes:
    """A TCP connection as a stream of bytes."""

    def __init__(self, connection, rest=b""):
        if isinstance(connection, ssl.SSLSocket):
            connection = Shared(connection)
        self.connection, self.buffer = connection, bytearray(rest)

    def read(self, size):
        while len(self.buffer) < size:
            try:
                part = self.connection.recv(1 << 18)
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed(bytes(self.buffer))
            self.buffer += part
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def ready(self, seconds=0):
        decrypted = isinstance(self.connection, Shared) and self.connection.pending()
        return bool(self.buffer or decrypted or
                    select.select([self.connection], [], [], seconds)[0])

    def write(self, data):
        self.connection.sendall(data)

    def close(self):
        self.connection.close()

    def reset(self):
        """What the kernel does to the connection of a process that is killed with bytes unread."""
        with socket.socket(fileno=os.dup(self.connection.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Tunnel:
    """The same inside the binary messages of a WebSocket; `piece`: bytes per message sent."""

    def __init__(self, websocket, piece=1 << 16):
        self.websocket, self.piece, self.buffer = websocket, piece, bytearray()

    def read(self, size):
        while len(self.buffer) < size:
            opcode, data = self.websocket.receive()
            if opcode == 8:
                raise Closed(bytes(self.buffer))
            assert opcode == 2, opcode
            self.buffer += data
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def ready(self, seconds=0):
        return bool(self.buffer) or self.websocket.bytes.ready(seconds)

    def write(self, data):
        for start in range(0, len(data), self.piece):
            self.websocket.send(data[start:start + self.piece])

    def close(self):
        self.websocket.close()


class Spdy:
    """A SPDY connection. What arrives is sorted by stream: `data`, `ended`, `resets`."""

    def __init__(self, stream, protocol=None):
        self.stream, self.protocol = stream, protocol
        self.deflater = zlib.compressobj(zdict=dictionary())
        self.inflater = zlib.decompressobj(zdict=dictionary())
        self.next_id = 1
        self.data, self.ended, self.resets, self.replied = {}, set(), {}, set()
        self.pings, self.goaway, self.after_goaway = [], None, []

    @classmethod
    def open(cls, url, *versions, more=(), timeout=20):
        connection, path = connect(url, timeout)
        lines = [f"POST {path} HTTP/1.1", "Host: node:10250", *spdy_headers(*versions), *more]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, headers, rest = read_head(connection)
        assert status == 101, (status, rest)
        return cls(Bytes(connection, rest), dict(headers)["x-stream-protocol-version"])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.stream.close()

    def control(self, kind, payload, flags=0):
        self.stream.write(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(payload)) + payload)

    def block(self, headers):
        plain = struct.pack(">I", len(headers)) + b"".join(
            struct.pack(">I", len(text)) + text.encode()
            for pair in headers.items() for text in pair)
        return self.deflater.compress(plain) + self.deflater.flush(zlib.Z_SYNC_FLUSH)

    def syn(self, headers, id=None, flags=0):
        """Opens a stream without waiting for the answer; returns its number."""
        if id is None:
            id, self.next_id = self.next_id, self.next_id + 2
        self.control(SYN_STREAM, struct.pack(">IIH", id, 0, 0) + self.block(headers), flags)
        return id

    def open_stream(self, **headers):
        id = self.syn({name.lower(): str(value) for name, value in headers.items()})
        self.wait(lambda: id in self.replied or id in self.resets, f"reply to stream {id}")
        assert id in self.replied, f"stream {id} was reset"
        return id

    def write(self, id, data, fin=False):
        for start in range(0, len(data), 32768):
            piece = data[start:start + 32768]
            self.stream.write(struct.pack(">II", id, len(piece)) + piece)
        if fin:
            self.stream.write(struct.pack(">II", id, 0x01000000))

    def reset(self, id, status=5):
        self.control(RST, struct.pack(">II", id, status))

    def ping(self, id):
        self.control(PING, struct.pack(">I", id))

    def step(self):
        """Takes in one frame."""
        first, second = struct.unpack(">II", self.stream.read(8))
        flags, payload = second >> 24, self.stream.read(second & 0xFFFFFF)
        if self.goaway is not None:
            self.after_goaway.append((first, flags, payload))
        elif first >> 31 == 0:
            assert first in self.replied and first not in self.ended, f"data on stream {first}"
            self.data.setdefault(first, bytearray()).extend(payload)
            if flags & 1:
                self.ended.add(first)
        else:
            self.take_control(first & 0xFFFF, payload)

    def take_control(self, kind, payload):
        if kind == SYN_REPLY:
            block = payload[4:]
            assert block.endswith(b"\0\0\xff\xff"), "no sync flush"
            plain = self.inflater.decompress(block)
            assert plain == b"\0\0\0\0" and not self.inflater.unconsumed_tail
            self.replied.add(struct.unpack(">I", payload[:4])[0])
        elif kind == RST:
            id, status = struct.unpack(">II", payload)
            assert status != 0 and id != 0
            self.resets[id] = status
        elif kind == PING:
            self.pings.append(struct.unpack(">I", payload)[0])
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload)
        else:
            raise AssertionError(f"a frame of type {kind}")

    def wait(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            assert left > 0, f"after {seconds} s still waiting: {what}"
            if self.stream.ready(left):
                self.step()

    def drain(self):
        """Everything up to the end of the connection."""
        with contextlib.suppress(Closed):
            while True:
                self.step()


class Remote(Spdy):
    """exec or attach: opens the streams of a request, in the order of the Go client."""

    @classmethod
    def start(cls, url, stdin=False, stdout=True, stderr=True, tty=False,
              versions=SPDY_VERSIONS, order=None):
        self = cls.open(url, *versions)
        wanted = ["error"] + [name for name, there in
                              (("stdin", stdin), ("stdout", stdout), ("stderr", stderr),
                               ("resize", tty and self.protocol[:2] in ("v3", "v4"))) if there]
        self.ids = {name: self.open_stream(streamtype=name) for name in order or wanted}
        return self

    def output(self, name="stdout"):
        return self.data.get(self.ids.get(name), bytearray())

    def send(self, data, fin=False):
        self.write(self.ids["stdin"], data, fin)

    def resize(self, width, height):
        self.write(self.ids["resize"],
                   json.dumps({"Width": width, "Height": height}).encode() + b"\n")

    def wait_for(self, text, name="stdout", seconds=20):
        self.wait(lambda: text in self.output(name), f"{text!r} in {self.output(name)[-200:]!r}",
                  seconds)

    def finish(self, seconds=60):
        """The text of the error stream, when the session has ended as it should."""
        self.wait(lambda: self.goaway is not None, "the end", seconds)
        for name in ("stdout", "stderr", "error"):
            if name in self.ids and self.ids[name] not in self.resets:
                assert self.ids[name] in self.ended, f"{name} has no end"
        self.drain()
        assert not self.after_goaway
        self.close()
        return self.data.get(self.ids["error"], b"").decode()

    def status(self, seconds=60):
        return json.loads(self.finish(seconds))

    def code(self, seconds=60):
        """The exit code, as a Go client sees it."""
        status = self.status(seconds)
        if status["status"] == "Success":
            return 0
        assert status["reason"] == "NonZeroExitCode", status
        cause, = status["details"]["causes"]
        assert cause["reason"] == "ExitCode"
        return int(cause["message"])


class WebSocket:
    """Frames of RFC 6455."""

    def __init__(self, stream, protocol):
        self.bytes, self.protocol = stream, protocol
        self.pongs = []

    @classmethod
    def open(cls, url, *protocols, timeout=20):
        connection, path = connect(url, timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: node:10250", "Connection: Upgrade",
                 "Upgrade: websocket", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        if protocols:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(protocols))
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, headers, rest = read_head(connection)
        headers = dict(headers)
        assert status == 101, (status, rest)
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert headers["sec-websocket-accept"] == accept
        return cls(Bytes(connection, rest), headers.get("sec-websocket-protocol"))

    def frame(self, opcode, data, fin=True, masked=True):
        mask = os.urandom(4) if masked else b""
        length = len(data)
        bit = 0x80 if masked else 0
        head = bytes([(0x80 if fin else 0) | opcode])
        if length < 126:
            head += bytes([bit | length])
        elif length < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", length)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", length)
        if masked:
            wide = int.from_bytes(data, "little") ^ int.from_bytes(
                (mask * (length // 4 + 1))[:length], "little")
            data = wide.to_bytes(length, "little")
        self.bytes.write(head + mask + data)

    def send(self, data, opcode=2):
        self.frame(opcode, data)

    def receive(self):
        """(opcode, payload) of the next message; pongs are kept apart."""
        while True:
            first, second = self.bytes.read(2)
            assert first & 0x80 and not second & 0x80, "a fragment, or a mask"
            length = second
            if length == 126:
                length, = struct.unpack(">H", self.bytes.read(2))
            elif length == 127:
                length, = struct.unpack(">Q", self.bytes.read(8))
            data = self.bytes.read(length)
            if first & 15 == 10:
                self.pongs.append(data)
            else:
                return first & 15, data

    def messages(self):
        """Everything up to the close frame, and that frame's code."""
        found = []
        while True:
            opcode, data = self.receive()
            if opcode == 8:
                return found, struct.unpack(">H", data[:2])[0] if data else None
            found.append((opcode, data))

    def close(self):
        self.bytes.close()


def channel(messages, number):
    return b"".join(data[1:] for _, data in messages if data[:1] == bytes([number]))
