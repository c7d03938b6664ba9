/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in, plans or refusals out. Each line changes the usual request and names what must come
 * of it: the gRPC code with a part of the sentence, or a field of the plan with its value. */
#include "dispatcher/cri/lower.h"

#include "shared/id.h"
#include "test/unit/fields.h"
#include "test/unit/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define POD_ID "0123456789abcdef01234567000000000000000000000000000000000000dead"
#define CONTAINER_ID "00000000000000000000000000000000000000110123456789abcdef01234567"
#define OTHER_ID "00000000000000000000000000000000000000220123456789abcdef01234567"
#define SECURITY "config.linux.security_context."
#define USERNS SECURITY "namespace_options.userns_options."
#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

typedef struct Refusal {
    const char *request;
    FailureCode code;
    const char *text;
} Refusal;

typedef struct Expectation {
    const char *request;
    const char *path;
    const char *value;
} Expectation;

#define INVALID FAILURE_INVALID_ARGUMENT

static const char POD[] =
    "config.metadata.name=web|config.metadata.namespace=shop"
    "|config.metadata.uid=u-1|config.metadata.attempt=3";

static const Refusal POD_REFUSALS[] = {
    {"config.metadata.name=", INVALID, "config.metadata.name: must not be empty"},
    {"config.metadata.namespace=", INVALID, "config.metadata.namespace: must not be empty"},
    {"config.metadata.uid=", INVALID, "config.metadata.uid: must not be empty"},
    {"config.metadata.name=a\nb", INVALID, "config.metadata.name: \"a?b\" has a control byte"},
    {"config.metadata.name=a;K8S=x", INVALID, "config.metadata.name: \"a;K8S=x\" has a ';'"},
    {"config.metadata.namespace=a;b", INVALID, "config.metadata.namespace: \"a;b\" has a ';'"},
    {"config.metadata.uid=\x1b[2J", INVALID, "config.metadata.uid"},
    {"config.metadata.name=" LONG_64 LONG_64 LONG_64 LONG_64, INVALID, "longer than 253 bytes"},
    {"runtime_handler=kata", INVALID, "runtime_handler: \"kata\" is not configured"},
    {"config.hostname=a b", INVALID, "config.hostname: \"a b\" is not a hostname"},
    {"config.hostname=a\nb", INVALID, "config.hostname: \"a?b\" is not a hostname"},
    {"config.hostname=-a", INVALID, "is not a hostname"},
    {"config.hostname=a-", INVALID, "is not a hostname"},
    {"config.hostname=a..b", INVALID, "is not a hostname"},
    {"config.hostname=a.", INVALID, "is not a hostname"},
    {"config.hostname=.a", INVALID, "is not a hostname"},
    {"config.hostname=a_b", INVALID, "is not a hostname"},
    {"config.hostname=" LONG_64 "a", INVALID, "longer than 64 bytes"},
    {"config.log_directory=var/log", INVALID, "config.log_directory: \"var/log\" is not absolute"},
    {"config.log_directory=/var\n/log", INVALID, "has a control byte"},
    {"config.dns_config.servers[0]=1.1.1.1\nsearch x", INVALID,
     "config.dns_config.servers[0]: \"1.1.1.1?search x\" has a space or a control byte"},
    {"config.dns_config.servers[0]=", INVALID, "servers[0]: must not be empty"},
    {"config.dns_config.searches[0]=a|config.dns_config.searches[1]=b c", INVALID,
     "config.dns_config.searches[1]: \"b c\" has a space"},
    {"config.dns_config.options[0]=ndots:5\n", INVALID, "config.dns_config.options[0]"},
    {"config.dns_config.options[0]=a\tb", INVALID, "config.dns_config.options[0]"},
    {"config.port_mappings[0].container_port=0|config.port_mappings[0].host_port=80", INVALID,
     "config.port_mappings[0].container_port: 0 is outside 1..65535"},
    {"config.port_mappings[0].container_port=65536", INVALID, "65536 is outside 1..65535"},
    {"config.port_mappings[0].container_port=-1", INVALID, "-1 is outside 1..65535"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].host_port=-1", INVALID,
     "config.port_mappings[0].host_port: -1 is outside 0..65535"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].host_port=70000", INVALID,
     "70000 is outside"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].protocol=3", INVALID,
     "config.port_mappings[0].protocol: 3 is not a protocol"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].protocol=-1", INVALID,
     "protocol: -1 is not a protocol"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].host_ip=x", INVALID,
     "config.port_mappings[0].host_ip: \"x\" is not an IP address"},
    {"config.linux.cgroup_parent=kubepods", INVALID,
     "config.linux.cgroup_parent: \"kubepods\" is neither an absolute path nor the name of a "
     "slice"},
    {"config.linux.cgroup_parent=/a/../b", INVALID, "\"/a/../b\" is not a clean path"},
    {"config.linux.cgroup_parent=/a//b", INVALID, "is not a clean path"},
    {"config.linux.cgroup_parent=/a/", INVALID, "is not a clean path"},
    {"config.linux.cgroup_parent=../x.slice", INVALID, "config.linux.cgroup_parent"},
    {"config.linux.cgroup_parent=a--b.slice", INVALID, "config.linux.cgroup_parent"},
    {"config.linux.sysctls[0].key=kernel.core_pattern|config.linux.sysctls[0].value=x", INVALID,
     "config.linux.sysctls: \"kernel.core_pattern\" is not a sysctl that a pod has to itself"},
    {"config.linux.sysctls[0].key=kernel.shm_rmid_forced|config.linux.sysctls[0].value=1\n",
     INVALID, "config.linux.sysctls[\"kernel.shm_rmid_forced\"]: \"1?\" has a control byte"},
    {"config.linux.sysctls[0].key=|config.linux.sysctls[0].value=x", INVALID,
     "config.linux.sysctls: must not be empty"},
    {"config.linux.sysctls[0].key=Net.ipv4.x", INVALID, "is not the name of a sysctl"},
    {"config.linux.sysctls[0].key=net.ipv4..x", INVALID, "is not the name of a sysctl"},
    {"config.linux.sysctls[0].key=net/../kernel/core_pattern", INVALID,
     "is not the name of a sysctl"},
    {"config.linux.sysctls[0].key=net.ipv4.x;y", INVALID, "is not the name of a sysctl"},
    {"config.linux.sysctls[0].key=net.", INVALID, "is not the name of a sysctl"},
    {"config.linux.sysctls[0].key=.net.x", INVALID, "is not the name of a sysctl"},
    {"config.linux.sysctls[0].key=vm.swappiness", INVALID, "that a pod has to itself"},
    {"config.linux.sysctls[0].key=kernel.semaphore", INVALID, "that a pod has to itself"},
    {"config.linux.sysctls[0].key=netx.y", INVALID, "that a pod has to itself"},
    {"config.linux.sysctls[0].key=net.ipv4.tcp_syncookies|" SECURITY "namespace_options.network=2",
     INVALID, "cannot be set in a pod on the host's network"},
    {"config.linux.sysctls[0].key=kernel/sem|" SECURITY "namespace_options.ipc=2", INVALID,
     "cannot be set in a pod on the host's IPC"},
    {"config.linux.sysctls[0].key=fs.mqueue.msg_max|" SECURITY "namespace_options.ipc=2", INVALID,
     "cannot be set in a pod on the host's IPC"},
    {SECURITY "namespace_options.network=1", INVALID,
     "config.linux.security_context.namespace_options.network: CONTAINER is not possible here"},
    {SECURITY "namespace_options.network=3", INVALID, "network: TARGET is not possible here"},
    {SECURITY "namespace_options.network=9", INVALID, "network: 9 is not a namespace mode"},
    {SECURITY "namespace_options.ipc=1", INVALID, "ipc: CONTAINER is not possible here"},
    {SECURITY "namespace_options.ipc=3", INVALID, "ipc: TARGET is not possible here"},
    {SECURITY "namespace_options.pid=3", INVALID, "pid: TARGET is not possible here"},
    {SECURITY "namespace_options.pid=-1", INVALID, "pid: -1 is not a namespace mode"},
    {SECURITY "namespace_options.userns_options.mode=0", INVALID,
     "userns_options.uids: 0 mappings, where there has to be one"},
    {USERNS "uids[0].length=5|" USERNS "uids[1].length=5", INVALID, "uids: 2 mappings"},
    {USERNS "uids[0].length=5|" USERNS "uids[0].container_id=1", INVALID,
     "userns_options.uids[0].container_id: 1 leaves 0 unmapped"},
    {USERNS "uids[0].host_id=9", INVALID, "userns_options.uids[0].length: 0 from 9 on is no range"},
    {USERNS "uids[0].host_id=9|" USERNS "uids[0].length=4294967290", INVALID,
     "length: 4294967290 from 9 on is no range"},
    {USERNS "uids[0].length=5", INVALID, "userns_options.gids: 0 mappings"},
    {SECURITY "namespace_options.userns_options.mode=1", INVALID,
     "userns_options.mode: CONTAINER is not possible here"},
    {SECURITY "namespace_options.userns_options.mode=3", INVALID, "TARGET is not possible here"},
    {SECURITY "namespace_options.userns_options.mode=2|" SECURITY
              "namespace_options.userns_options.uids[0].length=1",
     INVALID, "mappings with mode NODE"},
    {SECURITY "selinux_options.type=a b", INVALID,
     "config.linux.security_context.selinux_options: \"a b\" has a space"},
    {"config.linux.overhead.cpu_shares=-1", INVALID, "config.linux.overhead.cpu_shares: -1"},
    {"config.linux.resources.oom_score_adj=1001", INVALID,
     "config.linux.resources.oom_score_adj: 1001 is outside -1000..1000"},
};

