/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"
#include "podmon/devices.h"
#include "podmon/mounts.h"
#include "shared/text.h"
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

TEST(files_and_directories_are_bound)
{
    char file[128];

    OPEN_BOX(box);
    (void)snprintf(file, sizeof(file), "%s/file", box.canary);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_BIND, "/deep/below/file", file);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_BIND, "/data/", box.canary)->read_only = true;
    CHECK_RUN(box,
              "cat /deep/below/file /data/file; echo new > /deep/below/file;"
              "touch /data/x 2>/dev/null || echo refused",
              0);
    CHECK_STR(box.output, "alive\nalive\nrefused\n");
    CHECK_EQ(box_read(box.canary, "file", file, sizeof(file)), 0);
    CHECK_STR(file, "new\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(read_only_recursively_or_not)
{
    for (int recursive = 0; recursive < 2; recursive++) {
        char below[128];
        Podmon__Mount *volume;

        OPEN_BOX(box);
        CHECK_EQ(box_mkdir(box.canary, "below", below, sizeof(below)), 0);
        CHECK_EQ(mount("below", below, "tmpfs", 0, "size=64k"), 0);
        volume = box_mount(&box, PODMON__MOUNT_KIND__MOUNT_BIND, "/data", box.canary);
        volume->read_only = true;
        volume->recursive_read_only = recursive;
        CHECK_RUN(box, "touch /data/x; touch /data/below/x 2>/dev/null && echo written",
                  recursive ? 1 : 0);
        CHECK(!recursive == (strstr(box.output, "written") != NULL));
        CHECK_EQ(umount2(below, 0), 0);
        CHECK_EQ(box_close(&box), 0);
    }
}

/* The box's directory becomes a shared mount; what one side mounts, the other sees or not. */
static void check_propagation(Podmon__MountPropagation propagation, bool to_container, bool to_host)
{
    char *look[] = {box_text("/bin/sh"), box_text("-c"),
                    box_text("test -e /data/a/inside; echo $?;"
                             "mount -t tmpfs none /data/b && touch /data/b/inside; true"),
                    NULL};
    char a[128], b[128], inside[160];

    OPEN_BOX(box);
    CHECK_EQ(mount(box.canary, box.canary, NULL, MS_BIND, NULL), 0);
    CHECK_EQ(mount(NULL, box.canary, NULL, MS_SHARED, NULL), 0);
    CHECK_EQ(box_mkdir(box.canary, "a", a, sizeof(a)), 0);
    CHECK_EQ(box_mkdir(box.canary, "b", b, sizeof(b)), 0);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_BIND, "/data", box.canary)->propagation = propagation;
    box.security.capabilities = UINT64_MAX;
    CHECK_EQ(box_start(&box, "sleep 100"), 1);
    CHECK_EQ(mount("a", a, "tmpfs", 0, "size=64k"), 0);
    CHECK_EQ(box_write(a, "inside", ""), 0);
    CHECK_EQ(box_exec(&box, look), 0);
    CHECK_STR(box.output, to_container ? "0\n" : "1\n");
    (void)snprintf(inside, sizeof(inside), "%s/inside", b);
    CHECK_EQ(access(inside, F_OK) == 0, to_host);
    (void)umount2(box.canary, MNT_DETACH);
    CHECK_EQ(box_close(&box), 0);
}

TEST(propagation)
{
    check_propagation(PODMON__MOUNT_PROPAGATION__PROPAGATION_PRIVATE, false, false);
    check_propagation(PODMON__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER, true, false);
    check_propagation(PODMON__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL, true, true);
}

TEST(a_private_host_path_cannot_share)
{
    OPEN_BOX(box);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_BIND, "/data", box.canary)->propagation =
        PODMON__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL;
    CHECK(box_run(&box, "true") < 0);
    CHECK_EQ(box.why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(box.why.text, "is not on a shared mount"));
    CHECK_EQ(box_close(&box), 0);
}

