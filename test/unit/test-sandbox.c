/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include "container.h"
#include "test.h"

#define OPEN_BOX(box)                                                                              \
    static Box box;                                                                                \
    if (!box_is_possible())                                                                        \
        SKIP("needs root and " BOX_BUSYBOX);                                                       \
    CHECK(box_open(&box))

static int create(Box *box)
{
    return sandbox_create(&box->pod, box->run_fd, box->run, NULL, &box->sandbox, &box->why);
}

static bool is_empty(const Box *box)
{
    DIR *directory = opendir(box->run);
    size_t count = 0;

    while (directory && readdir(directory))
        count++;
    (void)closedir(directory);
    return count == 2;
}

TEST(namespaces_are_pinned_and_found_again)
{
    Sandbox again = SANDBOX_EMPTY;
    struct stat first, second;

    OPEN_BOX(box);
    CHECK_EQ(create(&box), 0);
    CHECK_EQ(ioctl(box.sandbox.netns_fd, NS_GET_NSTYPE), CLONE_NEWNET);
    CHECK_EQ(ioctl(box.sandbox.ipcns_fd, NS_GET_NSTYPE), CLONE_NEWIPC);
    CHECK_EQ(ioctl(box.sandbox.utsns_fd, NS_GET_NSTYPE), CLONE_NEWUTS);
    CHECK_EQ(box.sandbox.pidns_fd, -1);
    CHECK_EQ(sandbox_restore(&box.pod, box.run_fd, NULL, &again, &box.why), 0);
    CHECK_EQ(fstat(again.netns_fd, &first), 0);
    CHECK_EQ(fstat(box.sandbox.netns_fd, &second), 0);
    CHECK_EQ(first.st_ino, second.st_ino);
    CHECK_EQ(stat("/proc/self/ns/net", &second), 0);
    CHECK(first.st_ino != second.st_ino);
    sandbox_done(&again);
    CHECK_EQ(sandbox_destroy(&box.sandbox, box.run_fd, &box.why), 0);
    CHECK_EQ(sandbox_destroy(&box.sandbox, box.run_fd, &box.why), 0);
    CHECK(is_empty(&box));
    CHECK_EQ(box_close(&box), 0);
}

TEST(the_hosts_namespaces_are_used_when_asked_for)
{
    char text[128], expected[128];

    OPEN_BOX(box);
    box.pod_namespaces.network = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    box.pod_namespaces.ipc = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    box.pod.hostname = box_text("");
    CHECK_EQ(create(&box), 0);
    CHECK_EQ(box.sandbox.netns_fd, -1);
    CHECK_EQ(box.sandbox.ipcns_fd, -1);
    CHECK_EQ(box.sandbox.utsns_fd, -1);
    CHECK_EQ(sandbox_write_hosts(&box.pod, box.run_fd, NULL, &box.why), 0);
    CHECK_EQ(box_read(box.run, "hosts", text, sizeof(text)), 0);
    CHECK_EQ(box_read("/etc", "hosts", expected, sizeof(expected)), 0);
    CHECK_STR(text, expected);
    CHECK_EQ(gethostname(expected, sizeof(expected) - 2), 0);
    CHECK_EQ(box_read(box.run, "hostname", text, sizeof(text)), 0);
    text[strcspn(text, "\n")] = '\0';
    CHECK_STR(text, expected);
    CHECK_EQ(box_close(&box), 0);
}

TEST(loopback_shm_and_files)
{
    static uint8_t resolv[] = "nameserver 192.0.2.1\n";
    char text[512];
    struct statfs status;

    OPEN_BOX(box);
    box.pod.shm_size = 1 << 20;
    box.pod.resolv_conf.data = resolv;
    box.pod.resolv_conf.len = sizeof(resolv) - 1;
    CHECK_EQ(box_run(&box, "ip addr show lo | grep -c -E 'inet 127.0.0.1|LOOPBACK,UP'"), 0);
    CHECK_STR(box.output, "2\n");
    CHECK_EQ(box_read(box.run, "resolv.conf", text, sizeof(text)), 0);
    CHECK_STR(text, "nameserver 192.0.2.1\n");
    CHECK_EQ(box_read(box.run, "hosts", text, sizeof(text)), 0);
    CHECK(strstr(text, "\n192.0.2.7\tbox\n"));
    (void)snprintf(text, sizeof(text), "%s/shm", box.run);
    CHECK_EQ(statfs(text, &status), 0);
    CHECK_EQ(status.f_blocks * (uint64_t)status.f_bsize, 1 << 20);
    CHECK_EQ(box_close(&box), 0);
}

