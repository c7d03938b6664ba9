/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/record.h"

#include <errno.h>

#include "podmon.pb-c.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

static void pair_free(ProtobufCMessage **message)
{
    if (*message)
        protobuf_c_message_free_unpacked(*message, NULL);
}

static int write_pair(const Scratch *scratch, const char *name)
{
    Podmon__Pair pair = PODMON__PAIR__INIT;
    char key[] = "colour", value[] = "blue";

    pair.key = key;
    pair.value = value;
    return record_write_at(scratch->fd, name, &pair.base, 0600, FILE_SYNC_NO);
}

static int read_pair(const Scratch *scratch, const char *name)
{
    CLEANUP(pair_free) ProtobufCMessage *message = NULL;
    int r = record_read_at(scratch->fd, name, &podmon__pair__descriptor, NULL, &message);

    return r == 0 && strcmp(((const Podmon__Pair *)message)->value, "blue") != 0 ? -EIO : r;
}

TEST(what_is_written_is_read)
{
    SCRATCH(scratch);

    CHECK_EQ(read_pair(&scratch, "r"), -ENOENT);
    CHECK_EQ(write_pair(&scratch, "r"), 0);
    CHECK_EQ(read_pair(&scratch, "r"), 0);
}

TEST(an_empty_message_is_a_record)
{
    SCRATCH(scratch);
    CLEANUP(pair_free) ProtobufCMessage *message = NULL;
    Podmon__StopPod stop = PODMON__STOP_POD__INIT;

    CHECK_EQ(record_write_at(scratch.fd, "r", &stop.base, 0600, FILE_SYNC_YES), 0);
    CHECK_EQ(record_read_at(scratch.fd, "r", &podmon__stop_pod__descriptor, NULL, &message), 0);
}

TEST(another_kind_is_refused)
{
    SCRATCH(scratch);
    CLEANUP(pair_free) ProtobufCMessage *message = NULL;

    CHECK_EQ(write_pair(&scratch, "r"), 0);
    /* Its bytes would decode: both begin with two strings. */
    CHECK_EQ(record_read_at(scratch.fd, "r", &podmon__pod_name__descriptor, NULL, &message),
             -EBADMSG);
}

/* A pod with two containers, as it lies on disk: some two thousand bytes. */
static int write_pod(const Scratch *scratch, const char *at)
{
    Podmon__PodRecord pod = PODMON__POD_RECORD__INIT;
    Podmon__PodSpec spec = PODMON__POD_SPEC__INIT;
    Podmon__PodName name = PODMON__POD_NAME__INIT;
    Podmon__ContainerSpec plan = PODMON__CONTAINER_SPEC__INIT;
    Podmon__ContainerRecord one = PODMON__CONTAINER_RECORD__INIT;
    Podmon__ContainerRecord *both[] = {&one, &one};
    char long_text[801], *argv[] = {long_text};

    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    plan.argv = argv;
    plan.n_argv = 1;
    one.spec = &plan;
    one.exit_code = 3;
    name.name = long_text + 700;
    spec.name = &name;
    pod.spec = &spec;
    pod.containers = both;
    pod.n_containers = 2;
    return record_write_at(scratch->fd, at, &pod.base, 0600, FILE_SYNC_NO);
}

static int read_damaged(const Scratch *scratch, const char *record, size_t size)
{
    CLEANUP(pair_free) ProtobufCMessage *message = NULL;
    int r = file_write_at(scratch->fd, "damaged", record, size, 0600, FILE_SYNC_NO);

    if (r < 0)
        return r;
    return record_read_at(scratch->fd, "damaged", &podmon__pod_record__descriptor, NULL, &message);
}

/* More than ten thousand: every bit flipped, every length cut. */
TEST(no_damaged_pod_is_taken_for_one)
{
    SCRATCH(scratch);
    AUTO_FREE char *record = NULL;
    size_t size = 0, variants = 0;

    CHECK_EQ(write_pod(&scratch, "pod"), 0);
    CHECK_EQ(file_read_at(scratch.fd, "pod", 64 * 1024, &record, &size), 0);
    CHECK_EQ(read_damaged(&scratch, record, size), 0);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++, variants++) {
            record[i] = (char)(record[i] ^ (1 << bit));
            CHECK_EQ(read_damaged(&scratch, record, size), -EBADMSG);
            record[i] = (char)(record[i] ^ (1 << bit));
        }
        CHECK_EQ(read_damaged(&scratch, record, i), -EBADMSG);
        variants++;
    }
    CHECK(variants > 10000);
}

TEST(every_flipped_byte_is_noticed)
{
    SCRATCH(scratch);
    AUTO_FREE char *record = NULL;
    size_t size = 0;

    CHECK_EQ(write_pair(&scratch, "r"), 0);
    CHECK_EQ(file_read_at(scratch.fd, "r", 1024, &record, &size), 0);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            record[i] = (char)(record[i] ^ (1 << bit));
            CHECK_EQ(file_write_at(scratch.fd, "f", record, size, 0600, FILE_SYNC_NO), 0);
            CHECK_EQ(read_pair(&scratch, "f"), -EBADMSG);
            record[i] = (char)(record[i] ^ (1 << bit));
        }
    }
}

TEST(every_other_length_is_noticed)
{
    SCRATCH(scratch);
    AUTO_FREE char *record = NULL;
    size_t size = 0;

    CHECK_EQ(write_pair(&scratch, "r"), 0);
    CHECK_EQ(file_read_at(scratch.fd, "r", 1024, &record, &size), 0);
    for (size_t cut = 0; cut <= size + 1; cut++) {
        /* One byte more than there is: the NUL behind what was read. */
        CHECK_EQ(file_write_at(scratch.fd, "f", record, cut, 0600, FILE_SYNC_NO), 0);
        CHECK_EQ(read_pair(&scratch, "f"), cut == size ? 0 : -EBADMSG);
    }
}

TEST(sizes_have_a_bound)
{
    SCRATCH(scratch);
    Podmon__Pair pair = PODMON__PAIR__INIT;
    AUTO_FREE char *value = malloc(RECORD_SIZE_MAX + 1);
    AUTO_CLOSE int fd = -1;

    CHECK(value);
    memset(value, 'v', RECORD_SIZE_MAX);
    value[RECORD_SIZE_MAX] = '\0';
    pair.value = value;
    CHECK_EQ(record_write_at(scratch.fd, "r", &pair.base, 0600, FILE_SYNC_NO), -EFBIG);
    CHECK_EQ(read_pair(&scratch, "r"), -ENOENT);
    fd = openat(scratch.fd, "huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(ftruncate(fd, (off_t)1 << 32) == 0);
    CHECK_EQ(read_pair(&scratch, "huge"), -EBADMSG);
}

TEST_MAIN
