// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// streams measures exec and port-forward of one runtime, in one pod. The latencies are taken with
// the client that kubectl has (client-go); throughput also with one that costs less (raw.go).
type streams struct {
	*bench
	processes
	pod, container string
	size           int64
}

const (
	setups     = 20  // exec sessions timed in a round
	roundTrips = 300 // bytes echoed in a round
	gigabyte   = 1e9
)

// The input is read in full and said to have been, the output written; then the session stays open
// for a second, so that its server's processes can still be looked at.
const (
	readerScript = "dd of=/dev/null bs=64k count=%d iflag=fullblock " +
		"2>/dev/null; echo d; sleep 1"
	writerScript = "dd if=/dev/zero bs=64k count=%d 2>/dev/null; sleep 1"
)

func (s *streams) execURL(tty, stdin bool, command ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := s.runtime.Exec(ctx, &cri.ExecRequest{ContainerId: s.container, Cmd: command,
		Tty: tty, Stdin: stdin, Stdout: true})
	check(err)
	return answer.Url
}

func (s *streams) forwardURL() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := s.runtime.PortForward(ctx, &cri.PortForwardRequest{PodSandboxId: s.pod})
	check(err)
	return answer.Url
}

func (s *streams) add(name string, value float64) {
	s.times[name] = append(s.times[name], value)
}

// ---- with client-go

func executor(address string, websocket bool) remotecommand.Executor {
	target, err := url.Parse(address)
	check(err)
	config := &rest.Config{Host: target.Scheme + "://" + target.Host}
	var made remotecommand.Executor
	if websocket {
		made, err = remotecommand.NewWebSocketExecutor(config, "GET", address)
	} else {
		made, err = remotecommand.NewSPDYExecutor(config, "POST", target)
	}
	check(err)
	return made
}

// session is an exec session of client-go's. What the command writes comes from `output`.
type session struct {
	input  io.WriteCloser
	output *io.PipeReader
	done   chan error
}

func (s *streams) open(websocket, tty, stdin bool, command ...string) *session {
	address := s.execURL(tty, stdin, command...)
	output, outputWriter := io.Pipe()
	opened := &session{output: output, done: make(chan error, 1)}
	options := remotecommand.StreamOptions{Stdout: outputWriter, Tty: tty}
	if stdin {
		options.Stdin, opened.input = io.Pipe()
	}
	go func() {
		err := executor(address, websocket).StreamWithContext(context.Background(), options)
		if err != nil {
			err = fmt.Errorf("%s: %v: %w", s.name, command, err)
		}
		_ = outputWriter.CloseWithError(err)
		opened.done <- err
	}()
	return opened
}

func (o *session) read(bytes []byte) {
	_, err := io.ReadFull(o.output, bytes)
	check(err)
}

func (o *session) end() {
	if o.input != nil {
		check(o.input.Close())
	}
	_, _ = io.Copy(io.Discard, o.output)
	check(<-o.done)
}

func (s *streams) setup(pause time.Duration, websocket bool, name string) {
	for i := 0; i < setups; i++ {
		time.Sleep(pause)
		begin := time.Now()
		opened := s.open(websocket, false, false, "echo", "x")
		opened.read(make([]byte, 2))
		s.note("exec setup, "+name, begin)
		opened.end()
		s.note("exec whole, "+name, begin)
	}
}

// interactive has the terminal echo single bytes.
func (s *streams) interactive(websocket bool, name string) {
	opened := s.open(websocket, true, true, "sh", "-c", "stty -icanon; echo r; cat >/dev/null")
	opened.read(make([]byte, 3))
	cpu := s.cpu()
	for i := 0; i < roundTrips; i++ {
		begin := time.Now()
		_, err := opened.input.Write([]byte("x"))
		check(err)
		opened.read(make([]byte, 1))
		s.note("round trip, "+name, begin)
	}
	s.add("round trip CPU, "+name, (s.cpu()-cpu)/roundTrips*1000)
	_, err := opened.input.Write([]byte{3}) // interrupts cat
	check(err)
	_ = opened.input.Close()
	_, _ = io.Copy(io.Discard, opened.output)
	<-opened.done // its code is that of the signal
}

// many opens sessions all at once and holds them until every one has echoed a byte.
func (s *streams) many(count int) {
	var ready, ended sync.WaitGroup
	held := make([]*session, count)
	before := s.memory()
	cpu, begin := s.cpu(), time.Now()
	for i := range held {
		ready.Add(1)
		go func() {
			defer ready.Done()
			held[i] = s.open(false, false, true, "cat")
			_, err := held[i].input.Write([]byte("x"))
			check(err)
			held[i].read(make([]byte, 1))
		}()
	}
	ready.Wait()
	s.note(fmt.Sprintf("%d sessions, all set up", count), begin)
	s.add(fmt.Sprintf("%d sessions, CPU ms each", count), (s.cpu()-cpu)/float64(count)*1000)
	s.add(fmt.Sprintf("%d sessions, MiB each", count), (s.memory()-before)/float64(count))
	begin = time.Now()
	for _, opened := range held {
		ended.Add(1)
		go func() {
			defer ended.Done()
			opened.end()
		}()
	}
	ended.Wait()
	s.note(fmt.Sprintf("%d sessions, all ended", count), begin)
}

// ---- throughput

// transfer runs what moves `size` bytes and notes its speed and the server's time on processors.
func (s *streams) transfer(name string, move func()) {
	cpu, begin := s.cpu(), time.Now()
	move()
	seconds := time.Since(begin).Seconds()
	cpu = s.cpu() - cpu
	s.add(name+", MB/s", float64(s.size)/1e6/seconds)
	s.add(name+", CPU s/GB", cpu/(float64(s.size)/gigabyte))
}