static const Expectation POD_PLANS[] = {
    {"", "id", POD_ID},
    {"", "name.namespace", "shop"},
    {"", "name.name", "web"},
    {"", "name.uid", "u-1"},
    {"", "name.attempt", "3"},
    {"", "hostname", "node-1"},
    {"config.hostname=web-0.example", "hostname", "web-0.example"},
    {"config.hostname=" LONG_64, "hostname", LONG_64},
    {SECURITY "namespace_options.network=2", "hostname", ""},
    {SECURITY "namespace_options.network=2|config.hostname=n", "hostname", "n"},
    {"", "log_directory", ""},
    {"config.log_directory=/var/log//pods/x/", "log_directory", "/var/log/pods/x"},
    {"", "resolv_conf", "nameserver 9.9.9.9\n"},
    {"config.dns_config.servers[0]=1.1.1.1|config.dns_config.servers[1]=::1"
     "|config.dns_config.searches[0]=a.b|config.dns_config.searches[1]=c"
     "|config.dns_config.options[0]=ndots:5|config.dns_config.options[1]=edns0",
     "resolv_conf", "search a.b c\nnameserver 1.1.1.1\nnameserver ::1\noptions ndots:5 edns0\n"},
    {"config.dns_config.options[0]=ndots:5", "resolv_conf", "options ndots:5\n"},
    {"config.dns_config.servers[0]=1.1.1.1", "network.dns_servers[0]", "1.1.1.1"},
    {"", "network.conf_dir", "/etc/cni/net.d"},
    {"", "network.bin_dirs#", "2"},
    {"", "network.bin_dirs[1]", "/usr/lib/cni"},
    {"", "network.timeout_ms", "30000"},
    {SECURITY "namespace_options.network=2", "network", "(none)"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].host_port=8080"
     "|config.port_mappings[0].protocol=2|config.port_mappings[0].host_ip=::1",
     "network.port_mappings[0].protocol", "sctp"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[0].host_port=8080",
     "network.port_mappings[0].protocol", "tcp"},
    {"config.port_mappings[0].container_port=80", "network.port_mappings#", "0"},
    {"config.port_mappings[0].container_port=80|config.port_mappings[1].container_port=81"
     "|config.port_mappings[1].host_port=81|config.port_mappings[1].protocol=1",
     "network.port_mappings[0].protocol", "udp"},
    {"", "namespaces.network", "0"},
    {"", "namespaces.user", "2"},
    {SECURITY "namespace_options.pid=1", "namespaces.pid", "1"},
    {SECURITY "namespace_options.pid=2|" SECURITY "namespace_options.ipc=2", "namespaces.ipc", "2"},
    {SECURITY "namespace_options.userns_options.mode=2", "namespaces.user", "2"},
    {USERNS "uids[0].host_id=9|" USERNS "uids[0].length=7|" USERNS "gids[0].length=7",
     "namespaces.uid_mappings[0].host_id", "9"},
    {USERNS "uids[0].host_id=9|" USERNS "uids[0].length=7|" USERNS "gids[0].length=8",
     "namespaces.gid_mappings[0].length", "8"},
    {"", "cgroup.unit", ""},
    {"", "cgroup.slice", ""},
    {"", "cgroup.parent", "/podmon.slice"},
    {"", "cgroup.name", "pod-shop-web-0123456789ab"},
    {"config.linux.cgroup_parent=/kubepods/burstable/pod1", "cgroup.parent",
     "/kubepods/burstable/pod1"},
    {"config.linux.cgroup_parent=/", "cgroup.parent", "/"},
    {"config.linux.cgroup_parent=-.slice", "cgroup.parent", "/"},
    {"config.linux.cgroup_parent=a-b-c.slice", "cgroup.parent", "/a.slice/a-b.slice/a-b-c.slice"},
    {"config.linux.cgroup_parent=a-b.slice", "cgroup_parent", "a-b.slice"},
    {"config.metadata.name=a/../b c\xc3\xa9", "cgroup.name", "pod-shop-a_.._b_c__-0123456789ab"},
    {"config.linux.sysctls[0].key=net.ipv4.ip_forward|config.linux.sysctls[0].value=1",
     "sysctls[0].key", "net.ipv4.ip_forward"},
    {"config.linux.sysctls[0].key=kernel.shm_rmid_forced|config.linux.sysctls[0].value=1",
     "sysctls[0].value", "1"},
    {"config.linux.sysctls[0].key=fs.mqueue.msg_max|config.linux.sysctls[0].value=100",
     "sysctls[0].value", "100"},
    {"config.linux.sysctls[0].key=kernel.sem|config.linux.sysctls[0].value=1 2 3 4",
     "sysctls[0].value", "1 2 3 4"},
    {"config.linux.sysctls[0].key=kernel.msgmax|config.linux.sysctls[0].value=a+b,c=d",
     "sysctls[0].value", "a+b,c=d"},
    {SECURITY "privileged=1", "privileged", "1"},
    {"", "privileged", "0"},
    {"", "shm_size", "67108864"},
    {"", "drain_timeout_ms", "5000"},
    {"config.labels[0].key=k|config.labels[0].value=v", "labels[0].value", "v"},
    {"config.annotations[0].key=k|config.annotations[0].value=a\nb", "annotations[0].value",
     "a\nb"},
    {"config.linux.overhead.memory_limit_in_bytes=7", "overhead.memory_limit", "7"},
    {"config.linux.resources.cpu_shares=9", "resources.cpu_shares", "9"},
    {"", "selinux.level", "s0:c1,c2"},
    {"", "selinux.type", ""},
    {SECURITY "selinux_options.type=t", "selinux.type", "t"},
    {SECURITY "selinux_options.type=t", "selinux.level", "s0:c1,c2"},
    {SECURITY "selinux_options.level=s0", "selinux.level", "s0"},
};