TEST(sysctls_are_set_in_the_pod_only)
{
    Podmon__Pair pair = PODMON__PAIR__INIT, other = PODMON__PAIR__INIT;
    Podmon__Pair *pairs[] = {&pair, &other};
    char before[32], after[32];

    OPEN_BOX(box);
    CHECK_EQ(box_read("/proc/sys/kernel", "shm_rmid_forced", before, sizeof(before)), 0);
    pair.key = box_text("kernel.shm_rmid_forced");
    pair.value = box_text("1");
    other.key = box_text("net.ipv4.ip_forward");
    other.value = box_text("1");
    box.pod.sysctls = pairs;
    box.pod.n_sysctls = 2;
    CHECK_EQ(box_run(&box, "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_forward"),
             0);
    CHECK_STR(box.output, "1\n1\n");
    CHECK_EQ(box_read("/proc/sys/kernel", "shm_rmid_forced", after, sizeof(after)), 0);
    CHECK_STR(after, before);
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_refused_sandbox_leaves_nothing)
{
    Podmon__Pair pair = PODMON__PAIR__INIT;
    Podmon__Pair *pairs[] = {&pair};

    OPEN_BOX(box);
    box.pod.sysctls = pairs;
    box.pod.n_sysctls = 1;
    pair.key = box_text("kernel.core_pattern");
    pair.value = box_text("x");
    CHECK(create(&box) < 0);
    CHECK_EQ(box.why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(is_empty(&box));
    pair.key = box_text("net.no.such.key");
    CHECK(create(&box) < 0);
    CHECK_STR(box.why.text,
              "cannot set sysctl \"net.no.such.key\" to \"x\": No such file or directory");
    CHECK_EQ(box.why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(is_empty(&box));
    box.pod.n_sysctls = 0;
    box.pod.hostname = box_text("a\nb");
    CHECK(create(&box) < 0);
    CHECK_EQ(box.why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(is_empty(&box));
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_pid_namespace_of_the_pods_own)
{
    Podmon__ProcessIdentity init = PODMON__PROCESS_IDENTITY__INIT;
    Sandbox again = SANDBOX_EMPTY;
    char path[64], text[4096];
    int pidfd;

    OPEN_BOX(box);
    box.pod_namespaces.pid = box.namespaces.pid = PODMON__NAMESPACE_MODE__NAMESPACE_POD;
    CHECK_EQ(box_run(&box,
                     "ps -o pid,comm,user | grep -v ps; cat /proc/1/status | grep -E"
                     " '^(CapBnd|Uid|NoNew)'; ls /proc/1/fd; (sleep 0.01 &); true"),
             0);
    CHECK(strstr(box.output, "    1 "));
    CHECK(strstr(box.output,
                 "Uid:\t65535\t65535\t65535\t65535\nCapBnd:\t0000000000000000\n"
                 "NoNewPrivs:\t1\n"));
    (void)snprintf(path, sizeof(path), "/proc/%d", box.sandbox.init_pid);
    CHECK_EQ(box_read(path, "mountinfo", text, sizeof(text)), 0);
    CHECK(strchr(text, '\n') && !strchr(text, '\n')[1]);
    CHECK_EQ(box_read(path, "stat", text, sizeof(text)), 0);
    init.pid = box.sandbox.init_pid;
    /* Of another life of the same number: not ours. */
    init.start_time = 1;
    CHECK_EQ(sandbox_restore(&box.pod, box.run_fd, &init, &again, &box.why), 0);
    CHECK_EQ(again.pidns_fd, -1);
    sandbox_done(&again);
    pidfd = fcntl(box.sandbox.init_pidfd, F_DUPFD_CLOEXEC, 3);
    CHECK(pidfd >= 0);
    CHECK_EQ(sandbox_destroy(&box.sandbox, box.run_fd, &box.why), 0);
    CHECK_EQ(fd_signal(pidfd, 0), -ESRCH);
    (void)close(pidfd);
    CHECK_EQ(box_close(&box), 0);
}

TEST(the_init_ends_by_nothing_but_a_kill)
{
    struct pollfd ended = {.events = POLLIN};

    OPEN_BOX(box);
    box.pod_namespaces.pid = PODMON__NAMESPACE_MODE__NAMESPACE_POD;
    CHECK_EQ(create(&box), 0);
    CHECK_EQ(fd_signal(box.sandbox.init_pidfd, SIGTERM), 0);
    CHECK_EQ(fd_signal(box.sandbox.init_pidfd, SIGINT), 0);
    ended.fd = box.sandbox.init_pidfd;
    CHECK_EQ(poll(&ended, 1, 100), 0);
    CHECK_EQ(fd_signal(box.sandbox.init_pidfd, SIGKILL), 0);
    CHECK_EQ(poll(&ended, 1, 5000), 1);
    CHECK_EQ(box_close(&box), 0);
}

TEST_MAIN
