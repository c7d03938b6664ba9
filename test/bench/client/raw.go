// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moby/spdystream/spdy"
)

// raw is a client of streams that costs as little as it can, so that the server is what is measured:
// it counts what comes and sends the same buffer again and again. The frames are those that real
// clients send, 32 KiB of payload at most.
type raw struct {
	connection net.Conn
	address    string
	reader     *bufio.Reader
	websocket  bool
}

const (
	framePayload  = 32 << 10
	framesAtOnce  = 8
	rawBufferSize = 256 << 10
	rawDeadline   = 5 * time.Minute
)

func dialRaw(address, method string, header http.Header) *raw {
	target, err := url.Parse(address)
	check(err)
	connection, err := net.Dial("tcp", target.Host)
	check(err)
	check(connection.SetDeadline(time.Now().Add(rawDeadline)))
	request := &http.Request{Method: method, URL: target, Host: target.Host, Header: header,
		ProtoMajor: 1, ProtoMinor: 1}
	check(request.Write(connection))
	r := &raw{connection: connection, address: address, reader: bufio.NewReaderSize(connection, rawBufferSize)}
	answer, err := http.ReadResponse(r.reader, request)
	check(err)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(answer.Body)
		check(fmt.Errorf("%s: %s", answer.Status, text))
	}
	return r
}

// openSPDY opens one stream for each of these headers: streams 1, 3, 5 and so on.
func openSPDY(address, protocol string, streams ...http.Header) *raw {
	r := dialRaw(address, "POST", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"},
		"X-Stream-Protocol-Version": {protocol}})
	var frames bytes.Buffer
	framer, err := spdy.NewFramer(&frames, strings.NewReader(""))
	check(err)
	for i, header := range streams {
		check(framer.WriteFrame(&spdy.SynStreamFrame{StreamId: spdy.StreamId(2*i + 1),
			Headers: header}))
	}
	_, err = r.connection.Write(frames.Bytes())
	check(err)
	return r
}

func openWebSocket(address, protocol string) *raw {
	r := dialRaw(address, "GET", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Protocol": {protocol}, "Origin": {"http://localhost"}})
	r.websocket = true
	return r
}

// next reads a frame's header: the stream or channel it is for, and the payload still to be read.
// Frames of control are passed over.
func (r *raw) next() (stream, left int, err error) {
	header := make([]byte, 8)
	for !r.websocket {
		if _, err = io.ReadFull(r.reader, header); err != nil {
			return 0, 0, err
		}
		left = int(binary.BigEndian.Uint32(header[4:]) & 0xffffff)
		if header[0]&0x80 == 0 {
			return int(binary.BigEndian.Uint32(header)), left, nil
		}
		if _, err = r.reader.Discard(left); err != nil {
			return 0, 0, err
		}
	}
	for {
		if _, err = io.ReadFull(r.reader, header[:2]); err != nil {
			return 0, 0, err
		}
		opcode := header[0] & 0xf
		left = int(header[1])
		if left == 126 {
			if _, err = io.ReadFull(r.reader, header[:2]); err != nil {
				return 0, 0, err
			}
			left = int(binary.BigEndian.Uint16(header))
		}
		if left == 127 {
			if _, err = io.ReadFull(r.reader, header); err != nil {
				return 0, 0, err
			}
			left = int(binary.BigEndian.Uint64(header))
		}
		if opcode >= 8 {
			return 0, 0, io.EOF
		}
		if left > 0 {
			channel, err := r.reader.ReadByte()
			return int(channel), left - 1, err
		}
	}
}

// take reads until `size` bytes of the stream have come; what other streams say is an error.
func (r *raw) take(stream int, size int64) {
	for size > 0 {
		from, left, err := r.next()
		if err != nil {
			check(fmt.Errorf("%s ended with %d bytes still to come: %w", r.address, size, err))
		}
		if from != stream && left > 0 {
			text := make([]byte, left)
			_, _ = io.ReadFull(r.reader, text)
			check(fmt.Errorf("stream %d says %q", from, text))
		}
		_, err = r.reader.Discard(left)
		check(err)
		size -= int64(left)
	}
}

// frames returns a number of data frames with a payload of 32 KiB each.
func (r *raw) frames(stream int) []byte {
	var all bytes.Buffer
	payload := make([]byte, framePayload)
	for i := 0; i < framesAtOnce; i++ {
		if r.websocket {
			mask := []byte{0x12, 0x34, 0x56, 0x78}
			masked := append([]byte{byte(stream)}, payload...)
			for n := range masked {
				masked[n] ^= mask[n%4]
			}
			all.Write([]byte{0x82, 0x80 | 126})
			_ = binary.Write(&all, binary.BigEndian, uint16(len(masked)))
			all.Write(mask)
			all.Write(masked)
			continue
		}
		_ = binary.Write(&all, binary.BigEndian, [2]uint32{uint32(stream), framePayload})
		all.Write(payload)
	}
	return all.Bytes()
}

// send sends `size` bytes, a multiple of 256 KiB.
func (r *raw) send(stream int, size int64) {
	frames := r.frames(stream)
	for ; size > 0; size -= framesAtOnce * framePayload {
		_, err := r.connection.Write(frames)
		check(err)
	}
}

// write sends these bytes, which fit in a frame, on a stream of SPDY.
func (r *raw) write(stream int, bytes []byte) {
	header := binary.BigEndian.AppendUint32(nil, uint32(stream))
	header = binary.BigEndian.AppendUint32(header, uint32(len(bytes)))
	_, err := r.connection.Write(append(header, bytes...))
	check(err)
}

// end waits until the server has ended the session.
func (r *raw) end() {
	_, _ = io.Copy(io.Discard, r.reader)
	check(r.connection.Close())
}