/* With scopes by systemd. */
static const Refusal SYSTEMD_REFUSALS[] = {
    {"config.linux.cgroup_parent=/kubepods/pod1", INVALID,
     "\"/kubepods/pod1\" does not end in the name of a slice"},
    {"config.linux.cgroup_parent=/a.slice/", INVALID, "does not end in the name of a slice"},
    {"config.linux.cgroup_parent=a.scope", INVALID, "does not end in the name of a slice"},
    {"config.linux.cgroup_parent=.slice", INVALID, "does not end in the name of a slice"},
    {"config.linux.cgroup_parent=a b.slice", INVALID, "does not end in the name of a slice"},
    {"config.linux.cgroup_parent=-a.slice", INVALID, "does not end in the name of a slice"},
    {"config.linux.cgroup_parent=a-.slice", INVALID, "does not end in the name of a slice"},
};

static const Expectation SYSTEMD_PLANS[] = {
    {"", "cgroup.unit", "pod-shop-web-0123456789ab.scope"},
    {"", "cgroup.slice", "podmon.slice"},
    {"", "cgroup.parent", ""},
    {"", "cgroup.description", "Pod shop/web"},
    {"config.linux.cgroup_parent=kubepods-pod1.slice", "cgroup.slice", "kubepods-pod1.slice"},
    {"config.linux.cgroup_parent=/kubepods.slice/kubepods-pod1.slice", "cgroup.slice",
     "kubepods-pod1.slice"},
    {"config.linux.cgroup_parent=-.slice", "cgroup.slice", "-.slice"},
    {"config.metadata.name=" LONG_64 LONG_64 LONG_64, "cgroup.unit",
     "pod-shop-" LONG_64 LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "-0123456789ab.scope"},
};

static const char CONTAINER[] =
    "metadata.name=main|metadata.attempt=1|image.image=busybox|command[0]=/bin/run";

static const char RECORD[] = "phase=1|spec.id=" POD_ID
                             "|spec.hostname=web-0"
                             "|spec.log_directory=/var/log/pods/x|spec.namespaces.user=2"
                             "|containers[0].spec.id=" CONTAINER_ID
                             "|containers[0].phase=1"
                             "|containers[1].spec.id=" OTHER_ID "|containers[1].phase=2";

static const char IMAGE[] = "id=sha256:1|layers[0]=sha256:a|digests[0]=b@sha256:d";

