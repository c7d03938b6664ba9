/* SPDX-License-Identifier: Apache-2.0 */
/* podmon: looks after one pod. Started by the dispatcher with the pod's control socket and lock
 * (shared/layout.h). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podmon/collect.h"
#include "podmon/crash.h"
#include "podmon/handover.h"
#include "podmon/pod.h"
#include "podmon/requests.h"
#include "podmon/restore.h"
#include "podmon/teardown.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/number.h"
#include "shared/path.h"

enum { EXIT_USAGE = 2 };

typedef struct Options {
    const char *pod;
    const char *run;
    const char *root;
    const char *kept; /* numbers of processes, separated by commas; NULL: none */
} Options;

static const char USAGE[] =
    "usage: podmon --pod ID --run DIR --root DIR [--kept PID,...]\n"
    "The dispatcher starts it; it is not meant to be started by hand.\n";

static bool options_parse(int argc, char **argv, Options *ret)
{
    static const struct option known[] = {
        {"pod", required_argument, NULL, 'p'},
        {"run", required_argument, NULL, 'r'},
        {"root", required_argument, NULL, 'o'},
        {"kept", required_argument, NULL, 'k'},
        {0},
    };
    int option;

    *ret = (Options){0};
    while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        switch (option) {
        case 'p':
            ret->pod = optarg;
            break;
        case 'r':
            ret->run = optarg;
            break;
        case 'o':
            ret->root = optarg;
            break;
        case 'k':
            ret->kept = optarg;
            break;
        default:
            return false;
        }
    }
    if (optind != argc || !ret->pod || !ret->run || !ret->root) {
        (void)fprintf(stderr, "podmon: --pod, --run and --root are needed, and nothing else\n");
        return false;
    }
    if (!id_is_valid(ret->pod)) {
        (void)fprintf(stderr, "podmon: --pod: \"%s\" is not an id of %d hexadecimal digits\n",
                      ret->pod, ID_LENGTH);
        return false;
    }
    if (!path_is_clean(ret->run) || !path_is_clean(ret->root)) {
        (void)fprintf(stderr, "podmon: --run and --root have to be absolute, clean paths\n");
        return false;
    }
    return true;
}

/* Takes over the descriptors that come with --kept. When podmon executes itself again the argument
 * is still there, but they are closed. */
static void kept_take(const char *pids, PodKept *ret)
{
    AUTO_FREE char *text = pids ? strdup(pids) : NULL;
    char *rest = text, *word;

    for (int fd = LAYOUT_FD_KEPT; text && ret->count < LAYOUT_KEPT_MAX; fd++) {
        uint64_t pid;
        word = strsep(&rest, ",");
        if (!word || number_parse_unsigned(word, INT32_MAX, &pid) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return;
        ret->pids[ret->count] = (pid_t)pid;
        ret->pidfds[ret->count++] = fd;
    }
}

/* What a process that outlives its starter should not have from it. Best effort where a machine may
 * refuse: podmon works without. */
static int process_prepare(const PodKept *kept, bool has_predecessor)
{
    /* A predecessor in this process has left open what is meant to be, and nothing else. */
    if ((!has_predecessor &&
         close_range((unsigned)(LAYOUT_FD_KEPT + (int)kept->count), ~0U, 0) < 0) ||
        fcntl(LAYOUT_FD_CONTROL, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(LAYOUT_FD_LOCK, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    (void)setsid(); /* Is the leader of its session already, as the dispatcher starts it. */
    (void)umask(0022);
    if (chdir("/") < 0)
        return -errno;
    /* No core with the secrets of a container's environment, no tracing by a container's user. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    (void)file_put_at(AT_FDCWD, "/proc/self/oom_score_adj", "-999"); /* Needs CAP_SYS_RESOURCE. */
    return 0;
}

static int signals_open(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t set;

    /* What the starter ignores would be ignored in the containers (podmon/clone.h). */
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL);

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGPIPE); /* Blocked like the others: a write's result says it better. */
    return fd_open_signals(&set);
}

typedef struct Signals {
    Pod *pod;
    int fd;
} Signals;

static void signal_ready(void *data, uint32_t events)
{
    const Signals *signals = data;
    struct signalfd_siginfo info;

    (void)events;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            pod_reap_orphans(signals->pod);
        if (info.ssi_signo == SIGTERM) {
            log_notice("asked to stop: the pod is stopped");
            teardown_stop_gracefully(signals->pod);
        }
    }
}

static void connections_gone(void *data)
{
    pod_maybe_exit(data);
}

/* Takes `handover` over. */
static int serve(EventLoop *loop, const Options *options, PodKept *kept, Podmon__Handover *handover,
                 char **argv, Failure *why)
{
    Signals signals = {NULL, signals_open()};
    EventSource *source = NULL;
    int r;

    if (signals.fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -signals.fd, "cannot receive signals");
    r = pod_new(loop, options->pod, options->run, options->root, &signals.pod, why);
    if (r < 0) {
        fd_close(&signals.fd);
        return r;
    }
    signals.pod->handover = handover;
    r = crash_prepare(argv, signals.pod->ledger);
    if (r < 0)
        log_warning("a crash will end this podmon: error %d", -r);
    r = event_add_fd(loop, signals.fd, EPOLLIN, signal_ready, &signals, &source);
    if (r >= 0)
        r = server_new(loop, LAYOUT_FD_CONTROL, requests_handle, connections_gone, signals.pod,
                       &signals.pod->server);
    if (r < 0)
        (void)failure_set(why, FAILURE_INTERNAL, -r, "cannot serve the control socket");
    if (r >= 0)
        r = restore_pod(signals.pod, kept, why);
    for (size_t i = 0; i < kept->count; i++)
        fd_close(&kept->pidfds[i]);
    if (r >= 0) {
        r = event_loop_run(loop);
        if (r < 0)
            (void)failure_set(why, FAILURE_INTERNAL, -r, "the event loop failed");
    }
    event_free(source);
    pod_free(signals.pod);
    fd_close(&signals.fd);
    return r;
}

int main(int argc, char **argv)
{
    EventLoop *loop = NULL;
    Options options;
    PodKept kept = {0};
    Failure why = {0};
    Podmon__Handover *handover = NULL;
    int r;

    if (argc > 1 && strcmp(argv[1], COLLECT_COMMAND) == 0)
        return collect_main(argc - 1, argv + 1);
    if (!options_parse(argc, argv, &options)) {
        (void)fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    log_open("podmon", LOG_LEVEL_INFO);
    log_set_pod(options.pod);
    r = handover_take(&handover);
    if (r < 0)
        log_error("what this process was before has left nothing that can be read: error %d", -r);
    if (r == 0)
        kept_take(options.kept, &kept);
    r = process_prepare(&kept, handover != NULL);
    if (r < 0) {
        log_error("cannot set up the process: error %d", -r);
        return EXIT_FAILURE;
    }
    r = event_loop_new(&loop);
    if (r < 0) {
        log_error("cannot make an event loop: error %d", -r);
        return EXIT_FAILURE;
    }
    r = serve(loop, &options, &kept, handover, argv, &why);
    if (r < 0)
        log_error("%s", why.text);
    event_loop_free(loop);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
