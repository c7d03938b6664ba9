/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cni_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/cni.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/path.h"

enum {
    BLOCK_SIZE = 16 * 1024,
    ERROR_TAIL = 512, /* of standard error, for the sentence */
    TIMEOUT_DEFAULT_MS = 60 * 1000,
};

typedef struct Plugin {
    pid_t pid;
    int pidfd;
    int out, error;
    Text *output;
    char error_tail[ERROR_TAIL + 1];
    size_t error_size;
} Plugin;

static void plugin_done(Plugin *plugin)
{
    fd_close(&plugin->pidfd);
    fd_close(&plugin->out);
    fd_close(&plugin->error);
}

/* The plugin's program in the first directory that has it. Its descriptor and its path. */
static int open_program(const Podmon__NetworkPlan *plan, const char *type, char *ret_path,
                        Failure *why)
{
    for (size_t i = 0; i < plan->n_bin_dirs; i++) {
        AUTO_CLOSE int fd = -1;
        struct stat status;

        if (!path_is_clean(plan->bin_dirs[i]) ||
            snprintf(ret_path, PATH_MAX, "%s/%s", plan->bin_dirs[i], type) >= PATH_MAX)
            continue;
        fd = open(ret_path, O_PATH | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
            status.st_mode & S_IXUSR)
            return take_fd(&fd);
    }
    return failure_say(why, FAILURE_FAILED_PRECONDITION,
                       "network plugin %s is in none of the %zu plugin directories", type,
                       plan->n_bin_dirs);
}

