/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed input in pieces of every size, whole and damaged. */
#include "dispatcher/image/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "test/unit/test.h"

enum { PIECES_MAX = 256, ROOM = 4096 };

static size_t add_member(uint8_t *to, size_t at, const char *text)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)strlen(text)};

    if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    stream.next_out = to + at;
    stream.avail_out = (uInt)(ROOM - at);
    (void)deflate(&stream, Z_FINISH);
    at += stream.total_out;
    (void)deflateEnd(&stream);
    return at;
}

/* A pipe whose readers get at most `piece` bytes with each read, then the end. */
static int pieces(const uint8_t *data, size_t size, size_t piece)
{
    AUTO_CLOSE int write_fd = -1;
    int pair[2];

    if ((size + piece - 1) / piece > PIECES_MAX || pipe2(pair, O_CLOEXEC | O_DIRECT) < 0)
        return -1;
    write_fd = pair[1];
    if (fcntl(write_fd, F_SETPIPE_SZ, PIECES_MAX * 4096) < 0)
        return -1;
    for (size_t at = 0; at < size; at += piece)
        if (write(write_fd, data + at, size - at < piece ? size - at : piece) < 0)
            return -1;
    return pair[0];
}

/* All that comes out as a string; 0 or −errno. */
static int unpack(int fd, uint64_t most, char ret[ROOM], Failure *why)
{
    CLEANUP(packed_cleanup) Packed *packed = NULL;
    Digest found, expected;
    size_t used = 0;
    const void *data;
    ssize_t size;
    int r = packed_new(fd, most, &packed, why);

    if (r < 0)
        return r;
    while ((size = packed_read(packed, &data)) > 0) {
        if (used + (size_t)size >= ROOM)
            return -E2BIG;
        memcpy(ret + used, data, (size_t)size);
        used += (size_t)size;
    }
    ret[used] = 0;
    if (size < 0)
        return packed_error(packed) == size && packed_read(packed, &data) == size ? (int)size : 1;
    return packed_finish(packed, &found) == 0 &&
                   digest_of(DIGEST_SHA256, ret, used, &expected) == 0 &&
                   digest_equal(&found, &expected)
               ? 0
               : 1;
}

static int unpack_pieces(const uint8_t *data, size_t size, size_t piece, char ret[ROOM],
                         Failure *why)
{
    AUTO_CLOSE int fd = pieces(data, size, piece);

    return fd < 0 ? 1 : unpack(fd, ROOM, ret, why);
}

TEST(members_follow_each_other_however_they_are_cut)
{
    uint8_t data[ROOM];
    size_t size = add_member(data, 0, "the first and the second, the second and the first");
    char text[ROOM];
    Failure why = {0};

    size = add_member(data, size, "");
    size = add_member(data, size, ", and the third");
    CHECK(size > 0 && size < PIECES_MAX);
    for (size_t piece = 1; piece <= size; piece++) {
        CHECK_EQ(unpack_pieces(data, size, piece, text, &why), 0);
        CHECK_STR(text, "the first and the second, the second and the first, and the third");
    }
}

TEST(what_follows_and_is_no_member_is_passed_over)
{
    static const char *const tails[] = {"x", "rubbish", "\x1frubbish", "\n"};

    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        uint8_t data[ROOM];
        size_t size = add_member(data, 0, "what counts");
        char text[ROOM];
        Failure why = {0};

        memcpy(data + size, tails[i], strlen(tails[i]));
        CHECK_EQ(unpack_pieces(data, size + strlen(tails[i]), ROOM, text, &why), 0);
        CHECK_STR(text, "what counts");
    }
}

TEST(every_cut_is_told)
{
    uint8_t data[ROOM];
    size_t size = add_member(data, 0, "nothing of this is to be believed");

    for (size_t cut = 2; cut < size; cut++) {
        Failure why = {0};
        char text[ROOM];

        CHECK_EQ(unpack_pieces(data, cut, ROOM, text, &why), -EINVAL);
        CHECK_STR(why.text, "the archive is damaged: truncated gzip input");
    }
}

TEST(no_changed_bit_behind_the_header_goes_unseen)
{
    uint8_t data[ROOM];
    size_t size = add_member(data, 0, "every bit counts, every bit of it"), unseen = 0;

    for (size_t bit = 80; bit < size * 8; bit++) {
        Failure why = {0};
        char text[ROOM];

        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        /* Up to seven bits between the data and the checksum fill a byte and mean nothing. */
        if (unpack_pieces(data, size, ROOM, text, &why) == 0) {
            CHECK_STR(text, "every bit counts, every bit of it");
            CHECK(bit / 8 == size - 9 && ++unseen <= 7);
        } else {
            CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        }
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

TEST(the_limit_is_on_what_comes_out)
{
    char zeros[ROOM / 2] = "";
    uint8_t data[ROOM];
    size_t size;
    Failure why = {0};

    memset(zeros, '0', sizeof(zeros) - 1);
    size = add_member(data, 0, zeros);
    for (uint64_t most = sizeof(zeros) - 2; most < sizeof(zeros); most++) {
        AUTO_CLOSE int fd = pieces(data, size, ROOM);
        char text[ROOM];

        CHECK_EQ(unpack(fd, most, text, &why), most == sizeof(zeros) - 1 ? 0 : -EFBIG);
    }
    CHECK_EQ(why.code, FAILURE_RESOURCE_EXHAUSTED);
}

TEST(what_is_not_compressed_is_left_as_it_is)
{
    static const char *const texts[] = {"a", "ab", "\x1f", "plain text", "\x28\xb5\x2f"};
    Failure why = {0};
    char text[ROOM];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CHECK_EQ(unpack_pieces((const uint8_t *)texts[i], strlen(texts[i]), 1, text, &why), 0);
        CHECK_STR(text, texts[i]);
    }
    CHECK_EQ(unpack_pieces((const uint8_t *)"", 0, 1, text, &why), -EINVAL);
    CHECK_STR(why.text, "the archive is empty");
}

TEST_MAIN
