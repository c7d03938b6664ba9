// SPDX-License-Identifier: Apache-2.0

// Measures a CRI runtime from a client's side: how long each call takes, one after the other.
// Prints one JSON object: for each operation the median, the 90th percentile and the count, in
// milliseconds. What it makes it removes.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type bench struct {
	runtime cri.RuntimeServiceClient
	image   string
	host    bool
	parent  string
	serial  int
	times   map[string][]time.Duration
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// timed runs one call and notes how long it took.
func (b *bench) timed(name string, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begin := time.Now()
	check(call(ctx))
	b.times[name] = append(b.times[name], time.Since(begin))
}

func (b *bench) sandboxConfig() *cri.PodSandboxConfig {
	b.serial++
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), b.serial)
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "bench"},
		LogDirectory: os.TempDir() + "/podmon-bench-logs/" + name,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: b.parent,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}}},
	}
	if b.host {
		config.Linux.SecurityContext.NamespaceOptions.Network = cri.NamespaceMode_NODE
	} else {
		config.Hostname = "bench"
	}
	return config
}

func (b *bench) containerConfig(config *cri.PodSandboxConfig) *cri.ContainerConfig {
	return &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "main"},
		Image:    &cri.ImageSpec{Image: b.image},
		Command:  []string{"sleep", "100000"},
		LogPath:  "main.log",
		Linux: &cri.LinuxContainerConfig{
			Resources: &cri.LinuxContainerResources{CpuShares: 100, MemoryLimitInBytes: 256 << 20},
			SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: config.Linux.SecurityContext.NamespaceOptions}},
	}
}

// up makes a pod with one running container and notes each step and the whole.
func (b *bench) up() (pod, container string) {
	config := b.sandboxConfig()
	begin := time.Now()
	b.timed("RunPodSandbox", func(ctx context.Context) error {
		answer, err := b.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config})
		pod = answer.GetPodSandboxId()
		return err
	})
	startBegin := time.Now()
	b.timed("CreateContainer", func(ctx context.Context) error {
		answer, err := b.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
			PodSandboxId: pod, Config: b.containerConfig(config), SandboxConfig: config})
		container = answer.GetContainerId()
		return err
	})
	b.timed("StartContainer", func(ctx context.Context) error {
		_, err := b.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: container})
		return err
	})
	b.times["Create+Start"] = append(b.times["Create+Start"], time.Since(startBegin))
	b.times["pod-up"] = append(b.times["pod-up"], time.Since(begin))
	return pod, container
}

func (b *bench) down(pod, container string) {
	b.timed("StopContainer", func(ctx context.Context) error {
		_, err := b.runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: container})
		return err
	})
	b.timed("StopPodSandbox", func(ctx context.Context) error {
		_, err := b.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod})
		return err
	})
	b.timed("RemovePodSandbox", func(ctx context.Context) error {
		_, err := b.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod})
		return err
	})
}

func (b *bench) exec(container string) {
	b.timed("ExecSync", func(ctx context.Context) error {
		answer, err := b.runtime.ExecSync(ctx, &cri.ExecSyncRequest{
			ContainerId: container, Cmd: []string{"true"}, Timeout: 30})
		if err == nil && answer.ExitCode != 0 {
			err = fmt.Errorf("ExecSync: exit code %d", answer.ExitCode)
		}
		return err
	})
}

func (b *bench) list(name string, count int) {
	for i := 0; i < 20; i++ {
		b.timed(name, func(ctx context.Context) error {
			pods, err := b.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
			if err != nil {
				return err
			}
			containers, err := b.runtime.ListContainers(ctx, &cri.ListContainersRequest{})
			if err == nil && (len(pods.Items) < count || len(containers.Containers) < count) {
				err = fmt.Errorf("listed %d pods, %d containers", len(pods.Items),
					len(containers.Containers))
			}
			return err
		})
	}
}

func (b *bench) print() {
	type figure struct {
		P50   float64 `json:"p50_ms"`
		P90   float64 `json:"p90_ms"`
		Count int     `json:"count"`
	}
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	figures := map[string]figure{}
	for name, times := range b.times {
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
		figures[name] = figure{milliseconds(times[len(times)/2]),
			milliseconds(times[len(times)*9/10]), len(times)}
	}
	check(json.NewEncoder(os.Stdout).Encode(figures))
}

// hold keeps pods running until a line is read, so that somebody else can look at the processes.
func (b *bench) hold(count int) {
	type running struct{ pod, container string }
	var held []running
	for len(held) < count {
		pod, container := b.up()
		held = append(held, running{pod, container})
		if len(held) == count/2 || len(held) == count {
			b.list(fmt.Sprintf("List at %d", len(held)), len(held))
		}
	}
	b.times = map[string][]time.Duration{
		fmt.Sprintf("List at %d", count/2): b.times[fmt.Sprintf("List at %d", count/2)],
		fmt.Sprintf("List at %d", count):   b.times[fmt.Sprintf("List at %d", count)]}
	b.print()
	_, _ = fmt.Scanln()
	for _, one := range held {
		b.down(one.pod, one.container)
	}
}

func main() {
	endpoint := flag.String("endpoint", "", "the runtime's socket")
	image := flag.String("image", "busybox", "an image that is there")
	runs := flag.Int("runs", 20, "pods, one after the other")
	execs := flag.Int("execs", 5, "ExecSync calls in each")
	pause := flag.Duration("pause", 50*time.Millisecond, "idle time before each pod")
	host := flag.Bool("host", false, "the host's network instead of CNI")
	parent := flag.String("parent", "", "cgroup parent of the pods")
	held := flag.Int("hold", 0, "instead: hold this many pods until a line is read")
	flag.Parse()

	connection, err := grpc.NewClient("unix://"+*endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	b := &bench{runtime: cri.NewRuntimeServiceClient(connection), image: *image, host: *host,
		parent: *parent, times: map[string][]time.Duration{}}
	if *held > 0 {
		b.hold(*held)
		return
	}
	for i := 0; i < *runs+2; i++ {
		if i == 2 { // the first two warm caches
			b.times = map[string][]time.Duration{}
		}
		time.Sleep(*pause)
		pod, container := b.up()
		for n := 0; n < *execs; n++ {
			time.Sleep(*pause / 5)
			b.exec(container)
		}
		b.down(pod, container)
	}
	b.print()
}