/* The whole environment: fixed names, no other gets through. NULL-terminated; a text list. */
static char **make_environment(const CniCall *call)
{
    CLEANUP(text_list_cleanup) char **list = NULL;
    CLEANUP(text_done) Text text = {0};
    const char *const pairs[][2] = {
        {"CNI_COMMAND=", call->command},
        {"CNI_CONTAINERID=", call->container_id},
        {"CNI_NETNS=", call->container_id && !call->netns ? "" : call->netns},
        {"CNI_IFNAME=", call->container_id ? CNI_INTERFACE : NULL},
        {"CNI_ARGS=", call->arguments},
        {"PATH=", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        text.size = 0;
        if (!pairs[i][1])
            continue;
        if (text_print(&text, "%s%s", pairs[i][0], pairs[i][1]) < 0 ||
            text_list_add(&list, text.data) < 0)
            return NULL;
    }
    text.size = 0;
    for (size_t i = 0; i < call->plan->n_bin_dirs; i++)
        if (text_print(&text, "%s%s", i ? ":" : "CNI_PATH=", call->plan->bin_dirs[i]) < 0)
            return NULL;
    return text_list_add(&list, text.data) < 0 ? NULL : TAKE(list);
}

static _Noreturn void execute(int program, const char *path, const char *type, char **environment,
                              const int stdio[3])
{
    char *const argv[] = {(char *)(uintptr_t)type, NULL};

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(stdio[fd], fd) < 0)
            _exit(126);
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* ours are so already */
    (void)execveat(program, "", argv, environment, AT_EMPTY_PATH);
    /* A script's interpreter could not open what is closed on execution. */
    if (errno == ENOENT)
        (void)execve(path, argv, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Pipes whose ends are never 0, 1 or 2, so that dup2 in the child cannot overwrite one. */
static int make_pipe(int ret[2])
{
    for (int i = 0; i < 2; i++)
        ret[i] = -1;
    if (pipe2(ret, O_CLOEXEC) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        int high = fcntl(ret[i], F_DUPFD_CLOEXEC, 3);

        if (high < 0)
            return -errno;
        (void)close(ret[i]);
        ret[i] = high;
    }
    return 0;
}

/* `in`: what the plugin reads. A descriptor above 2, like those of the pipes. */
static int plugin_start(Plugin *plugin, int program, const char *path, const char *type, int in,
                        char **environment)
{
    int out[2] = {-1, -1}, error[2] = {-1, -1};
    int r = make_pipe(out);

    if (r == 0)
        r = make_pipe(error);
    plugin->out = out[0];
    plugin->error = error[0];
    if (r == 0) {
        plugin->pid = fork();
        if (plugin->pid == 0)
            execute(program, path, type, environment, (const int[]){in, out[1], error[1]});
        if (plugin->pid < 0)
            r = -errno;
    }
    fd_close(&out[1]);
    fd_close(&error[1]);
    if (r < 0)
        return r;
    (void)setpgid(plugin->pid, plugin->pid);
    plugin->pidfd = fd_open_pid(plugin->pid);
    if (plugin->pidfd >= 0 && fd_set_nonblocking(plugin->out, true) == 0 &&
        fd_set_nonblocking(plugin->error, true) == 0)
        return 0;
    (void)killpg(plugin->pid, SIGKILL);
    (void)waitpid(plugin->pid, NULL, 0);
    return plugin->pidfd < 0 ? plugin->pidfd : -EIO;
}

/* The configuration as a file in memory: it needs no feeding while the plugin runs. */
static int make_input(const char *config)
{
    AUTO_CLOSE int fd = fd_sealed_memory("network", config, strlen(config));
    int high;

    if (fd < 0)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return high < 0 ? -errno : high;
}

/* Takes what is there; closes at the end. −EFBIG. */
static int plugin_receive(Plugin *plugin)
{
    char block[BLOCK_SIZE];
    ssize_t count;

    while (plugin->out >= 0 && (count = read(plugin->out, block, sizeof(block))) >= 0) {
        if (count == 0)
            fd_close(&plugin->out);
        else if (plugin->output->size + (size_t)count > CNI_OUTPUT_MAX ||
                 text_append(plugin->output, block, (size_t)count) < 0)
            return -EFBIG;
    }
    return 0;
}

/* The end of what it says is what matters. One block a call: it may never stop. */
static void plugin_receive_error(Plugin *plugin)
{
    char block[ERROR_TAIL];
    ssize_t count = read(plugin->error, block, sizeof(block));
    size_t size = count > 0 ? (size_t)count : 0, keep = ERROR_TAIL - size;

    if (count == 0)
        fd_close(&plugin->error);
    if (plugin->error_size < keep)
        keep = plugin->error_size;
    memmove(plugin->error_tail, plugin->error_tail + plugin->error_size - keep, keep);
    memcpy(plugin->error_tail + keep, block, size);
    plugin->error_size = keep + size;
    plugin->error_tail[plugin->error_size] = '\0';
}

/* Until it has ended: 0; −ETIME; −EFBIG. */
static int plugin_serve(Plugin *plugin, uint64_t deadline)
{
    for (;;) {
        struct pollfd waited[] = {
            {.fd = plugin->pidfd, .events = POLLIN},
            {.fd = plugin->out, .events = POLLIN},
            {.fd = plugin->error, .events = POLLIN},
        };
        uint64_t now = clock_monotonic();
        int r;

        if (now >= deadline)
            return -ETIME;
        r = poll(waited, 3, (int)((deadline - now) / CLOCK_MILLISECOND) + 1);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r <= 0)
            continue;
        if (waited[2].revents)
            plugin_receive_error(plugin);
        r = plugin_receive(plugin);
        if (r < 0 || waited[0].revents)
            return r;
    }
}

/* How it ended, as whoever configured it wants to read it. */
static int explain_end(const Plugin *plugin, const char *type, const siginfo_t *end, Failure *why)
{
    const char *output = plugin->output->data ? plugin->output->data : "";
    const char *tail = plugin->error_tail;
    char message[FAILURE_TEXT_MAX];

    if (end->si_code != CLD_EXITED)
        return failure_say(why, FAILURE_INTERNAL, "network plugin %s was killed by signal %d%s%s",
                           type, end->si_status, *tail ? ": " : "", tail);
    if (cni_describe_error(output, message, sizeof(message)))
        return failure_say(why, FAILURE_INTERNAL, "network plugin %s: %s", type, message);
    return failure_say(why, FAILURE_INTERNAL, "network plugin %s ended with status %d%s%s", type,
                       end->si_status, *tail ? ": " : "", tail);
}

int cni_plugin_run(const CniCall *call, const char *type, const char *config, Text *ret_output,
                   Failure *why)
{
    CLEANUP(plugin_done) Plugin plugin = {.pidfd = -1, .out = -1, .error = -1};
    CLEANUP(text_list_cleanup) char **environment = make_environment(call);
    uint32_t timeout = call->plan->timeout_ms ? call->plan->timeout_ms : TIMEOUT_DEFAULT_MS;
    AUTO_CLOSE int program = -1, in = -1;
    char path[PATH_MAX];
    siginfo_t end = {0};
    int r;

    if (!environment)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "network plugin %s", type);
    program = open_program(call->plan, type, path, why);
    if (program < 0)
        return program;
    plugin.output = ret_output;
    r = in = make_input(config);
    if (r >= 0)
        r = plugin_start(&plugin, program, path, type, in, environment);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot start network plugin %s", type);
    r = plugin_serve(&plugin, clock_monotonic() + timeout * CLOCK_MILLISECOND);
    if (r < 0)
        (void)killpg(plugin.pid, SIGKILL);
    (void)waitid(P_PIDFD, (id_t)plugin.pidfd, &end, WEXITED);
    if (r == -ETIME)
        return failure_say(why, FAILURE_DEADLINE_EXCEEDED,
                           "network plugin %s was not done with %s in %u ms and has been killed",
                           type, call->command, timeout);
    if (r == -EFBIG)
        return failure_say(why, FAILURE_INTERNAL, "network plugin %s wrote more than %d bytes",
                           type, CNI_OUTPUT_MAX);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot wait for network plugin %s", type);
    if (plugin.error >= 0)
        plugin_receive_error(&plugin);
    while (plugin.error_size > 0 && plugin.error_tail[plugin.error_size - 1] == '\n')
        plugin.error_tail[--plugin.error_size] = '\0';
    return end.si_code == CLD_EXITED && end.si_status == 0 ? 0
                                                           : explain_end(&plugin, type, &end, why);
}
