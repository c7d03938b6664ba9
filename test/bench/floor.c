/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel alone takes for a container's life: the figures that no runtime can beat.
 *
 *   floor LOWER SCRATCH RUNS PAUSE_MS [into|move|join CGROUP...]
 *
 * LOWER is an unpacked image with /bin/sleep and /bin/true, SCRATCH an empty directory. Each run
 * makes a pod's namespaces ("sandbox"), starts a program in an overlay ("start": from clone3 to the
 * end of execve), runs another one beside it ("exec") and kills the first ("stop"). PAUSE_MS of
 * idleness go before each. `into`: the processes are born in the one cgroup (v2). `move`: each is
 * written into every CGROUP's cgroup.procs by its parent; `join`: into "tasks" by itself, which
 * takes no lock of the whole machine (v1 only). Prints milliseconds as one JSON object. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNS_MAX = 1000, CGROUPS_MAX = 16, POD_FLAGS = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS };

typedef enum Step { STEP_SANDBOX, STEP_START, STEP_EXEC, STEP_STOP, STEP_COUNT } Step;

static const char *const step_names[STEP_COUNT] = {"sandbox", "start", "exec", "stop"};
static double samples[STEP_COUNT][RUNS_MAX];

static const char *lower, *scratch;
static int into = -1;
static int cgroups[CGROUPS_MAX];
static int cgroup_count;
static bool join; /* the child enters the cgroups itself */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static int must(int result, const char *what)
{
    if (result < 0)
        die(what);
    return result;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void write_all(int fd, const char *text, const char *what)
{
    if (write(fd, text, strlen(text)) < 0)
        die(what);
}

typedef struct Child {
    pid_t pid;
    int pidfd;
} Child;

static void enter_cgroups(pid_t pid)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    for (int i = 0; i < cgroup_count; i++)
        write_all(cgroups[i], text, "enter cgroup");
}

/* Returns in both processes; pid 0 in the child, which goes on only when it is in its cgroups: if
 * its parent moves it, the end of the `gate` says so. */
static Child child_clone(uint64_t flags)
{
    int gate[2], pidfd = -1;
    must(pipe2(gate, O_CLOEXEC), "pipe");
    struct clone_args arguments = {.flags =
                                       flags | CLONE_PIDFD | (into >= 0 ? CLONE_INTO_CGROUP : 0),
                                   .pidfd = (uintptr_t)&pidfd,
                                   .exit_signal = SIGCHLD,
                                   .cgroup = into >= 0 ? (uint64_t)into : 0};
    Child child = {
        .pid = (pid_t)must((int)syscall(SYS_clone3, &arguments, sizeof(arguments)), "clone3"),
        .pidfd = pidfd};
    if (child.pid > 0) {
        if (!join)
            enter_cgroups(child.pid);
        close(gate[0]);
        close(gate[1]);
    } else if (join) {
        enter_cgroups(0);
    } else if (cgroup_count > 0) {
        char byte;
        close(gate[1]);
        must((int)read(gate[0], &byte, 1), "read gate");
    }
    return child;
}

static void child_end(Child *child)
{
    siginfo_t info;
    must(waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED), "waitid");
    close(child->pidfd);
}

/* Waits until the child has closed `fd`, which execve does. */
static void wait_closed(int fd[2])
{
    char byte;
    close(fd[1]);
    must((int)read(fd[0], &byte, 1), "read");
    close(fd[0]);
}

static Child sandbox_make(void)
{
    int ready[2];
    must(pipe2(ready, O_CLOEXEC), "pipe");
    Child pod = child_clone(POD_FLAGS);
    if (pod.pid == 0) {
        must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "slave /");
        must(mount("shm", scratch, "tmpfs", 0, "size=1m"), "mount shm");
        must(sethostname("floor", 5), "sethostname");
        close(ready[0]);
        close(ready[1]);
        pause();
        _exit(0);
    }
    wait_closed(ready);
    return pod;
}