static const Refusal CONTAINER_REFUSALS[] = {
    {"metadata.name=", INVALID, "config.metadata.name: must not be empty"},
    {"metadata.name=a\nb", INVALID, "config.metadata.name: \"a?b\""},
    {"log_path=/etc/shadow", INVALID, "config.log_path: \"/etc/shadow\" is not relative"},
    {"log_path=../x", INVALID, "config.log_path: \"../x\" has a component that is no file name"},
    {"log_path=a/../../x", INVALID, "config.log_path"},
    {"log_path=a//x", INVALID, "config.log_path"},
    {"log_path=a/", INVALID, "config.log_path"},
    {"log_path=.", INVALID, "config.log_path"},
    {"command[0]=", INVALID, "config.command[0]: must not be empty"},
    {"working_dir=tmp", INVALID, "config.working_dir: \"tmp\" is not absolute"},
    {"working_dir=/a\nb", INVALID, "config.working_dir: \"/a?b\" has a control byte"},
    {"envs[0].key=", INVALID, "config.envs[0].key: must not be empty"},
    {"envs[0].key=A|envs[1].key=", INVALID, "config.envs[1].key: must not be empty"},
    {"mounts[0].container_path=etc|mounts[0].host_path=/x", INVALID,
     "config.mounts[0].container_path: \"etc\" is not absolute"},
    {"mounts[0].container_path=|mounts[0].host_path=/x", INVALID,
     "config.mounts[0].container_path: must not be empty"},
    {"mounts[0].container_path=/|mounts[0].host_path=/x", INVALID,
     "config.mounts[0].container_path: \"/\" is the container's root"},
    {"mounts[0].container_path=/a/..|mounts[0].host_path=/x", INVALID, "is the container's root"},
    {"mounts[0].container_path=/proc|mounts[0].host_path=/x", INVALID, "is the kernel's"},
    {"mounts[0].container_path=/proc/self/attr|mounts[0].host_path=/x", INVALID, "is the kernel's"},
    {"mounts[0].container_path=/a/../proc/1|mounts[0].host_path=/x", INVALID, "is the kernel's"},
    {"mounts[0].container_path=/a|mounts[0].host_path=x", INVALID,
     "config.mounts[0].host_path: \"x\" is not absolute"},
    {"mounts[0].container_path=/a|mounts[0].host_path=", INVALID,
     "config.mounts[0].host_path: must not be empty"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[1].container_path=b"
     "|mounts[1].host_path=/c",
     INVALID, "config.mounts[1].container_path: \"b\" is not absolute"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].propagation=3", INVALID,
     "config.mounts[0].propagation: 3 is not a propagation"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].recursive_read_only=1", INVALID,
     "config.mounts[0].recursive_read_only: wants readonly"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].recursive_read_only=1"
     "|mounts[0].readonly=1|mounts[0].propagation=1",
     INVALID, "wants private propagation"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].recursive_read_only=1"
     "|mounts[0].readonly=1|mounts[0].propagation=2",
     INVALID, "wants private propagation"},
    {"mounts[0].container_path=/a|mounts[0].image.image=busybox|mounts[0].host_path=/b", INVALID,
     "config.mounts[0].host_path: \"/b\" comes with an image"},
    {"mounts[0].container_path=/a|mounts[0].image.image=busybox|mounts[0].image_sub_path=../b",
     INVALID, "config.mounts[0].image_sub_path: \"../b\""},
    {"mounts[0].container_path=/a|mounts[0].image.image=busybox|mounts[0].propagation=1", INVALID,
     "propagation: an image is only mounted privately"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].uidMappings[0].length=1",
     INVALID, "config.mounts[0].uidMappings and gidMappings: are not those of the sandbox's"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].mount_options[0]=suid", INVALID,
     "config.mounts[0].mount_options[0]: \"suid\" is not noexec, nodev or nosuid"},
    {"devices[0].container_path=/dev/x|devices[0].host_path=dev/x", INVALID,
     "config.devices[0].host_path: \"dev/x\" is not absolute"},
    {"devices[0].container_path=x|devices[0].host_path=/dev/x", INVALID,
     "config.devices[0].container_path: \"x\" is not absolute"},
    {"devices[0].container_path=/|devices[0].host_path=/dev/x", INVALID,
     "is not a place for a device"},
    {"devices[0].container_path=/x|devices[0].host_path=/x|devices[0].permissions=rx", INVALID,
     "config.devices[0].permissions: \"rx\" is not of the letters r, w and m"},
    {"devices[0].container_path=/x|devices[0].host_path=/x|devices[0].permissions=rr", INVALID,
     "has a letter twice"},
    {"stop_signal=66", INVALID, "config.stop_signal: 66 is not a signal"},
    {"stop_signal=-1", INVALID, "config.stop_signal: -1 is not a signal"},
    {"linux.security_context.privileged=1", INVALID,
     "config.linux.security_context.privileged: true in a sandbox that is not privileged"},
    {"linux.security_context.run_as_user.value=-1", INVALID,
     "config.linux.security_context.run_as_user: -1 is outside 0..2147483647"},
    {"linux.security_context.run_as_user.value=2147483648", INVALID, "is outside 0..2147483647"},
    {"linux.security_context.run_as_user.value=5|linux.security_context.run_as_username=www",
     INVALID, "run_as_user and run_as_username: 5 and \"www\" exclude each other"},
    {"linux.security_context.run_as_group.value=5", INVALID,
     "run_as_group: 5 without run_as_user or run_as_username"},
    {"linux.security_context.run_as_user.value=5|linux.security_context.run_as_group.value=-2",
     INVALID, "config.linux.security_context.run_as_group: -2 is outside"},
    {"linux.security_context.run_as_username=a:b", INVALID, "\"a:b\" is not the name of a user"},
    {"linux.security_context.run_as_username=a\nb", INVALID, "is not the name of a user"},
    {"linux.security_context.supplemental_groups[0]=-1", INVALID,
     "config.linux.security_context.supplemental_groups: -1 is outside"},
    {"linux.security_context.supplemental_groups_policy=2", INVALID, "2 is not a policy"},
    {"linux.security_context.capabilities.add_capabilities[0]=NET_ADMIN"
     "|linux.security_context.capabilities.add_capabilities[1]=FLY",
     INVALID,
     "config.linux.security_context.capabilities.add_capabilities[1]: \"FLY\" is not a "
     "capability"},
    {"linux.security_context.capabilities.drop_capabilities[0]=", INVALID,
     "drop_capabilities[0]: is empty"},
    {"linux.security_context.capabilities.add_ambient_capabilities[0]=x", INVALID,
     "add_ambient_capabilities[0]: \"x\""},
    {"linux.security_context.seccomp.profile_type=2|linux.security_context.seccomp.localhost_ref=p",
     INVALID, "seccomp.localhost_ref: \"p\" is not absolute"},
    {"linux.security_context.seccomp.profile_type=2", INVALID,
     "seccomp.localhost_ref: must not be empty"},
    {"linux.security_context.seccomp.profile_type=3", INVALID, "3 is not a kind of profile"},
    {"linux.security_context.seccomp_profile_path=localhost/x", INVALID,
     "seccomp.localhost_ref: \"x\" is not absolute"},
    {"linux.security_context.seccomp_profile_path=x", INVALID,
     "seccomp_profile_path: \"x\" is not runtime/default, unconfined or localhost/"},
    {"linux.security_context.apparmor_profile=x", INVALID, "apparmor_profile: \"x\" is not"},
    {"linux.security_context.apparmor.profile_type=2", INVALID,
     "apparmor.localhost_ref: must not be empty"},
    {"linux.security_context.apparmor_profile=localhost/a b", INVALID, "apparmor.localhost_ref"},
    {"linux.security_context.apparmor.profile_type=7", INVALID, "7 is not a kind of profile"},
    {"linux.security_context.masked_paths[0]=proc", INVALID,
     "config.linux.security_context.masked_paths[0]: \"proc\" is not absolute"},
    {"linux.security_context.masked_paths[0]=/", INVALID, "is not a path to hide"},
    {"linux.security_context.readonly_paths[0]=/a|linux.security_context.readonly_paths[1]=b",
     INVALID, "readonly_paths[1]: \"b\" is not absolute"},
    {"linux.security_context.namespace_options.pid=2", INVALID,
     "pid: NODE in a sandbox that is not on the host's pids"},
    {"linux.security_context.namespace_options.pid=3", INVALID,
     "namespace_options.target_id: must not be empty"},
    {"linux.security_context.namespace_options.pid=3"
     "|linux.security_context.namespace_options.target_id=../x",
     INVALID, "\"../x\" is not a container id"},
    {"linux.security_context.namespace_options.pid=3"
     "|linux.security_context.namespace_options.target_id=ff",
     FAILURE_NOT_FOUND, "no container \"ff\" in this pod"},
    {"linux.security_context.namespace_options.pid=3"
     "|linux.security_context.namespace_options.target_id=" OTHER_ID,
     FAILURE_FAILED_PRECONDITION, "does not run"},
    {"linux.security_context.namespace_options.network=1", INVALID,
     "network: CONTAINER is not possible here"},
    {"linux.security_context.namespace_options.ipc=3", INVALID, "ipc: TARGET is not possible"},
    {"linux.security_context.namespace_options.userns_options.mode=0", INVALID,
     "userns_options.uids: 0 mappings"},
    {"linux.security_context.namespace_options.userns_options.uids[0].length=5"
     "|linux.security_context.namespace_options.userns_options.gids[0].length=5",
     INVALID, "userns_options: are not those of the sandbox"},
    {"linux.security_context.selinux_options.user=a b", INVALID, "selinux_options: \"a b\""},
    {"linux.resources.cpu_period=999", INVALID,
     "config.linux.resources.cpu_period: 999 is outside 1000..1000000"},
    {"linux.resources.cpu_period=1000001", INVALID, "cpu_period: 1000001"},
    {"linux.resources.cpu_quota=-2", INVALID, "cpu_quota: -2"},
    {"linux.resources.cpu_quota=999", INVALID, "cpu_quota: 999"},
    {"linux.resources.cpu_shares=262145", INVALID, "cpu_shares: 262145 is outside"},
    {"linux.resources.cpu_shares=-1", INVALID, "cpu_shares: -1"},
    {"linux.resources.memory_limit_in_bytes=-1", INVALID, "memory_limit_in_bytes: -1"},
    {"linux.resources.memory_swap_limit_in_bytes=-2", INVALID, "memory_swap_limit_in_bytes: -2"},
    {"linux.resources.memory_limit_in_bytes=9|linux.resources.memory_swap_limit_in_bytes=8",
     INVALID, "8 is less than the memory limit"},
    {"linux.resources.oom_score_adj=-1001", INVALID, "oom_score_adj: -1001"},
    {"linux.resources.cpuset_cpus=0-", INVALID, "cpuset_cpus: \"0-\" is not a list"},
    {"linux.resources.cpuset_cpus=0,,1", INVALID, "is not a list"},
    {"linux.resources.cpuset_cpus=a", INVALID, "is not a list"},
    {"linux.resources.cpuset_cpus=0\n", INVALID, "is not a list"},
    {"linux.resources.cpuset_mems=1,", INVALID, "cpuset_mems: \"1,\" is not a list"},
    {"linux.resources.hugepage_limits[0].page_size=2", INVALID,
     "hugepage_limits[0].page_size: \"2\" is not a page size"},
    {"linux.resources.hugepage_limits[0].page_size=../2MB", INVALID, "is not a page size"},
    {"linux.resources.hugepage_limits[0].page_size=2MBx", INVALID, "is not a page size"},
    {"linux.resources.unified[0].key=../x.y", INVALID, "unified: \"../x.y\" is not a file"},
    {"linux.resources.unified[0].key=memory", INVALID, "is not a file of cgroup v2"},
    {"linux.resources.unified[0].key=memory.a/b", INVALID, "is not a file of cgroup v2"},
    {"linux.resources.unified[0].key=memory.high|linux.resources.unified[0].value=1\n2", INVALID,
     "unified[\"memory.high\"]: \"1?2\" has a control byte"},
};

