// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes are what a runtime keeps running: its daemon, and all whose arguments have `marker`
// among them. No container's process has.
type processes struct {
	daemon int
	marker string
}

func (p processes) pids() []string {
	found := []string{strconv.Itoa(p.daemon)}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		pid := filepath.Base(filepath.Dir(file))
		line, err := os.ReadFile(file)
		if err != nil || pid == found[0] {
			continue
		}
		for _, argument := range bytes.Split(line, []byte{0}) {
			if string(argument) == p.marker {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// cpu returns the seconds that all of them have been on a processor, to the nanosecond. A process
// or thread that has ended is not counted any more.
func (p processes) cpu() float64 {
	var total float64
	for _, pid := range p.pids() {
		threads, _ := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
		for _, file := range threads {
			var nanoseconds float64
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			_, err = fmt.Sscan(string(text), &nanoseconds)
			check(err)
			total += nanoseconds / 1e9
		}
	}
	return total
}

// memory returns their MiB of memory, a page that several share counted once among them all (PSS).
func (p processes) memory() float64 {
	var total float64
	for _, pid := range p.pids() {
		text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(text), "\n") {
			var kib float64
			if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kib); n == 1 {
				total += kib / 1024
			}
		}
	}
	return total
}
