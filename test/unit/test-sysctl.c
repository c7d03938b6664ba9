/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sysctl.h"
#include "test.h"

static int check(const char *key, const char *value, const Podmon__Namespaces *namespaces,
                 char *ret)
{
    Podmon__Pair pair = PODMON__PAIR__INIT;
    Failure why = {FAILURE_NONE, ""};
    int r;

    pair.key = (char *)(uintptr_t)key;
    pair.value = (char *)(uintptr_t)value;
    r = sysctl_check(&pair, namespaces, ret, &why);
    return r < 0 && why.code != FAILURE_INVALID_ARGUMENT ? -1000 : r;
}

TEST(keys)
{
    static const struct {
        const char *key, *path; /* NULL: refused */
    } cases[] = {
        {"net.ipv4.ip_forward", "net/ipv4/ip_forward"},
        {"net/ipv4/ip_forward", "net/ipv4/ip_forward"},
        {"net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"},
        {"net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0/1/forwarding"},
        {"kernel.shmmax", "kernel/shmmax"},
        {"kernel.shm_rmid_forced", "kernel/shm_rmid_forced"},
        {"kernel.msgmni", "kernel/msgmni"},
        {"kernel.sem", "kernel/sem"},
        {"fs.mqueue.msg_max", "fs/mqueue/msg_max"},
        {"", NULL},
        {".", NULL},
        {"/", NULL},
        {"net", NULL},
        {"net.", NULL},
        {"net..ipv4", NULL},
        {".net.ipv4", NULL},
        {"/net/ipv4", NULL},
        {"net/../kernel/core_pattern", NULL},
        {"net/./core/somaxconn", NULL},
        {"net/ipv4/..", NULL},
        {"network.x", NULL},
        {"kernel.core_pattern", NULL},
        {"kernel.semaphore", NULL},
        {"kernel.sem_next_id", NULL},
        {"kernel.hostname", NULL},
        {"kernel.sem/../core_pattern", NULL},
        {"kernel.shm.../core_pattern", NULL},
        {"fs.mqueue", NULL},
        {"fs.file-max", NULL},
        {"vm.overcommit_memory", NULL},
        {"user.max_user_namespaces", NULL},
        {"net.ipv4.ip_forward=1+kernel.core_pattern", NULL},
        {"net.ipv4.ip forward", NULL},
        {"net.ipv4.ip_forward\n", NULL},
        {"net.\xc3\xa4", NULL},
        {"NET.ipv4.ip_forward", NULL},
    };
    Podmon__Namespaces namespaces = PODMON__NAMESPACES__INIT;
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = check(cases[i].key, "1", &namespaces, path);

        if ((r < 0) != !cases[i].path)
            printf("  key \"%s\"\n", cases[i].key);
        CHECK_EQ(r, cases[i].path ? 0 : -22);
        if (r == 0)
            CHECK_STR(path, cases[i].path);
    }
}

TEST(values)
{
    Podmon__Namespaces namespaces = PODMON__NAMESPACES__INIT;
    static char large[4098];
    char path[PATH_MAX];

    memset(large, '1', sizeof(large) - 1);
    CHECK_EQ(check("net.core.somaxconn", "1024", &namespaces, path), 0);
    CHECK_EQ(check("net.ipv4.ip_local_port_range", "1024\t65000", &namespaces, path), 0);
    CHECK_EQ(check("kernel.shmmax", "1+kernel.core_pattern=|/bin/x", &namespaces, path), 0);
    CHECK(check("kernel.shmmax", "1\nx", &namespaces, path) < 0);
    CHECK(check("kernel.shmmax", "1\x7f", &namespaces, path) < 0);
    CHECK(check("kernel.shmmax", large, &namespaces, path) < 0);
    large[4096] = '\0';
    CHECK_EQ(check("kernel.shmmax", large, &namespaces, path), 0);
}

TEST(the_hosts_namespaces_are_left_alone)
{
    Podmon__Namespaces namespaces = PODMON__NAMESPACES__INIT;
    char path[PATH_MAX];

    namespaces.network = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    CHECK(check("net.core.somaxconn", "1", &namespaces, path) < 0);
    CHECK_EQ(check("kernel.shmmax", "1", &namespaces, path), 0);
    namespaces.network = PODMON__NAMESPACE_MODE__NAMESPACE_POD;
    namespaces.ipc = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    CHECK_EQ(check("net.core.somaxconn", "1", &namespaces, path), 0);
    CHECK(check("kernel.shmmax", "1", &namespaces, path) < 0);
    CHECK(check("fs.mqueue.msg_max", "1", &namespaces, path) < 0);
}

TEST_MAIN