#define MOUNTS_A                                                                                   \
    "mounts[0].container_path=/data/deep/er|mounts[0].host_path=/b"                                \
    "|mounts[1].container_path=/data|mounts[1].host_path=/a"

static const Expectation CONTAINER_PLANS[] = {
    {"", "id", CONTAINER_ID},
    {"", "name", "main"},
    {"", "attempt", "1"},
    {"", "image.name", "busybox"},
    {"", "image.image_id", "sha256:1"},
    {"", "image.image_ref", "b@sha256:d"},
    {"image.user_specified_image=asked", "image.user_specified_image", "asked"},
    {"", "layers[0]", "/layers/a"},
    {"log_path=main/0.log", "log_path", "main/0.log"},
    {"", "log_path", ""},
    {"", "argv#", "1"},
    {"args[0]=x|args[1]=", "argv#", "3"},
    {"args[0]=x", "argv[1]", "x"},
    {"", "cwd", "/"},
    {"working_dir=/a//b/", "cwd", "/a/b"},
    {"", "env[0]", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    {"", "env[1]", "HOSTNAME=web-0"},
    {"", "env#", "2"},
    {"tty=1", "env[2]", "TERM=xterm"},
    {"tty=1|envs[0].key=TERM|envs[0].value=vt100", "env[2]", "TERM=vt100"},
    {"envs[0].key=PATH|envs[0].value=/bin", "env[0]", "PATH=/bin"},
    {"envs[0].key=A|envs[0].value=1=2|envs[1].key=A|envs[1].value=", "env[2]", "A="},
    {"envs[0].key=A|envs[0].value=1=2", "env[2]", "A=1=2"},
    {"envs[0].key=AB|envs[0].value=1|envs[1].key=A|envs[1].value=2", "env[3]", "A=2"},
    {"", "mounts#", "10"},
    {"", "mounts[0].destination", "/proc"},
    {"", "mounts[0].no_exec", "1"},
    {"", "mounts[1].destination", "/dev"},
    {"", "mounts[1].no_exec", "0"},
    {"", "mounts[1].no_suid", "1"},
    {"", "mounts[2].destination", "/sys"},
    {"", "mounts[2].read_only", "1"},
    {"", "mounts[3].destination", "/dev/pts"},
    {"", "mounts[4].destination", "/dev/mqueue"},
    {"", "mounts[5].destination", "/dev/shm"},
    {"", "mounts[6].destination", "/etc/hosts"},
    {"", "mounts[6].source", "hosts"},
    {"", "mounts[6].read_only", "0"},
    {"linux.security_context.readonly_rootfs=1", "mounts[6].read_only", "1"},
    {"", "mounts[7].destination", "/etc/resolv.conf"},
    {"", "mounts[8].destination", "/etc/hostname"},
    {"", "mounts[9].destination", "/sys/fs/cgroup"},
    {"", "mounts[9].read_only", "1"},
    {MOUNTS_A, "mounts#", "12"},
    {MOUNTS_A, "mounts[3].destination", "/data"},
    {MOUNTS_A, "mounts[3].requested", "1"},
    {MOUNTS_A, "mounts[11].destination", "/data/deep/er"},
    {"mounts[0].container_path=/etc/hosts|mounts[0].host_path=/h", "mounts#", "10"},
    {"mounts[0].container_path=/etc//hosts/|mounts[0].host_path=/h", "mounts#", "10"},
    {"mounts[0].container_path=/dev|mounts[0].host_path=/dev", "mounts#", "7"},
    {"mounts[0].container_path=/dev/shm|mounts[0].host_path=/dev/shm", "mounts#", "10"},
    {"mounts[0].container_path=/device|mounts[0].host_path=/dev", "mounts#", "11"},
    {"mounts[0].container_path=/proc/meminfo|mounts[0].host_path=/x", "mounts#", "11"},
    {"mounts[0].container_path=/process|mounts[0].host_path=/x", "mounts#", "11"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].propagation=2",
     "mounts[3].propagation", "2"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].recursive_read_only=1"
     "|mounts[0].readonly=1",
     "mounts[3].recursive_read_only", "1"},
    {"mounts[0].container_path=/a|mounts[0].host_path=/b|mounts[0].mount_options[0]=noexec",
     "mounts[3].no_exec", "1"},
    {"devices[0].container_path=/dev/x|devices[0].host_path=/dev/y", "devices[0].permissions",
     "rwm"},
    {"devices[0].container_path=/dev/x|devices[0].host_path=/dev/y|devices[0].permissions=r",
     "devices[0].permissions", "r"},
    {"", "stop_signal", "15"},
    {"", "stop_signal_name", ""},
    {"stop_signal=13", "stop_signal", "9"},
    {"stop_signal=13", "stop_signal_name", "SIGNAL_SIGKILL"},
    {"stop_signal=35", "stop_signal", "34"},
    {"stop_signal=38", "stop_signal", "37"},
    {"stop_signal=51", "stop_signal", "50"},
    {"stop_signal=65", "stop_signal", "64"},
    {"stop_signal=5", "stop_signal", "17"},
    {"", "user.user", ""},
    {"linux.security_context.run_as_user.value=0", "user.user", "0"},
    {"linux.security_context.run_as_user.value=1000", "user.user", "1000"},
    {"linux.security_context.run_as_user.value=1000", "user.must_exist", "0"},
    {"linux.security_context.run_as_username=www", "user.must_exist", "1"},
    {"linux.security_context.run_as_username=www|linux.security_context.run_as_group.value=7",
     "user.group", "7"},
    {"linux.security_context.supplemental_groups[0]=9", "user.supplemental_groups[0]", "9"},
    {"linux.security_context.supplemental_groups_policy=1", "user.policy", "1"},
    {"", "security.capabilities", "2818844155"},
    {"linux.security_context.capabilities.drop_capabilities[0]=ALL", "security.capabilities", "0"},
    {"linux.security_context.capabilities.drop_capabilities[0]=all"
     "|linux.security_context.capabilities.add_capabilities[0]=CHOWN",
     "security.capabilities", "1"},
    {"linux.security_context.capabilities.add_capabilities[0]=ALL", "security.capabilities",
     "2199023255551"},
    {"linux.security_context.capabilities.add_capabilities[0]=ALL"
     "|linux.security_context.capabilities.drop_capabilities[0]=CAP_CHOWN",
     "security.capabilities", "2199023255550"},
    {"linux.security_context.capabilities.drop_capabilities[0]=ALL"
     "|linux.security_context.capabilities.add_ambient_capabilities[0]=CHOWN",
     "security.ambient_capabilities", "1"},
    {"", "security.no_new_privileges", "0"},
    {"linux.security_context.no_new_privs=1", "security.no_new_privileges", "1"},
    {"", "security.seccomp", "0"},
    {"linux.security_context.seccomp.profile_type=0", "security.seccomp", "1"},
    {"linux.security_context.seccomp.profile_type=1", "security.seccomp", "0"},
    {"linux.security_context.seccomp_profile_path=runtime/default", "security.seccomp", "1"},
    {"linux.security_context.seccomp_profile_path=unconfined", "security.seccomp", "0"},
    {"linux.security_context.seccomp_profile_path=localhost//p", "security.seccomp", "2"},
    {"linux.security_context.seccomp_profile_path=localhost//p", "security.seccomp_profile_path",
     "/p"},
    {"linux.security_context.seccomp.profile_type=2|linux.security_context.seccomp.localhost_ref=/"
     "p",
     "security.seccomp_profile_path", "/p"},
    {"", "security.apparmor", "1"},
    {"linux.security_context.apparmor_profile=unconfined", "security.apparmor", "0"},
    {"linux.security_context.apparmor_profile=localhost/p", "security.apparmor_profile", "p"},
    {"linux.security_context.apparmor.profile_type=1"
     "|linux.security_context.apparmor_profile=localhost/p",
     "security.apparmor", "0"},
    {"linux.security_context.apparmor.profile_type=2"
     "|linux.security_context.apparmor.localhost_ref=p",
     "security.apparmor_profile", "p"},
    {"", "security.masked_paths#", "12"},
    {"", "security.read_only_paths#", "5"},
    {"linux.security_context.masked_paths[0]=/bin/ls", "security.masked_paths#", "1"},
    {"linux.security_context.masked_paths[0]=/bin/ls", "security.read_only_paths#", "5"},
    {"linux.security_context.readonly_paths[0]=/tmp/", "security.read_only_paths[0]", "/tmp"},
    {"", "namespaces.pid", "0"},
    {"linux.security_context.namespace_options.pid=1", "namespaces.pid", "1"},
    {"linux.security_context.namespace_options.pid=3"
     "|linux.security_context.namespace_options.target_id=" CONTAINER_ID,
     "namespaces.target_id", CONTAINER_ID},
    {"", "resources.pids_limit", "512"},
    {"", "resources.memory_limit", "0"},
    {"linux.resources.cpu_shares=1", "resources.cpu_shares", "2"},
    {"linux.resources.cpu_quota=-1", "resources.cpu_quota", "-1"},
    {"linux.resources.memory_swap_limit_in_bytes=-1", "resources.memory_swap_limit", "-1"},
    {"linux.resources.oom_score_adj=-1000", "resources.oom_score_adj", "-1000"},
    {"linux.resources.cpuset_cpus=0-3,8", "resources.cpuset_cpus", "0-3,8"},
    {"linux.resources.hugepage_limits[0].page_size=1GB", "resources.hugepage_limits[0].value", "0"},
    {"linux.resources.unified[0].key=memory.high|linux.resources.unified[0].value=max",
     "resources.unified[0].value", "max"},
    {"stdin=1|stdin_once=1", "stdin_once", "1"},
    {"tty=1", "tty", "1"},
};