TEST(what_is_refused)
{
    static const struct {
        Podmon__MountKind kind;
        const char *destination, *source, *text;
    } cases[] = {
        {PODMON__MOUNT_KIND__MOUNT_BIND, "/data", "/no/such/path",
         "mount \"/data\": cannot bind host path \"/no/such/path\": No such file or directory"},
        {PODMON__MOUNT_KIND__MOUNT_BIND, "/data", "relative",
         "mount \"/data\": host path \"relative\" is not absolute"},
        {PODMON__MOUNT_KIND__MOUNT_BIND, "data", "/tmp",
         "mount \"data\": the container path is not absolute"},
        {PODMON__MOUNT_KIND__MOUNT_BIND, "/a/../", "/tmp",
         "mount \"/a/../\": nothing can be mounted over the container's root"},
        {PODMON__MOUNT_KIND__MOUNT_BIND, "/proc", "/tmp",
         "mount \"/proc\": nothing can be mounted at or below /proc"},
        {PODMON__MOUNT_KIND__MOUNT_TMPFS, "/x/../proc/self", "",
         "mount \"/proc/self\": nothing can be mounted at or below /proc"},
        {PODMON__MOUNT_KIND__MOUNT_POD_FILE, "/etc/x", "../state",
         "mount \"/etc/x\": no pod file is called \"../state\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OPEN_BOX(box);
        box_mount(&box, cases[i].kind, cases[i].destination, cases[i].source);
        CHECK(box_run(&box, "true") < 0);
        CHECK_STR(box.why.text, cases[i].text);
        CHECK_EQ(box.why.code, FAILURE_INVALID_ARGUMENT);
        CHECK_EQ(box_close(&box), 0);
    }
}

TEST(an_option_that_tmpfs_does_not_know)
{
    OPEN_BOX(box);
    box_mount(&box, PODMON__MOUNT_KIND__MOUNT_TMPFS, "/t", "")->data =
        box_text("size=1m,colour=red");
    CHECK(box_run(&box, "true") < 0);
    CHECK(strstr(box.why.text, "colour"));
    CHECK_EQ(box.why.code, FAILURE_INVALID_ARGUMENT);
    CHECK_EQ(box_close(&box), 0);
}

TEST(an_image_as_a_volume_and_a_part_of_one)
{
    char *layers[1];
    Podmon__Mount *volume;

    OPEN_BOX(box);
    layers[0] = box.layer;
    volume = box_mount(&box, PODMON__MOUNT_KIND__MOUNT_IMAGE, "/whole", "");
    volume->layers = layers;
    volume->n_layers = 1;
    volume = box_mount(&box, PODMON__MOUNT_KIND__MOUNT_IMAGE, "/part", "");
    volume->layers = layers;
    volume->n_layers = 1;
    volume->sub_path = box_text("etc");
    CHECK_RUN(box, "ls /whole/etc /part; touch /part/x 2>/dev/null || echo refused", 0);
    CHECK_STR(box.output, "/part:\ngroup\npasswd\n\n/whole/etc:\ngroup\npasswd\nrefused\n");
    CHECK_EQ(box_close(&box), 0);
}

TEST(a_part_of_an_image_cannot_lead_out)
{
    char *layers[1], link[128];
    Podmon__Mount *volume;

    OPEN_BOX(box);
    layers[0] = box.layer;
    (void)snprintf(link, sizeof(link), "%s/out", box.layer);
    CHECK_EQ(symlink(box.canary, link), 0);
    volume = box_mount(&box, PODMON__MOUNT_KIND__MOUNT_IMAGE, "/part", "");
    volume->layers = layers;
    volume->n_layers = 1;
    volume->sub_path = box_text("out");
    CHECK(box_run(&box, "true") < 0);
    CHECK_STR(box.why.text, "cannot mount \"/part\": No such file or directory");
    CHECK_EQ(box_close(&box), 0);
}

TEST(devices_of_the_spec)
{
    Podmon__Device device = PODMON__DEVICE__INIT, outer = PODMON__DEVICE__INIT;
    Podmon__Device *devices[] = {&device, &outer};
    CLEANUP(text_list_cleanup) char **rules = NULL;
    bool has_rule = false;

    OPEN_BOX(box);
    device.host_path = box_text("/dev/zero");
    device.container_path = box_text("/dev/my/nothing");
    device.permissions = box_text("r");
    outer.host_path = box_text("/dev/full");
    outer.container_path = box_text("/full");
    outer.permissions = box_text("rw");
    box.spec.devices = devices;
    box.spec.n_devices = 2;
    CHECK_RUN(box, "stat -c %t:%T /dev/my/nothing /full", 0);
    CHECK_STR(box.output, "1:5\n1:7\n");
    CHECK_EQ(devices_rules(&box.spec, &rules, &box.why), 0);
    for (char **rule = rules; *rule; rule++)
        has_rule = has_rule || strcmp(*rule, "c 1:5 r") == 0;
    CHECK(has_rule);
    device.permissions = box_text("x");
    CHECK(box_run(&box, "true") < 0);
    CHECK_EQ(box.why.code, FAILURE_INVALID_ARGUMENT);
    device.permissions = box_text("rwm");
    device.host_path = box_text("/dev/no-such-device");
    CHECK(box_run(&box, "true") < 0);
    CHECK_STR(box.why.text, "device \"/dev/no-such-device\" is not on this host");
    CHECK_EQ(box_close(&box), 0);
}

TEST(all_devices_for_a_privileged_container)
{
    CLEANUP(text_list_cleanup) char **rules = NULL;

    OPEN_BOX(box);
    box.security.all_devices = true;
    box.security.privileged = true;
    CHECK_RUN(box, "test -c /dev/full && test -c /dev/pts/ptmx && ls /dev | wc -l", 0);
    CHECK(atoi(box.output) > 16);
    CHECK_EQ(devices_rules(&box.spec, &rules, &box.why), 0);
    CHECK_STR(rules[0], "a");
    CHECK_EQ(box_close(&box), 0);
}

TEST_MAIN
