#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stream_client.py: the stream code of the Python Kubernetes client on a URL that Exec, Attach or
PortForward has given.

    stream_client.py [--ca FILE] [--input TEXT] [--protocol NAME] exec URL
    stream_client.py [--ca FILE] ports URL PORT...

exec prints {"out", "err", "code"} as JSON; ports sends TEXT to each port and prints the answers."""

import argparse
import json
import urllib.parse

from kubernetes.client import Configuration
from kubernetes.stream import ws_client


def run_exec(configuration, options):
    headers = {"sec-websocket-protocol": options.protocol} if options.protocol else {}
    client = ws_client.websocket_call(configuration, "GET", options.url, headers=headers,
                                      _preload_content=False)
    if options.input is not None:
        client.write_stdin(options.input)
        client.close_channel(ws_client.STDIN_CHANNEL)
    client.run_forever(timeout=60)
    code = client.returncode
    return {"out": client.read_stdout(timeout=0), "err": client.read_stderr(timeout=0),
            "code": code, "protocol": client.subprotocol}


def run_ports(configuration, options):
    # As portforward_call does it, which adds a query to the URL of an API server.
    websocket = ws_client.create_websocket(
        configuration, ws_client.get_websocket_url(options.url),
        {"sec-websocket-protocol": "v4.channel.k8s.io"})
    ports = ws_client.PortForward(websocket, list(map(int, options.ports)))
    answers = {}
    for port in map(int, options.ports):
        stream = ports.socket(port)
        stream.sendall(options.input.encode())
        answers[port] = stream.recv(65536).decode()
    errors = [ports.error(int(port)) for port in options.ports]
    ports.close()
    return {"answers": answers, "errors": errors}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ca")
    parser.add_argument("--input")
    parser.add_argument("--protocol")
    parser.add_argument("what", choices=["exec", "ports"])
    parser.add_argument("url")
    parser.add_argument("ports", nargs="*")
    options = parser.parse_args()
    configuration = Configuration()
    configuration.ssl_ca_cert = options.ca
    configuration.host = urllib.parse.urljoin(options.url, "/")
    run = run_exec if options.what == "exec" else run_ports
    print(json.dumps(run(configuration, options)))


if __name__ == "__main__":
    main()
