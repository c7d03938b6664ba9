/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "podmon/logline.h"
#include "test/unit/test.h"

enum { OUTPUT_MAX = 4 * 1024 * 1024 };

static char output[OUTPUT_MAX];
static size_t output_size;
static LogLine line;
static LogBatch batch;

static void write_batch(void)
{
    for (int i = 0; i < batch.vectors_count; i++) {
        memcpy(output + output_size, batch.vectors[i].iov_base, batch.vectors[i].iov_len);
        output_size += batch.vectors[i].iov_len;
    }
    output[output_size] = '\0';
}

static void feed(const char *data, size_t size)
{
    for (size_t taken = 0; taken < size;) {
        logbatch_begin(&batch, &line, 1000000001);
        taken += logline_take(&line, data + taken, size - taken, &batch);
        write_batch();
    }
}

static void flush(void)
{
    logbatch_begin(&batch, &line, 1000000001);
    logline_flush(&line, &batch);
    write_batch();
}

static void begin(void)
{
    output_size = 0;
    output[0] = '\0';
    logline_init(&line, "stdout");
}

#define HEAD "1970-01-01T00:00:01.000000001Z stdout "

TEST(whole_lines)
{
    begin();
    feed("hello World\n\nx\n", 15);
    CHECK_STR(output, HEAD "F hello World\n" HEAD "F \n" HEAD "F x\n");
}

TEST(a_line_in_pieces)
{
    begin();
    feed("hel", 3);
    CHECK_STR(output, "");
    feed("lo", 2);
    feed("\nnext", 5);
    CHECK_STR(output, HEAD "F hello\n");
    flush();
    CHECK_STR(output, HEAD "F hello\n" HEAD "P next\n");
    flush();
    CHECK_STR(output, HEAD "F hello\n" HEAD "P next\n");
}

TEST(bytes_pass_through)
{
    begin();
    feed("a\0\xff\r\n", 5);
    CHECK_EQ(output_size, strlen(HEAD "F ") + 5);
    CHECK(memcmp(output + strlen(HEAD "F "), "a\0\xff\r\n", 5) == 0);
}

/* A line of `length` bytes and its LF, fed `step` bytes at a time: the records' content is at most
 * LOG_LINE_MAX, all but the last are P, and together they are the line. */
static bool line_is_split_well(size_t length, size_t step)
{
    char *data = malloc(length + 1);
    size_t position = 0, found = 0;
    bool ended = false;

    if (!data)
        return false;
    for (size_t i = 0; i < length; i++)
        data[i] = (char)('a' + i % 26);
    data[length] = '\n';
    begin();
    for (size_t i = 0; i < length + 1; i += step)
        feed(data + i, length + 1 - i < step ? length + 1 - i : step);
    while (position < output_size) {
        const char *content = output + position + strlen(HEAD) + 2;
        const char *end = memchr(content, '\n', output_size);
        size_t size = (size_t)(end - content);
        char tag = output[position + strlen(HEAD)];

        if (ended || size > LOG_LINE_MAX || memcmp(content, data + found, size) != 0)
            break;
        ended = tag == 'F';
        if (!ended && (tag != 'P' || size != LOG_LINE_MAX))
            break;
        found += size;
        position = (size_t)(end - output) + 1;
    }
    free(data);
    return ended && found == length && position == output_size;
}

TEST(long_lines)
{
    static const size_t lengths[] = {0,     1,     16383, 16384, 16385, 32767,
                                     32768, 32769, 49152, 65536, 100000};
    static const size_t steps[] = {1, 7, 4096, 16383, 16384, 16385, 70000, 200000};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
        for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++)
            if (!line_is_split_well(lengths[i], steps[j])) {
                printf("  length %zu, step %zu\n", lengths[i], steps[j]);
                CHECK(false);
            }
}

TEST(exactly_the_maximum_is_one_record)
{
    static char data[LOG_LINE_MAX + 1];

    memset(data, 'x', LOG_LINE_MAX);
    data[LOG_LINE_MAX] = '\n';
    begin();
    feed(data, LOG_LINE_MAX);
    CHECK_EQ(output_size, 0);
    feed(data + LOG_LINE_MAX, 1);
    CHECK_EQ(output_size, strlen(HEAD "F ") + LOG_LINE_MAX + 1);
    CHECK_EQ(output[strlen(HEAD)], 'F');
}

TEST(many_short_lines_fill_batches)
{
    static char data[16 * 1024];

    memset(data, '\n', sizeof(data));
    begin();
    feed(data, sizeof(data));
    CHECK_EQ(output_size, sizeof(data) * (strlen(HEAD "F ") + 1));
}

TEST_MAIN