/* Privileged containers of privileged pods. */
static const Expectation PRIVILEGED_PLANS[] = {
    {"", "security.privileged", "1"},
    {"", "security.capabilities", "2199023255551"},
    {"", "security.all_devices", "1"},
    {"", "security.masked_paths#", "0"},
    {"", "security.read_only_paths#", "0"},
    {"", "security.apparmor", "0"},
    {"", "mounts[2].read_only", "0"},
    {"", "mounts[9].read_only", "0"},
    {"linux.security_context.seccomp.profile_type=0", "security.seccomp", "0"},
    {"linux.security_context.seccomp.profile_type=2", "security.seccomp", "0"},
    {"linux.security_context.masked_paths[0]=/bin/ls", "security.masked_paths#", "0"},
    {"linux.security_context.selinux_options.type=t", "security.selinux.type", "t"},
    {"linux.security_context.capabilities.drop_capabilities[0]=ALL", "security.capabilities",
     "2199023255551"},
    {"linux.security_context.apparmor_profile=localhost/p", "security.apparmor_profile", ""},
};

/* What the image says: the first column is of the image's record, on a request without command. */
static const Expectation IMAGE_PLANS[] = {
    {"entrypoint[0]=/e|command[0]=c", "argv#", "2"},
    {"entrypoint[0]=/e|command[0]=c", "argv[1]", "c"},
    {"command[0]=/c", "argv[0]", "/c"},
    {"command[0]=/c|working_dir=/w", "cwd", "/w"},
    {"command[0]=/c|user=1000:50", "user.user", "1000"},
    {"command[0]=/c|user=1000:50", "user.group", "50"},
    {"command[0]=/c|user=www", "user.user", "www"},
    {"command[0]=/c|user=www:", "user.group", ""},
    {"command[0]=/c|stop_signal=SIGQUIT", "stop_signal", "3"},
    {"command[0]=/c|stop_signal=9", "stop_signal", "9"},
    {"command[0]=/c|stop_signal=SIGRTMIN+3", "stop_signal", "37"},
    {"command[0]=/c|stop_signal=RTMAX-1", "stop_signal", "63"},
    {"command[0]=/c|env[0]=PATH=/x", "env[0]", "PATH=/x"},
    {"command[0]=/c|env[0]=A=1|env[1]=B=2", "env[3]", "B=2"},
    {"command[0]=/c|env[0]=broken", "env#", "2"},
    {"command[0]=/c|volumes[0]=/data", "volumes[0]", "/data"},
};

static const Refusal IMAGE_REFUSALS[] = {
    {"", INVALID, "config.command: is missing, and the image has none"},
    {"command[0]=", INVALID, "config.command[0]: must not be empty"},
    {"command[0]=/c|stop_signal=SIGFOO", FAILURE_FAILED_PRECONDITION, "\"SIGFOO\" is not a signal"},
    {"command[0]=/c|stop_signal=0", FAILURE_FAILED_PRECONDITION, "\"0\" is not a signal"},
    {"command[0]=/c|stop_signal=65", FAILURE_FAILED_PRECONDITION, "\"65\" is not a signal"},
    {"command[0]=/c|stop_signal=RTMIN+31", FAILURE_FAILED_PRECONDITION, "is not a signal"},
    {"command[0]=/c|working_dir=w", INVALID, "config.working_dir: \"w\" is not absolute"},
};

static char SLICE[] = "podmon.slice", CONF_DIR[] = "/etc/cni/net.d", BIN_DIR[] = "/opt/cni/bin",
            OTHER_BIN_DIR[] = "/usr/lib/cni", LAYER[] = "/layers/a";
static char *BIN_DIRS[] = {BIN_DIR, OTHER_BIN_DIR, NULL};

