/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/config.h"

#include <errno.h>

#include "shared/text.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

#define CONFIG(name) CLEANUP(config_done) Config name = {0}

static int load(const Scratch *scratch, Config *ret, Failure *why)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/podmon.conf", scratch->path);
    return config_load(path, false, ret, why);
}

/* Loads `text`; what is said about it, without the directory's name. */
static const char *complaint(const char *text)
{
    static Failure why;
    SCRATCH(scratch);
    CONFIG(config);
    int r;

    scratch_write(&scratch, "podmon.conf", text);
    r = load(&scratch, &config, &why);
    if (r == 0)
        return "accepted";
    if (r != -EINVAL || why.code != FAILURE_INVALID_ARGUMENT)
        return "another error";
    return text_starts_with(why.text, scratch.path) ? why.text + strlen(scratch.path) + 1
                                                    : why.text;
}

TEST(files_for_tls)
{
    SCRATCH(scratch);
    CONFIG(config);
    Failure why;

    CHECK_EQ(load(&scratch, &config, &why), 0);
    CHECK(!config.stream_tls_cert && !config.stream_tls_key);
    config_done(&config);
    scratch_write(&scratch, "podmon.conf", "[stream]\ntls_cert = /dev/null\ntls_key = /dev/zero\n");
    CHECK_EQ(load(&scratch, &config, &why), 0);
    CHECK_STR(config.stream_tls_cert, "/dev/null");
    CHECK_STR(config.stream_tls_key, "/dev/zero");
    CHECK_STR(complaint("[stream]\ntls_key = key.pem\n"),
              "podmon.conf:2: tls_key in [stream]: \"key.pem\" is not a clean absolute path of a "
              "file that can be read, of at most 4095 bytes");
    CHECK_STR(complaint("[stream]\ntls_key = /no/such\n"),
              "podmon.conf:2: tls_key in [stream]: \"/no/such\" is not a clean absolute path of a "
              "file that can be read, of at most 4095 bytes");
    CHECK_STR(complaint("[stream]\ntls_key = /dev/null\n"),
              "podmon.conf: [stream] has tls_key and no tls_cert");
}

TEST(defaults)
{
    SCRATCH(scratch);
    CONFIG(config);
    Failure why;
    char path[128];

    CHECK_EQ(load(&scratch, &config, &why), 0);
    CHECK_STR(config.listen, "/run/podmon/podmon.sock");
    CHECK_STR(config.run_dir, "/run/podmon");
    CHECK_STR(config.root_dir, "/var/lib/podmon");
    CHECK_EQ(config.log_level, 6);
    CHECK(config.systemd);
    CHECK_STR(config.slice, "podmon.slice");
    CHECK_EQ(text_list_count(config.cni_bin_dirs), 2);
    CHECK_STR(config.cni_bin_dirs[1], "/usr/lib/cni");
    CHECK_EQ(config.shm_size, 67108864);
    CHECK_EQ(config.pids_limit, 0);
    CHECK_EQ(text_list_count(config.pinned), 0);
    (void)snprintf(path, sizeof(path), "%s/podmon.conf", scratch.path);
    CHECK_EQ(config_load(path, true, &config, &why), -ENOENT);
    CHECK(strstr(why.text, path));
}

TEST(values_are_read)
{
    SCRATCH(scratch);
    CONFIG(config);
    Failure why = {0};

    scratch_write(&scratch, "podmon.conf",
                  "# comment\n; comment\n\n[dispatcher]\nlog_level = debug\nlisten=/a/s ; why\n"
                  "[cgroup]\n  systemd = no\nslice = /podmon/test\n"
                  "[network]\ncni_bin_dirs = /a /b\n  /c\n\n  /d /e\ncni_timeout_ms = 1500\n"
                  "[container]\nshm_size = 1048576\r\npids_limit = 100\n"
                  "[image]\npinned = registry.k8s.io/pause:3.10\n[dispatcher]\nrun_dir = /r");
    CHECK_EQ(load(&scratch, &config, &why), 0);
    CHECK_EQ(config.log_level, 7);
    CHECK_STR(config.listen, "/a/s");
    CHECK(!config.systemd);
    CHECK_STR(config.slice, "/podmon/test");
    CHECK_EQ(text_list_count(config.cni_bin_dirs), 5);
    CHECK_STR(config.cni_bin_dirs[4], "/e");
    CHECK_EQ(config.cni_timeout_ms, 1500);
    CHECK_EQ(config.shm_size, 1048576);
    CHECK_EQ(config.pids_limit, 100);
    CHECK_STR(config.pinned[0], "registry.k8s.io/pause:3.10");
    CHECK_STR(config.run_dir, "/r");
}