func (s *streams) script(text string) []string {
	return []string{"sh", "-c", fmt.Sprintf(text, s.size>>16)}
}

type zeros struct{}

func (zeros) Read(bytes []byte) (int, error) {
	return len(bytes), nil
}

func (s *streams) clientThroughput(websocket bool, name string) {
	var opened *session
	s.transfer("exec output, "+name, func() {
		opened = s.open(websocket, false, false, s.script(writerScript)...)
		_, err := io.CopyN(io.Discard, opened.output, s.size)
		check(err)
	})
	opened.end()
	opened = s.open(websocket, false, true, s.script(readerScript)...)
	s.transfer("exec stdin, "+name, func() {
		_, err := io.CopyN(opened.input, zeros{}, s.size)
		check(err)
		opened.read(make([]byte, 2))
	})
	opened.end()
}

func streamTypes(types ...string) []http.Header {
	var headers []http.Header
	for _, one := range types {
		headers = append(headers, http.Header{"Streamtype": {one}})
	}
	return headers
}

func (s *streams) rawExec() {
	address := s.execURL(false, false, s.script(writerScript)...)
	var connection *raw
	s.transfer("exec output, raw SPDY", func() {
		connection = openSPDY(address, "v4.channel.k8s.io", streamTypes("error", "stdout")...)
		connection.take(3, s.size)
	})
	connection.end()
	connection = openSPDY(s.execURL(false, true, s.script(readerScript)...), "v4.channel.k8s.io",
		streamTypes("error", "stdout", "stdin")...)
	s.transfer("exec stdin, raw SPDY", func() {
		connection.send(5, s.size)
		connection.take(3, 2)
	})
	connection.end()
	s.transfer("exec output, raw WebSocket", func() {
		connection = openWebSocket(s.execURL(false, false, s.script(writerScript)...),
			"v4.channel.k8s.io")
		connection.take(1, s.size)
	})
	connection.end()
	connection = openWebSocket(s.execURL(false, true, s.script(readerScript)...), "v4.channel.k8s.io")
	s.transfer("exec stdin, raw WebSocket", func() {
		connection.send(0, s.size)
		connection.take(1, 2)
	})
	connection.end()
}

// target is a server in the pod's network, which is the host's: it sends what it is asked for, or
// reads as much and says so.
func target() (port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	serve := func(connection net.Conn) {
		defer connection.Close()
		var direction byte
		var size int64
		if _, err := fmt.Fscanf(connection, "%c%d\n", &direction, &size); err != nil {
			return
		}
		buffer := make([]byte, rawBufferSize)
		for done := int64(0); done < size; {
			n, err := len(buffer), error(nil)
			if direction == 'd' {
				n, err = connection.Write(buffer[:min(int64(n), size-done)])
			} else {
				n, err = connection.Read(buffer)
			}
			if err != nil {
				return
			}
			done += int64(n)
		}
		if direction == 'u' {
			_, _ = connection.Write([]byte("d\n"))
		}
		_, _ = connection.Read(buffer)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			check(err)
			go serve(connection)
		}
	}()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func (s *streams) rawForward(port string) {
	for _, direction := range []string{"down", "up"} {
		headers := streamTypes("error", "data")
		for _, header := range headers {
			header.Set("Port", port)
			header["Requestid"] = []string{"0"}
		}
		connection := openSPDY(s.forwardURL(), "portforward.k8s.io", headers...)
		connection.write(3, fmt.Appendf(nil, "%c%d\n", direction[0], s.size))
		s.transfer("port-forward "+direction+", raw SPDY", func() {
			if direction == "down" {
				connection.take(3, s.size)
			} else {
				connection.send(3, s.size)
				connection.take(3, 2)
			}
		})
		check(connection.connection.Close())
	}
}

// takeStreamTurns runs the wanted measurements on each runtime in turn, round by round.
func takeStreamTurns(all []*streams, rounds, sessions int, pause time.Duration, wanted []string) {
	port := target()
	for _, s := range all {
		s.pod, s.container = s.up()
		s.setup(0, false, "SPDY") // fills caches
		s.times = map[string][]float64{}
	}
	websockets := func(s *streams, measure func()) {
		if !strings.HasPrefix(s.name, "podmon") {
			return // Neither containerd has v5, the only one that client-go speaks over WebSockets.
		}
		measure()
	}
	steps := []struct {
		name    string
		measure func(s *streams)
	}{
		{"setup", func(s *streams) { s.setup(pause, false, "SPDY") }},
		{"setup", func(s *streams) { websockets(s, func() { s.setup(pause, true, "WebSocket") }) }},
		{"interactive", func(s *streams) { s.interactive(false, "SPDY") }},
		{"interactive", func(s *streams) { websockets(s, func() { s.interactive(true, "WebSocket") }) }},
		{"client", func(s *streams) { s.clientThroughput(false, "SPDY") }},
		{"client", func(s *streams) { websockets(s, func() { s.clientThroughput(true, "WebSocket") }) }},
		{"raw", func(s *streams) { s.rawExec() }},
		{"forward", func(s *streams) { s.rawForward(port) }},
		{"many", func(s *streams) { s.many(sessions) }},
	}
	for i := 0; i < rounds; i++ {
		for _, step := range steps {
			for _, s := range all {
				if slices.Contains(wanted, step.name) {
					step.measure(s)
				}
			}
		}
	}
	var benches []*bench
	for _, s := range all {
		times := s.times
		s.down(s.pod, s.container)
		s.times = times
		for _, row := range []string{"StopContainer", "StopPodSandbox", "RemovePodSandbox"} {
			delete(s.times, row)
		}
		benches = append(benches, s.bench)
	}
	print(benches)
}
