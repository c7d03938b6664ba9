# SPDX-License-Identifier: Apache-2.0
"""Exec and port-forward, side by side: what the client measures, as a table."""

import json
import subprocess

# Of the medians: podmon's share of containerd + runc's, at most.
SETUP_SHARE = 1 / 4
CPU_SHARE = 1 / 5
STEPS = "setup,interactive,client,raw,forward,many"
WIDTHS = (40, 18, 18, 18, 13, 16)


def measure(client, image, logs, options, runtimes):
    """{row: {runtime: [value]}}"""
    command = [client, "-image", image, "-logs", logs, "-runs", str(options.rounds), "-host",
               "-limits=false", "-parent", runtimes[0].parent, "-streams", str(options.sessions),
               "-size", str(options.size), "-steps", options.steps]
    arguments = [f"{runtime.name}={runtime.socket}={runtime.pid}={runtime.marker}"
                 for runtime in runtimes]
    output = subprocess.run([*command, *arguments], check=True, stdout=subprocess.PIPE).stdout
    rows = {}
    for runtime, measured in json.loads(output).items():
        for row, values in measured.items():
            rows.setdefault(row, {})[runtime] = values
    return rows


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def target_of(row):
    if row.startswith("exec setup"):
        return SETUP_SHARE
    return CPU_SHARE if row.endswith("CPU s/GB") else None


def format_cell(row, values):
    if not values:
        return "-"
    times = not row.endswith(("MB/s", "CPU s/GB", "each"))
    places = 3 if row.endswith("CPU s/GB") else 0 if row.endswith("MB/s") else 2
    median = f"{quantile(values, .5):.{places}f}"
    return f"{median} / {quantile(values, .9):.2f}" if times else median


def print_row(*cells):
    print("".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS)).rstrip())


def print_table(rows, names):
    print("\nstreams: p50 / p90 in ms where nothing else is said, else medians")
    print_row("", *names, "podmon/runc", "target")
    for row, figures in rows.items():
        share, ratio, target = target_of(row), "", ""
        if figures.get("podmon") and figures.get("runc"):
            value = quantile(figures["podmon"], .5) / quantile(figures["runc"], .5)
            ratio = f"{value:.2f}"
            if share:
                target = f"<= {share:.2f} {'met' if value <= share else 'not met'}"
        print_row(row, *(format_cell(row, figures.get(name)) for name in names), ratio, target)
