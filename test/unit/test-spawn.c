/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"
#include "test.h"

#define OPEN_BOX(box)                                                                              \
    static Box box;                                                                                \
    if (!box_is_possible())                                                                        \
        SKIP("needs root and " BOX_BUSYBOX);                                                       \
    CHECK(box_open(&box))

#define CHECK_RUN(box, script, status)                                                             \
    do {                                                                                           \
        int run_status = box_run(&(box), script);                                                  \
        if (run_status != (status))                                                                \
            printf("  %d, \"%s\": %s\n", run_status, (box).why.text, (box).output);                \
        CHECK_EQ(run_status, status);                                                              \
    } while (0)

TEST(program_runs_and_its_status_comes_back)
{
    OPEN_BOX(box);
    CHECK_RUN(box, "echo hello; exit 7", 7);
    CHECK_STR(box.output, "hello\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(hostname_pid_and_descriptors)
{
    OPEN_BOX(box);
    CHECK_RUN(box,
              "hostname; cat /etc/hostname; echo $$; ls /proc/self/fd | wc -l; "
              "readlink /proc/self/fd/3 || true; ls /proc/1/fd; true",
              0);
    /* ls has its directory as the fourth. */
    CHECK_STR(box.output, "box\nbox\n1\n4\n0\n1\n2\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(hosts_has_the_address)
{
    OPEN_BOX(box);
    CHECK_RUN(box, "grep -c '^192.0.2.7.box$' /etc/hosts; grep -c '^127.0.0.1' /etc/hosts", 0);
    CHECK_STR(box.output, "1\n1\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(environment_has_home)
{
    OPEN_BOX(box);
    CHECK_RUN(box, "env | grep -v PWD | grep -v SHLVL", 0);
    CHECK_STR(box.output, "HOME=/root\nPATH=/sbin:/bin\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(mounts_are_the_containers_own)
{
    OPEN_BOX(box);
    CHECK_RUN(box,
              "while read id parent dev root where rest; do echo $where; done"
              " < /proc/self/mountinfo | grep -v /sys/fs/cgroup/ | sort",
              0);
    CHECK_STR(box.output,
              "/\n/dev\n/dev/mqueue\n/dev/pts\n/dev/shm\n/etc/hostname\n/etc/hosts\n"
              "/proc\n/sys\n/sys/fs/cgroup\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(capabilities_are_those_asked_for)
{
    OPEN_BOX(box);
    box.security.capabilities = 1 << 0 | 1 << 5;
    CHECK_RUN(box, "grep Cap /proc/self/status; grep NoNew /proc/self/status", 0);
    CHECK_STR(box.output,
              "CapInh:\t0000000000000000\nCapPrm:\t0000000000000021\n"
              "CapEff:\t0000000000000021\nCapBnd:\t0000000000000021\n"
              "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_user_has_its_groups_and_no_capabilities)
{
    OPEN_BOX(box);
    box.user.user = box_text("user");
    box.security.no_new_privileges = true;
    CHECK_RUN(box,
              "id; grep -E 'CapPrm|CapEff|CapBnd|NoNew' /proc/self/status; echo $HOME;"
              "echo x > /dev/stdout",
              0);
    CHECK_STR(box.output,
              "uid=1000(user) gid=1000(user) groups=10(wheel),1000(user)\n"
              "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
              "CapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\n/home/user\nx\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(ambient_capabilities_reach_a_user)
{
    OPEN_BOX(box);
    box.user.user = box_text("1000:1000");
    box.security.capabilities = box.security.ambient_capabilities = 1 << 10;
    CHECK_RUN(box, "grep -E 'Inh|Eff|Amb' /proc/self/status", 0);
    CHECK_STR(box.output,
              "CapInh:\t0000000000000400\nCapEff:\t0000000000000400\n"
              "CapAmb:\t0000000000000400\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(default_seccomp_refuses_and_lets_work)
{
    OPEN_BOX(box);
    box.security.seccomp = PODMON__PROFILE_KIND__PROFILE_DEFAULT;
    CHECK_RUN(box, "grep '^Seccomp:' /proc/self/status; mount -t tmpfs none /tmp; echo $?", 0);
    CHECK_STR(box.output, "Seccomp:\t2\nmount: permission denied (are you root?)\n1\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_profile_that_is_not_there_is_refused)
{
    OPEN_BOX(box);
    box.security.apparmor = PODMON__PROFILE_KIND__PROFILE_LOCALHOST;
    box.security.apparmor_profile = box_text("no-such-profile");
    CHECK(box_run(&box, "true") < 0);
    CHECK_EQ(box.why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(box.why.text, "no-such-profile"));
    CHECK_EQ(box_close(&box), 0);
}

static int run_argv(Box *box, const char *program)
{
    SpawnPlan *plan = NULL;
    SpawnStdio stdio = {0, 1, 2, -1, false};
    int r = box_prepare(box);

    if (r < 0)
        return r;
    box->argv[0] = box_text(program);
    box->spec.n_argv = 1;
    r = spawn_plan_container(&box->context, &box->spec, &box->identity, box->root_fd, &stdio, &plan,
                             &box->why);
    if (r >= 0)
        r = box_start_plan(box, plan, &box->process);
    (void)spawn_plan_free(plan);
    (void)box_wait(&box->process);
    return r;
}

TEST(a_program_that_is_not_there_is_named)
{
    static const struct {
        const char *program, *text;
    } cases[] = {
        {"/bin/nothing", "exec: \"/bin/nothing\": no such file or directory"},
        {"nothing", "exec: \"nothing\": executable file not found in $PATH"},
        {"/etc/passwd", "exec: \"/etc/passwd\": permission denied"},
        {"/bin", "exec: \"/bin\": permission denied"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OPEN_BOX(box);
        CHECK(run_argv(&box, cases[i].program) < 0);
        CHECK_STR(box.why.text, cases[i].text);
        CHECK_EQ(box_close(&box), 0);
    }
}

TEST(a_name_is_found_in_the_path)
{
    OPEN_BOX(box);
    CHECK_EQ(run_argv(&box, "true"), 1);
    CHECK_EQ(box_close(&box), 0);
}

TEST(working_directory_is_made_and_cannot_lead_out)
{
    OPEN_BOX(box);
    box.spec.cwd = box_text("/made/for/me");
    CHECK_RUN(box, "pwd; stat -c %a .", 0);
    CHECK_STR(box.output, "/made/for/me\n755\n");
    CHECK_EQ(box_close(&box), 0);

    for (int fd = 0; fd < 32; fd++) {
        char path[32];

        CHECK(box_open(&box));
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        box.spec.cwd = path;
        CHECK(box_run(&box, "true") < 0);
        CHECK_EQ(box_close(&box), 0);
    }
}

TEST(root_directories_that_are_links_touch_nothing_outside)
{
    static const char *const names[] = {"proc", "sys", "dev"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128], canary[16];

        OPEN_BOX(box);
        (void)snprintf(path, sizeof(path), "%s/%s", box.layer, names[i]);
        CHECK_EQ(symlink(box.canary, path), 0);
        CHECK(box_run(&box, "true") < 0);
        CHECK(strstr(box.why.text, names[i]));
        CHECK_EQ(box_read(box.canary, "file", canary, sizeof(canary)), 0);
        CHECK_STR(canary, "alive\n");
        (void)snprintf(path, sizeof(path), "%s/null", box.canary);
        CHECK(access(path, F_OK) < 0);
        CHECK_EQ(box_close(&box), 0);
    }
}

TEST(a_mount_target_that_is_a_link_stays_inside)
{
    char path[128], target[128], canary[16];

    OPEN_BOX(box);
    (void)snprintf(path, sizeof(path), "%s/etc/hosts", box.layer);
    (void)snprintf(target, sizeof(target), "../../../../../..%s/file", box.canary);
    CHECK_EQ(symlink(target, path), 0);
    CHECK_RUN(box, "echo evil > /etc/hosts; grep -c evil /etc/hosts", 0);
    CHECK_EQ(box_read(box.canary, "file", canary, sizeof(canary)), 0);
    CHECK_STR(canary, "alive\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(masked_and_read_only_paths)
{
    OPEN_BOX(box);
    box.masked[0] = box_text("/proc/version");
    box.masked[1] = box_text("/proc/timer_list");
    box.masked[2] = box_text("/sys/firmware");
    box.masked[3] = box_text("/proc/acpi");
    box.masked[4] = box_text("/proc/not-there");
    box.masked[5] = box_text("/proc/bus");
    box.read_only[0] = box_text("/proc/sys");
    box.read_only[1] = box_text("/proc/sysrq-trigger");
    box.security.masked_paths = box.masked;
    box.security.n_masked_paths = 6;
    box.security.read_only_paths = box.read_only;
    box.security.n_read_only_paths = 2;
    CHECK_RUN(box,
              "cat /proc/version /proc/timer_list | wc -c; ls /sys/firmware /proc/bus | grep -v :;"
              "(echo 1 > /proc/sys/kernel/core_pattern) 2>&1 | grep -c Read-only;"
              "(echo x > /sys/firmware/x) 2>&1 | grep -c Read-only",
              0);
    CHECK_STR(box.output, "0\n\n1\n1\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_read_only_root_has_writable_mounts)
{
    OPEN_BOX(box);
    box.security.read_only_rootfs = true;
    CHECK_RUN(box, "touch /x 2>/dev/null && echo bad; touch /dev/shm/x && echo good", 0);
    CHECK_STR(box.output, "good\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(devices_are_the_default_ones)
{
    OPEN_BOX(box);
    CHECK_RUN(box,
              "ls /dev; stat -c '%a %t:%T' /dev/null /dev/tty; echo x > /dev/null;"
              "readlink /dev/ptmx; stat -c '%a' /dev/shm",
              0);
    CHECK_STR(box.output,
              "console\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\n"
              "stdout\ntty\nurandom\nzero\n666 1:3\n666 5:0\npts/ptmx\n1777\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(exec_joins_all_namespaces)
{
    static const char *const names[] = {"mnt", "ipc", "uts", "net", "cgroup", "pid"};
    char *argv[] = {box_text("/bin/sh"), box_text("-c"), NULL, NULL};

    OPEN_BOX(box);
    CHECK_EQ(box_start(&box, "sleep 100"), 1);
    argv[2] = box_text("cd /proc/self/ns; readlink mnt ipc uts net cgroup pid");
    argv[2] = box_text(
        "for n in mnt ipc uts net cgroup pid; do readlink /proc/self/ns/$n; done;"
        "ls /proc/self/fd | wc -l; grep -E 'Cap(Bnd|Inh)' /proc/self/status");
    CHECK_EQ(box_exec(&box, argv), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64], link[64];
        ssize_t size;

        (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", box.process.pid, names[i]);
        size = readlink(path, link, sizeof(link) - 1);
        CHECK(size > 0);
        link[size] = '\0';
        if (!strstr(box.output, link))
            printf("  %s is not among\n%s", link, box.output);
        CHECK(strstr(box.output, link));
    }
    CHECK(strstr(box.output, "\n4\n"));
    CHECK(strstr(box.output, "CapInh:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"));
    argv[0] = box_text("/no/such");
    CHECK(box_exec(&box, argv) < 0);
    CHECK_STR(box.why.text, "exec: \"/no/such\": no such file or directory");
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_terminal_of_the_containers_own)
{
    SpawnStdio stdio = {-1, -1, -1, -1, true};
    SpawnPlan *plan = NULL;
    ssize_t size;

    OPEN_BOX(box);
    CHECK_EQ(box_prepare(&box), 0);
    box.argv[0] = box_text("/bin/sh");
    box.argv[1] = box_text("-c");
    box.argv[2] =
        box_text("tty; stat -c %t /dev/console; echo $TERM; sleep 1; : </dev/tty && echo yes");
    box.spec.n_argv = 3;
    CHECK_EQ(spawn_plan_container(&box.context, &box.spec, &box.identity, box.root_fd, &stdio,
                                  &plan, &box.why),
             0);
    CHECK_EQ(box_start_plan(&box, plan, &box.process), 1);
    (void)spawn_plan_free(plan);
    CHECK(box.process.tty_fd >= 0);
    size = 0;
    for (ssize_t got; (got = read(box.process.tty_fd, box.output + size, 1024)) > 0;)
        size += got;
    box.output[size] = '\0';
    CHECK_STR(box.output, "/dev/pts/0\r\n88\r\nxterm\r\nyes\r\n");
    CHECK_EQ(box_wait(&box.process), 0);
    CHECK_EQ(box_close(&box), 0);
}

TEST(an_exec_has_a_terminal_too)
{
    char *argv[] = {box_text("/bin/sh"), box_text("-c"), box_text("tty; echo $TERM"), NULL};
    SpawnedProcess process = {.pidfd = -1, .outcome_fd = -1, .tty_fd = -1};
    SpawnStdio stdio = {-1, -1, -1, -1, true};
    SpawnExec exec = {.argv = argv, .tty = true};
    SpawnPlan *plan = NULL;
    ssize_t size = 0;

    OPEN_BOX(box);
    CHECK_EQ(box_start(&box, "sleep 100"), 1);
    exec.target_pidfd = box.process.pidfd;
    exec.target_pid = box.process.pid;
    CHECK_EQ(
        spawn_plan_exec(&box.context, &box.spec, &box.identity, &exec, &stdio, &plan, &box.why), 0);
    CHECK_EQ(box_start_plan(&box, plan, &process), 1);
    (void)spawn_plan_free(plan);
    for (ssize_t got; (got = read(process.tty_fd, box.output + size, 1024)) > 0;)
        size += got;
    box.output[size] = '\0';
    CHECK_STR(box.output, "/dev/pts/0\r\nxterm\r\n");
    CHECK_EQ(box_wait(&process), 0);
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_container_cannot_put_something_else_for_its_ptmx)
{
    char *argv[] = {box_text("/bin/true"), NULL};
    SpawnStdio stdio = {-1, -1, -1, -1, true};
    SpawnExec exec = {.argv = argv, .tty = true};
    char *spoil[] = {box_text("/bin/sh"), box_text("-c"),
                     box_text("mount -t tmpfs none /dev/pts && ln -s /dev/zero /dev/pts/ptmx"),
                     NULL};
    SpawnPlan *plan = NULL;

    OPEN_BOX(box);
    box.security.capabilities = UINT64_MAX;
    CHECK_EQ(box_start(&box, "sleep 100"), 1);
    CHECK_EQ(box_exec(&box, spoil), 0);
    exec.target_pidfd = box.process.pidfd;
    exec.target_pid = box.process.pid;
    CHECK_EQ(
        spawn_plan_exec(&box.context, &box.spec, &box.identity, &exec, &stdio, &plan, &box.why),
        -ENOTTY);
    CHECK_EQ(box_close(&box), 0);
}

/* Somebody who shares a volume swaps a directory for a link while containers mount below it. */
TEST(a_swapped_target_never_leads_out)
{
    enum { ROUNDS = 100 };
    char inner[128], link[128], canary[128];
    size_t started = 0;
    pid_t swapper;
    int status;

    OPEN_BOX(box);
    CHECK_EQ(box_prepare(&box), 0);
    (void)snprintf(inner, sizeof(inner), "%s/shared", box.base);
    CHECK_EQ(mkdir(inner, 0755), 0);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_BIND, "/v", inner);
    (void)snprintf(inner, sizeof(inner), "%s/shared/a", box.base);
    (void)snprintf(link, sizeof(link), "%s/shared/b", box.base);
    CHECK_EQ(mkdir(inner, 0755), 0);
    CHECK_EQ(symlink(box.canary, link), 0);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_TMPFS, "/v/a/made/below", "");
    swapper = fork();
    if (swapper == 0)
        for (;;)
            (void)renameat2(AT_FDCWD, inner, AT_FDCWD, link, RENAME_EXCHANGE);
    for (int i = 0; i < ROUNDS; i++) {
        fd_close(&box.root_fd);
        CHECK_EQ(
            rootfs_mount(box.spec.layers, 1, box.upper, box.work, -1, "", &box.root_fd, &box.why),
            0);
        started += box_run(&box, "true") == 0;
    }
    CHECK_EQ(kill(swapper, SIGKILL), 0);
    CHECK_EQ(waitpid(swapper, &status, 0), swapper);
    CHECK(started > 0);
    (void)snprintf(canary, sizeof(canary), "%s/made", box.canary);
    CHECK(access(canary, F_OK) < 0);
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_process_killed_before_its_program_is_told)
{
    SpawnStdio stdio = {0, 1, 2, -1, false};
    SpawnPlan *plan = NULL;
    struct pollfd ready = {.events = POLLIN};

    OPEN_BOX(box);
    CHECK_EQ(box_prepare(&box), 0);
    box.argv[0] = box_text("/bin/true");
    box.spec.n_argv = 1;
    CHECK_EQ(spawn_plan_container(&box.context, &box.spec, &box.identity, box.root_fd, &stdio,
                                  &plan, &box.why),
             0);
    CHECK_EQ(spawn_start(plan, &box.process, &box.why), 0);
    CHECK_EQ(fd_signal(box.process.pidfd, SIGKILL), 0);
    (void)spawn_plan_free(plan);
    ready.fd = box.process.pidfd;
    CHECK_EQ(poll(&ready, 1, 5000), 1);
    CHECK(spawn_read_outcome(&box.process, &box.why) < 0);
    CHECK_EQ(box_wait(&box.process), 128 + SIGKILL);
    CHECK_EQ(box_close(&box), 0);
}

TEST_MAIN
