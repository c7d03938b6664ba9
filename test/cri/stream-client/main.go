// SPDX-License-Identifier: Apache-2.0

// stream-client: the stream code of client-go on a URL that Exec, Attach or PortForward has given.
//
//	stream-client [-ca FILE] [-tty WIDTHxHEIGHT] [-stdin] spdy|websocket exec URL
//	stream-client [-ca FILE] spdy|websocket ports URL PORT...
//
// exec (an attach is the same) ends with the command's exit code. ports prints "LOCAL REMOTE" for
// each port, and ends when its standard input does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

var (
	ca    = flag.String("ca", "", "the authority of https URLs")
	size  = flag.String("tty", "", "a terminal of this size")
	stdin = flag.Bool("stdin", false, "passes standard input on")
)

// sizes tells one size, and then nothing until the end.
type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	next, there := <-s
	if !there {
		return nil
	}
	return &next
}

func die(err error) {
	fmt.Fprintln(os.Stderr, "stream-client:", err)
	os.Exit(125)
}

func newExecutor(config *rest.Config, transport, where string) (remotecommand.Executor, error) {
	if transport == "websocket" {
		return remotecommand.NewWebSocketExecutor(config, http.MethodGet, where)
	}
	address, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewSPDYExecutor(config, http.MethodPost, address)
}

func runExec(config *rest.Config, transport, where string) error {
	executor, err := newExecutor(config, transport, where)
	if err != nil {
		return err
	}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Stderr: os.Stderr}
	if *stdin {
		options.Stdin = os.Stdin
	}
	if *size != "" {
		first := remotecommand.TerminalSize{}
		if _, err := fmt.Sscanf(*size, "%dx%d", &first.Width, &first.Height); err != nil {
			return err
		}
		queue := make(sizes, 1)
		queue <- first
		options.Stderr, options.Tty, options.TerminalSizeQueue = nil, true, queue
	}
	return executor.StreamWithContext(context.Background(), options)
}

func newDialer(config *rest.Config, transport, where string) (httpstream.Dialer, error) {
	address, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	if transport == "websocket" {
		return portforward.NewSPDYOverWebsocketDialer(address, config)
	}
	round, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return spdy.NewDialer(upgrader, &http.Client{Transport: round}, http.MethodPost, address), nil
}

func runPorts(config *rest.Config, transport, where string, ports []string) error {
	dialer, err := newDialer(config, transport, where)
	if err != nil {
		return err
	}
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	wanted := []string{}
	for _, port := range ports {
		wanted = append(wanted, "0:"+port)
	}
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, wanted, stop, ready,
		io.Discard, os.Stderr)
	if err != nil {
		return err
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case err := <-ended:
		return err
	case <-ready:
	}
	pairs, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		fmt.Println(pair.Local, pair.Remote)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	return <-ended
}

func main() {
	flag.Parse()
	if flag.NArg() < 3 {
		die(errors.New("spdy or websocket, exec or ports, and a URL"))
	}
	transport, what, where := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	config := &rest.Config{Host: where, TLSClientConfig: rest.TLSClientConfig{CAFile: *ca}}
	var err error
	if what == "ports" {
		err = runPorts(config, transport, where, flag.Args()[3:])
	} else {
		err = runExec(config, transport, where)
	}
	if status := (exec.CodeExitError{}); errors.As(err, &status) {
		os.Exit(status.Code)
	}
	if err != nil {
		die(err)
	}
}