static void make_directory(char *path, size_t size, int run, const char *name)
{
    snprintf(path, size, "%s/%d%s", scratch, run, name);
    must(mkdir(path, 0755), path);
}

static _Noreturn void enter_root(int run)
{
    char top[4096], upper[4096], work[4096], options[12288 + 64];
    must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "slave /");
    make_directory(top, sizeof(top), run, "");
    make_directory(upper, sizeof(upper), run, "/upper");
    make_directory(work, sizeof(work), run, "/work");
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    must(mount("overlay", top, "overlay", 0, options), "mount overlay");
    must(chdir(top), top);
    must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "umount old root");
    execl("/bin/sleep", "sleep", "1000", NULL);
    die("execve sleep");
}

static Child container_start(int run)
{
    int ready[2];
    must(pipe2(ready, O_CLOEXEC), "pipe");
    Child container = child_clone(CLONE_NEWNS | CLONE_NEWPID);
    if (container.pid == 0)
        enter_root(run);
    wait_closed(ready);
    return container;
}

/* The own pid namespace for children is changed for a moment, which saves a second fork. */
static void container_exec(const Child *container, int own_pid_namespace)
{
    must(setns(container->pidfd, CLONE_NEWPID), "setns pid");
    Child command = child_clone(0);
    if (command.pid == 0) {
        must(setns(container->pidfd, CLONE_NEWNS), "setns mnt");
        execl("/bin/true", "true", NULL);
        die("execve true");
    }
    must(setns(own_pid_namespace, CLONE_NEWPID), "setns own pid");
    child_end(&command);
}

static void child_kill(Child *child)
{
    must((int)syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0), "kill");
    child_end(child);
}

static void run_once(int run, useconds_t pause_us, int own_pid_namespace)
{
    Child pod, container;
    for (Step step = 0; step < STEP_COUNT; step++) {
        usleep(pause_us);
        double begin = now_ms();
        switch (step) {
        case STEP_SANDBOX:
            pod = sandbox_make();
            break;
        case STEP_START:
            container = container_start(run);
            break;
        case STEP_EXEC:
            container_exec(&container, own_pid_namespace);
            break;
        default:
            child_kill(&container);
        }
        samples[step][run] = now_ms() - begin;
    }
    child_kill(&pod);
}

static int open_file(const char *cgroup, const char *file)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", cgroup, file);
    return must(open(path, O_WRONLY | O_CLOEXEC), path);
}

static void print_samples(int runs)
{
    for (Step step = 0; step < STEP_COUNT; step++) {
        printf("%s\"%s\": [", step == 0 ? "{" : ", ", step_names[step]);
        for (int run = 0; run < runs; run++)
            printf("%s%.3f", run == 0 ? "" : ", ", samples[step][run]);
        printf("]");
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc - 6 > CGROUPS_MAX) {
        fprintf(stderr, "usage: floor LOWER SCRATCH RUNS PAUSE_MS [into|move|join CGROUP...]\n");
        return 2;
    }
    lower = argv[1];
    scratch = argv[2];
    int runs = atoi(argv[3]);
    if (runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "floor: RUNS is '%s', it must be 1 to %d\n", argv[3], RUNS_MAX);
        return 2;
    }
    if (argc > 6 && strcmp(argv[5], "into") == 0)
        into = must(open(argv[6], O_RDONLY | O_DIRECTORY | O_CLOEXEC), argv[6]);
    join = argc > 6 && strcmp(argv[5], "join") == 0;
    for (int i = 6; i < argc && into < 0; i++)
        cgroups[cgroup_count++] = open_file(argv[i], join ? "tasks" : "cgroup.procs");
    int own_pid_namespace =
        must(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), "/proc/self/ns/pid");
    for (int run = 0; run < runs; run++)
        run_once(run, (useconds_t)atoi(argv[4]) * 1000, own_pid_namespace);
    print_samples(runs);
    return 0;
}