TEST(drop_ins_come_by_name)
{
    SCRATCH(scratch);
    CONFIG(config);
    Failure why = {0};

    CHECK(mkdirat(scratch.fd, "podmon.conf.d", 0700) == 0);
    scratch_write(&scratch, "podmon.conf", "[network]\ncni_bin_dirs = /a /b\ncni_timeout_ms=100\n");
    scratch_write(&scratch, "podmon.conf.d/20-b.conf", "[network]\ncni_conf_dir = /second\n");
    scratch_write(&scratch, "podmon.conf.d/10-a.conf",
                  "[network]\ncni_conf_dir = /first\ncni_bin_dirs = /c\n");
    scratch_write(&scratch, "podmon.conf.d/30-c.conf.bak", "nonsense");
    scratch_write(&scratch, "podmon.conf.d/.hidden.conf", "nonsense");
    CHECK_EQ(load(&scratch, &config, &why), 0);
    CHECK_STR(config.cni_conf_dir, "/second");
    CHECK_EQ(text_list_count(config.cni_bin_dirs), 1);
    CHECK_EQ(config.cni_timeout_ms, 100);
    scratch_write(&scratch, "podmon.conf.d/40-d.conf", "[network]\n\nfoo = 1\n");
    CHECK_EQ(load(&scratch, &config, &why), -EINVAL);
    CHECK(strstr(why.text, "podmon.conf.d/40-d.conf:3: unknown key \"foo\""));
    CHECK_STR(config.cni_conf_dir, "/second");
}

TEST(mistakes_are_named)
{
    static const char *const cases[][2] = {
        {"[dispatcher]\nlistn = /x\n", "podmon.conf:2: unknown key \"listn\""},
        {"[network]\n\nlisten = /x\n", "podmon.conf:3: unknown key \"listen\""},
        {"listen = /x\n", "podmon.conf:1: unknown section \"\""},
        {"[dispacher]\n", "podmon.conf:1: unknown section \"dispacher\""},
        {"[dispatcher]\nlisten\n", "podmon.conf:2: neither \"[section]\" nor \"key = value\""},
        {"[dispatcher\n", "podmon.conf:1: neither \"[section]\" nor \"key = value\""},
        {"[dispatcher]\n=\nlistn = 1\n", "podmon.conf:2: unknown key \"\""},
        {"[dispatcher]\nx\nlistn = 1\n",
         "podmon.conf:2: neither \"[section]\" nor \"key = value\""},
        {"[dispatcher]\nlistn = 1\nx\n", "podmon.conf:2: unknown key \"listn\""},
        {"[dispatcher]\nrun_dir = run\n",
         "podmon.conf:2: run_dir in [dispatcher]: \"run\" is not a clean absolute path of at most "
         "4095 bytes"},
        {"[dispatcher]\nrun_dir = /a/../b\n",
         "podmon.conf:2: run_dir in [dispatcher]: \"/a/../b\" is not a clean absolute path of at "
         "most 4095 bytes"},
        {"[dispatcher]\nlog_level = loud\n",
         "podmon.conf:2: log_level in [dispatcher]: \"loud\" is not error, warning, notice, info, "
         "debug or a number from 3 to 7"},
        {"[cgroup]\nsystemd = maybe\n",
         "podmon.conf:2: systemd in [cgroup]: \"maybe\" is not yes or no"},
        {"[cgroup]\nslice = a b.slice\n",
         "podmon.conf:2: slice in [cgroup]: \"a b.slice\" is not the name of a slice or a clean "
         "absolute path of a cgroup"},
        {"[network]\ncni_timeout_ms = 99\n",
         "podmon.conf:2: cni_timeout_ms in [network]: \"99\" is not a number from 100 to 600000"},
        {"[network]\ncni_timeout_ms = 1s\n",
         "podmon.conf:2: cni_timeout_ms in [network]: \"1s\" is not a number from 100 to 600000"},
        {"[network]\ncni_bin_dirs = /a b\n",
         "podmon.conf:2: cni_bin_dirs in [network]: \"/a b\" is not a list of clean absolute "
         "paths"},
        {"[dispatcher]\nlisten = /a\n  run_dir = /b\n",
         "podmon.conf:3: an indented line goes on with the value before it, but there is one only "
         "of \"listen\""},
        {"[image]\npinned = a\x01\n",
         "podmon.conf:2: pinned in [image]: \"a?\" is not a list of words"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_STR(complaint(cases[i][0]), cases[i][1]);
}

TEST(long_lines_are_named)
{
    char text[4096] = "[dispatcher]\nrun_dir = /";

    memset(text + strlen(text), 'x', 3000);
    CHECK(text_starts_with(complaint(text), "podmon.conf:2: the line is longer than "));
}

TEST(what_is_no_text)
{
    SCRATCH(scratch);
    CONFIG(config);
    Failure why = {0};

    CHECK_EQ(file_write_at(scratch.fd, "podmon.conf", "[image]\n\0x\n", 11, 0600, FILE_SYNC_NO), 0);
    CHECK_EQ(load(&scratch, &config, &why), -EINVAL);
    CHECK(strstr(why.text, "NUL"));
    CHECK_EQ(file_delete_tree_at(scratch.fd, "podmon.conf"), 0);
    CHECK(mkdirat(scratch.fd, "podmon.conf", 0700) == 0);
    CHECK_EQ(load(&scratch, &config, &why), -EISDIR);
}

TEST_MAIN