static const Config CONFIG = {
    .slice = SLICE,
    .cni_conf_dir = CONF_DIR,
    .cni_bin_dirs = BIN_DIRS,
    .cni_timeout_ms = 30000,
    .drain_timeout_ms = 5000,
    .pids_limit = 512,
    .shm_size = 67108864,
};

static LowerContext make_context(Arena *arena, bool systemd)
{
    return (LowerContext){
        .arena = arena,
        .config = &CONFIG,
        .systemd = systemd,
        .node_hostname = "node-1",
        .node_resolv_conf = "nameserver 9.9.9.9\n",
        .selinux_level = "s0:c1,c2",
    };
}

static int run_pod(Arena *arena, bool systemd, const char *more, Podmon__PodSpec **ret,
                   Failure *why)
{
    LowerContext context = make_context(arena, systemd);
    Runtime__V1__RunPodSandboxRequest *request = arena_alloc(arena, sizeof(*request));

    runtime__v1__run_pod_sandbox_request__init(request);
    fields_set(arena, &request->base, POD);
    fields_set(arena, &request->base, more);
    return lower_pod(&context, request, POD_ID, ret, why);
}

/* `record`, `image`, `config`: on top of the usual ones; `base` is the usual request. */
static int create(Arena *arena, const char *base, const char *more, const char *record,
                  const char *image, Podmon__ContainerSpec **ret, Failure *why)
{
    static char *layers[] = {LAYER};
    LowerContext context = make_context(arena, false);
    Runtime__V1__ContainerConfig *config = arena_alloc(arena, sizeof(*config));
    Podmon__PodRecord *pod = arena_alloc(arena, sizeof(*pod));
    Podmon__ImageRecord *stored = arena_alloc(arena, sizeof(*stored));

    runtime__v1__container_config__init(config);
    podmon__pod_record__init(pod);
    podmon__image_record__init(stored);
    fields_set(arena, &config->base, base);
    fields_set(arena, &config->base, more);
    fields_set(arena, &pod->base, RECORD);
    fields_set(arena, &pod->base, record);
    fields_set(arena, &stored->base, IMAGE);
    fields_set(arena, &stored->base, image);
    return lower_container(&context, config, pod, stored, layers, CONTAINER_ID, ret, why);
}

static bool refused(int r, const Failure *why, const Refusal *row)
{
    if (r < 0 && why->code == row->code && strstr(why->text, row->text))
        return true;
    printf("  with \"%s\": %d, code %d, \"%s\"; expected code %d, \"%s\"\n", row->request, r,
           r < 0 ? (int)why->code : 0, r < 0 ? why->text : "", (int)row->code, row->text);
    return false;
}

static bool planned(int r, const ProtobufCMessage *plan, const Failure *why, const Expectation *row)
{
    const char *value = r < 0 ? why->text : fields_get(plan, row->path);

    if (r >= 0 && strcmp(value, row->value) == 0)
        return true;
    printf("  with \"%s\" %s is \"%s\", expected \"%s\"\n", row->request, row->path, value,
           row->value);
    return false;
}

static bool check_pod_refusals(bool systemd, const Refusal *rows, size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__PodSpec *spec = NULL;
        Failure why = {0};
        int r = run_pod(arena, systemd, rows[i].request, &spec, &why);

        good = refused(r, &why, &rows[i]) && !spec && good;
    }
    return good;
}

static bool check_pod_plans(bool systemd, const Expectation *rows, size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__PodSpec *spec = NULL;
        Failure why = {0};
        int r = run_pod(arena, systemd, rows[i].request, &spec, &why);

        good = planned(r, r < 0 ? NULL : &spec->base, &why, &rows[i]) && good;
    }
    return good;
}

TEST(pods_refused)
{
    CHECK(check_pod_refusals(false, POD_REFUSALS, COUNT(POD_REFUSALS)));
}

TEST(pods_planned)
{
    CHECK(check_pod_plans(false, POD_PLANS, COUNT(POD_PLANS)));
}

TEST(pods_refused_with_systemd)
{
    CHECK(check_pod_refusals(true, SYSTEMD_REFUSALS, COUNT(SYSTEMD_REFUSALS)));
}

TEST(pods_planned_with_systemd)
{
    CHECK(check_pod_plans(true, SYSTEMD_PLANS, COUNT(SYSTEMD_PLANS)));
}

TEST(pod_without_configuration)
{
    AUTO_ARENA Arena *arena = arena_new();
    LowerContext context = make_context(arena, false);
    Runtime__V1__RunPodSandboxRequest request = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
    Podmon__PodSpec *spec;
    Failure why;

    CHECK(lower_pod(&context, &request, POD_ID, &spec, &why) < 0);
    CHECK_STR(why.text, "config.metadata: is missing");
    CHECK_EQ(why.code, INVALID);
}

TEST(options_of_selinux_without_it)
{
    AUTO_ARENA Arena *arena = arena_new();
    LowerContext context = make_context(arena, false);
    Runtime__V1__RunPodSandboxRequest request = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
    Podmon__PodSpec *spec;
    Failure why;

    context.selinux_level = NULL;
    fields_set(arena, &request.base, POD);
    CHECK_EQ(lower_pod(&context, &request, POD_ID, &spec, &why), 0);
    CHECK(!spec->selinux);
    fields_set(arena, &request.base, SECURITY "selinux_options.level=s0");
    CHECK(lower_pod(&context, &request, POD_ID, &spec, &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(why.text, "without SELinux"));
}

TEST(labels_and_annotations_have_a_bound)
{
    AUTO_ARENA Arena *arena = arena_new();
    char *request = arena_alloc(arena, 1100 * 1024), *end;
    Podmon__PodSpec *spec;
    Failure why;

    end = stpcpy(request, "config.labels[0].key=k|config.labels[0].value=");
    memset(end, 'x', 1024 * 1024 - 1);
    CHECK_EQ(run_pod(arena, false, request, &spec, &why), 0);
    end[1024 * 1024 - 1] = 'x';
    CHECK(run_pod(arena, false, request, &spec, &why) < 0);
    CHECK(strstr(why.text, "more than 1 MiB"));
}

TEST(containers_refused)
{
    bool good = true;

    for (size_t i = 0; i < COUNT(CONTAINER_REFUSALS); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ContainerSpec *spec = NULL;
        Failure why = {0};
        int r = create(arena, CONTAINER, CONTAINER_REFUSALS[i].request, "", "", &spec, &why);

        good = refused(r, &why, &CONTAINER_REFUSALS[i]) && !spec && good;
    }
    CHECK(good);
}

static bool check_container_plans(const char *base, const char *record, const Expectation *rows,
                                  size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ContainerSpec *spec = NULL;
        Failure why = {0};
        int r = create(arena, base, rows[i].request, record, "", &spec, &why);

        good = planned(r, r < 0 ? NULL : &spec->base, &why, &rows[i]) && good;
    }
    return good;
}

TEST(containers_planned)
{
    CHECK(check_container_plans(CONTAINER, "", CONTAINER_PLANS, COUNT(CONTAINER_PLANS)));
}

TEST(privileged_containers_planned)
{
    CHECK(
        check_container_plans("metadata.name=main|image.image=busybox|command[0]=/bin/run"
                              "|linux.security_context.privileged=1",
                              "spec.privileged=1", PRIVILEGED_PLANS, COUNT(PRIVILEGED_PLANS)));
}

