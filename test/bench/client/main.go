// SPDX-License-Identifier: Apache-2.0

// Measures CRI runtimes from a client's side: how long each call takes, one after the other. Several
// runtimes take turns, a pod each, so that what disturbs the machine disturbs them all. Prints one
// JSON object: for each runtime and operation the list of milliseconds. What it makes it removes.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type bench struct {
	name    string
	runtime cri.RuntimeServiceClient
	image   string
	host    bool
	limits  *cri.LinuxContainerResources
	parent  string
	logs    string
	serial  int
	times   map[string][]float64
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
	b.note(name, begin)
}

func (b *bench) note(name string, begin time.Time) {
	b.times[name] = append(b.times[name], float64(time.Since(begin).Microseconds())/1000)
}

func (b *bench) sandboxConfig() *cri.PodSandboxConfig {
	b.serial++
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), b.serial)
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "bench"},
		LogDirectory: b.logs + "/" + b.name + "/" + name,
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
			Resources: b.limits,
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
	b.note("Create+Start", startBegin)
	b.note("pod-up", begin)
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

// print tells what every runtime took so far.
func print(benches []*bench) {
	all := map[string]map[string][]float64{}
	for _, b := range benches {
		all[b.name] = b.times
	}
	check(json.NewEncoder(os.Stdout).Encode(all))
}

// hold keeps pods running until a line is read, so that somebody else can look at the processes.
func (b *bench) hold(count int) {
	type running struct{ pod, container string }
	var held []running
	lists := map[string][]float64{}
	for len(held) < count {
		pod, container := b.up()
		held = append(held, running{pod, container})
		if len(held) == count/2 || len(held) == count {
			name := fmt.Sprintf("List at %d", len(held))
			b.list(name, len(held))
			lists[name] = b.times[name]
		}
	}
	b.times = lists
	print([]*bench{b})
	_, _ = fmt.Scanln()
	for _, one := range held {
		b.down(one.pod, one.container)
	}
}

// takeTurns runs a pod of each runtime, one after the other, as often as asked.
func takeTurns(benches []*bench, runs, execs int, pause time.Duration) {
	const warmUps = 2 // fill caches and are not counted
	for i := 0; i < runs+warmUps; i++ {
		for _, b := range benches {
			if i == warmUps {
				b.times = map[string][]float64{}
			}
			time.Sleep(pause)
			pod, container := b.up()
			for n := 0; n < execs; n++ {
				time.Sleep(pause)
				b.exec(container)
			}
			time.Sleep(pause)
			b.down(pod, container)
		}
	}
	print(benches)
}

func main() {
	image := flag.String("image", "busybox", "an image that is there")
	runs := flag.Int("runs", 20, "pods of each runtime, one after the other")
	execs := flag.Int("execs", 5, "ExecSync calls in each")
	pause := flag.Duration("pause", 50*time.Millisecond, "idle time before what is measured")
	host := flag.Bool("host", false, "the host's network instead of CNI")
	limited := flag.Bool("limits", true, "give containers limits of CPU and memory")
	parent := flag.String("parent", "", "cgroup parent of the pods")
	logs := flag.String("logs", os.TempDir(), "where the logs of the pods go")
	held := flag.Int("hold", 0, "instead: hold this many pods of one runtime until a line is read")
	megabytes := flag.Int64("size", 1024, "with -streams: MiB of each transfer")
	sessions := flag.Int("streams", 0, "instead: measure streams, this many at once in one of the rows; "+
		"the arguments are NAME=SOCKET=PID=ARGUMENT, of the daemon and of its other processes")
	steps := flag.String("steps", "setup,interactive,client,raw,forward,many",
		"with -streams: these measurements only")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: client [OPTION]... NAME=SOCKET...")
		flag.PrintDefaults()
	}
	flag.Parse()

	limits := &cri.LinuxContainerResources{}
	if *limited {
		limits = &cri.LinuxContainerResources{CpuShares: 100, MemoryLimitInBytes: 256 << 20}
	}
	var benches []*bench
	var measured []*streams
	for _, argument := range flag.Args() {
		words := append(strings.Split(argument, "="), "", "", "")
		name := words[0]
		connection, err := grpc.NewClient("unix://"+words[1],
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(err)
		benches = append(benches, &bench{name: name, image: *image, host: *host, limits: limits,
			parent: *parent, logs: *logs, runtime: cri.NewRuntimeServiceClient(connection),
			times: map[string][]float64{}})
		daemon, _ := strconv.Atoi(words[2])
		measured = append(measured, &streams{bench: benches[len(benches)-1], size: *megabytes << 20,
			processes: processes{daemon: daemon, marker: words[3]}})
	}
	switch {
	case len(benches) == 0 || (*held > 0 && len(benches) > 1):
		flag.Usage()
		os.Exit(2)
	case *sessions > 0:
		takeStreamTurns(measured, *runs, *sessions, *pause, strings.Split(*steps, ","))
	case *held > 0:
		benches[0].hold(*held)
	default:
		takeTurns(benches, *runs, *execs, *pause)
	}
}