TEST(images_planned)
{
    bool good = true;

    for (size_t i = 0; i < COUNT(IMAGE_PLANS); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ContainerSpec *spec = NULL;
        Failure why = {0};
        int r = create(arena, "metadata.name=main|image.image=busybox", "", "",
                       IMAGE_PLANS[i].request, &spec, &why);

        good = planned(r, r < 0 ? NULL : &spec->base, &why, &IMAGE_PLANS[i]) && good;
    }
    CHECK(good);
}

TEST(images_refused)
{
    bool good = true;

    for (size_t i = 0; i < COUNT(IMAGE_REFUSALS); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ContainerSpec *spec = NULL;
        Failure why = {0};
        int r = create(arena, "metadata.name=main|image.image=busybox", "", "",
                       IMAGE_REFUSALS[i].request, &spec, &why);

        good = refused(r, &why, &IMAGE_REFUSALS[i]) && good;
    }
    CHECK(good);
}

/* A command drops the image's arguments, arguments alone keep its entrypoint. */
TEST(command_and_args_against_entrypoint_and_command)
{
    AUTO_ARENA Arena *arena = arena_new();
    static const char image[] = "entrypoint[0]=/e|command[0]=c";
    static const char base[] = "metadata.name=main|image.image=busybox";
    Podmon__ContainerSpec *spec;
    Failure why;

    CHECK_EQ(create(arena, base, "command[0]=/x", "", image, &spec, &why), 0);
    CHECK_EQ(spec->n_argv, 1);
    CHECK_STR(spec->argv[0], "/x");
    CHECK_EQ(create(arena, base, "args[0]=y", "", image, &spec, &why), 0);
    CHECK_EQ(spec->n_argv, 2);
    CHECK_STR(spec->argv[0], "/e");
    CHECK_STR(spec->argv[1], "y");
    CHECK_EQ(create(arena, base, "command[0]=/x|args[0]=y", "", image, &spec, &why), 0);
    CHECK_EQ(spec->n_argv, 2);
    CHECK_STR(spec->argv[0], "/x");
}

/* POD means what the pod has. */
TEST(pid_namespace_follows_the_pod)
{
    AUTO_ARENA Arena *arena = arena_new();
    static const char pod_mode[] = "linux.security_context.namespace_options.pid=0";
    static const char node_mode[] = "linux.security_context.namespace_options.pid=2";
    Podmon__ContainerSpec *spec;
    Failure why;

    CHECK_EQ(create(arena, CONTAINER, pod_mode, "spec.namespaces.pid=2", "", &spec, &why), 0);
    CHECK_EQ(spec->namespaces->pid, PODMON__NAMESPACE_MODE__NAMESPACE_NODE);
    CHECK_EQ(create(arena, CONTAINER, node_mode, "spec.namespaces.pid=2", "", &spec, &why), 0);
    CHECK_EQ(spec->namespaces->pid, PODMON__NAMESPACE_MODE__NAMESPACE_NODE);
    CHECK_EQ(create(arena, CONTAINER, pod_mode, "spec.namespaces.pid=1", "", &spec, &why), 0);
    CHECK_EQ(spec->namespaces->pid, PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER);
    CHECK_EQ(create(arena, CONTAINER, "", "spec.namespaces.network=2", "", &spec, &why), 0);
    CHECK_EQ(spec->namespaces->network, PODMON__NAMESPACE_MODE__NAMESPACE_NODE);
}

TEST(no_log_without_a_directory)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__ContainerSpec *spec;
    Failure why;

    CHECK_EQ(create(arena, CONTAINER, "log_path=0.log", "spec.log_directory=", "", &spec, &why), 0);
    CHECK_STR(spec->log_path, "");
}

TEST(values_with_nul_or_equals)
{
    AUTO_ARENA Arena *arena = arena_new();
    static uint8_t bytes[] = {'a', '\0', 'b'};
    LowerContext context = make_context(arena, false);
    Runtime__V1__ContainerConfig config = RUNTIME__V1__CONTAINER_CONFIG__INIT;
    Podmon__PodRecord pod = PODMON__POD_RECORD__INIT;
    Podmon__ImageRecord image = PODMON__IMAGE_RECORD__INIT;
    Podmon__ContainerSpec *spec;
    char *key;
    Failure why;

    fields_set(arena, &config.base, CONTAINER);
    fields_set(arena, &config.base, "envs[0].key=A");
    fields_set(arena, &pod.base, RECORD);
    config.envs[0]->value = (ProtobufCBinaryData){sizeof(bytes), bytes};
    CHECK(lower_container(&context, &config, &pod, &image, NULL, CONTAINER_ID, &spec, &why) < 0);
    CHECK(strstr(why.text, "config.envs[0].value: that of \"A\" has a NUL byte"));
    config.envs[0]->value.len = 1;
    CHECK_EQ(lower_container(&context, &config, &pod, &image, NULL, CONTAINER_ID, &spec, &why), 0);
    CHECK_STR(spec->env[2], "A=a");
    key = arena_copy(arena, "A=B");
    config.envs[0]->key = key;
    CHECK(lower_container(&context, &config, &pod, &image, NULL, CONTAINER_ID, &spec, &why) < 0);
    CHECK_STR(why.text, "config.envs[0].key: \"A=B\" has a '='");
}

TEST(counts_have_bounds)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__ContainerSpec *spec;
    Failure why;

    CHECK(create(arena, CONTAINER, "mounts[4096].container_path=/x", "", "", &spec, &why) < 0);
    CHECK_STR(why.text, "config.mounts: 4097 are more than 4096");
    CHECK(create(arena, CONTAINER, "envs[16384].key=x", "", "", &spec, &why) < 0);
    CHECK(strstr(why.text, "config.envs: 16385"));
    CHECK(create(arena, CONTAINER, "devices[4096].host_path=/x", "", "", &spec, &why) < 0);
    CHECK(strstr(why.text, "config.devices: 4097"));
    CHECK(create(arena, CONTAINER, "linux.security_context.supplemental_groups[1000]=1", "", "",
                 &spec, &why) < 0);
    CHECK(strstr(why.text, "supplemental_groups: 1001"));
    CHECK(create(arena, CONTAINER, "linux.security_context.masked_paths[1024]=/x", "", "", &spec,
                 &why) < 0);
    CHECK(strstr(why.text, "masked_paths: 1025"));
}

/* What was lowered can be packed and is the same when it is read again. */
TEST(plans_survive_the_wire)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__ContainerSpec *spec, *again;
    Failure why;
    size_t size;
    uint8_t *bytes;

    CHECK_EQ(create(arena, CONTAINER, MOUNTS_A "|labels[0].key=a|labels[0].value=b", "", "", &spec,
                    &why),
             0);
    size = podmon__container_spec__get_packed_size(spec);
    bytes = arena_alloc(arena, size);
    CHECK_EQ(podmon__container_spec__pack(spec, bytes), size);
    again = podmon__container_spec__unpack(arena_allocator(arena), size, bytes);
    CHECK(again);
    CHECK_EQ(again->n_mounts, 12);
    CHECK_STR(again->labels[0]->value, "b");
}

TEST_MAIN
