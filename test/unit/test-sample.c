/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "podmon/sample_group.h"
#include "podmon/sample_layer.h"
#include "shared/clock.h"
#include "test/unit/test.h"

TEST(number_behind_a_key)
{
    static const char text[] = "anon 4096\nfile 8192\ninactive_file 100\nfile_mapped 7\n";

    CHECK_EQ(sample_number(text, "anon"), 4096);
    CHECK_EQ(sample_number(text, "file"), 8192);
    CHECK_EQ(sample_number(text, "file_mapped"), 7);
    CHECK_EQ(sample_number(text, "inactive"), 0);
    CHECK_EQ(sample_number("", "anon"), 0);
}

TEST(pressure_with_both_lines)
{
    Podmon__PressureSample *pressure = sample_pressure(
        "some avg10=1.50 avg60=0.25 avg300=0.00 total=123456789\n"
        "full avg10=0.00 avg60=0.00 avg300=0.10 total=42\n");

    CHECK(pressure);
    CHECK_EQ(pressure->some->total, 123456789);
    CHECK(pressure->some->average_10 > 1.49 && pressure->some->average_10 < 1.51);
    CHECK_EQ(pressure->full->total, 42);
    podmon__pressure_sample__free_unpacked(pressure, NULL);
}

TEST(pressure_of_a_machine_without_full)
{
    Podmon__PressureSample *pressure =
        sample_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");

    CHECK(pressure);
    CHECK(!pressure->full);
    podmon__pressure_sample__free_unpacked(pressure, NULL);
    CHECK(!sample_pressure(""));
    CHECK(!sample_pressure("Operation not supported"));
}

TEST(input_and_output)
{
    Podmon__GroupSample sample = PODMON__GROUP_SAMPLE__INIT;
    uint64_t reads = 0, writes = 0;

    sample_io_v2(
        "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=5 dios=5\n"
        "8:16 rbytes=100 wbytes=0 rios=3 wios=0 dbytes=0 dios=0\n",
        &sample);
    CHECK_EQ(sample.read_bytes, 110);
    CHECK_EQ(sample.written_bytes, 20);
    CHECK_EQ(sample.reads, 4);
    CHECK_EQ(sample.writes, 2);
    sample_io_v1("8:0 Read 4096\n8:0 Write 512\n8:16 Read 4\nTotal 4612\n", &reads, &writes);
    CHECK_EQ(reads, 4100);
    CHECK_EQ(writes, 512);
}

TEST(rate_between_two_samples)
{
    Podmon__GroupSample sample = PODMON__GROUP_SAMPLE__INIT;

    sample.taken_at = 12 * (int64_t)CLOCK_SECOND;
    sample.cpu_usage = 5 * CLOCK_SECOND;
    sample_group_rate(&sample, 10 * (int64_t)CLOCK_SECOND, 4 * CLOCK_SECOND);
    CHECK(sample.cpu_rate_known);
    CHECK_EQ(sample.cpu_rate, CLOCK_SECOND / 2);
    /* The clock was set back, nothing was there before, or the counter began anew. */
    sample_group_rate(&sample, 13 * (int64_t)CLOCK_SECOND, 0);
    CHECK(!sample.cpu_rate_known);
    sample_group_rate(&sample, 0, 0);
    CHECK(!sample.cpu_rate_known);
    sample_group_rate(&sample, 10 * (int64_t)CLOCK_SECOND, 6 * CLOCK_SECOND);
    CHECK(!sample.cpu_rate_known);
}

TEST(layers_that_take_long_are_measured_rarely)
{
    Podmon__LayerSample last = PODMON__LAYER_SAMPLE__INIT;
    const uint64_t period = 10 * CLOCK_SECOND;
    const int64_t now = 1000 * (int64_t)CLOCK_SECOND;

    CHECK(sample_layer_is_due(NULL, period, now));
    last.taken_at = now - 9 * (int64_t)CLOCK_SECOND;
    CHECK(!sample_layer_is_due(&last, period, now));
    last.taken_at = now - 10 * (int64_t)CLOCK_SECOND;
    CHECK(sample_layer_is_due(&last, period, now));
    last.took = 2 * CLOCK_SECOND;
    CHECK(!sample_layer_is_due(&last, period, now));
    last.taken_at = now - 200 * (int64_t)CLOCK_SECOND;
    CHECK(sample_layer_is_due(&last, period, now));
    last.taken_at = now + 1;
    CHECK(sample_layer_is_due(&last, period, now));
}

TEST(a_workers_answer)
{
    Podmon__LayerSample *layer = NULL;

    CHECK_EQ(sample_layer_parse("4096 3 17", &layer), 0);
    CHECK_EQ(layer->bytes, 4096);
    CHECK_EQ(layer->inodes, 3);
    CHECK_EQ(layer->took, 17);
    podmon__layer_sample__free_unpacked(layer, NULL);
    CHECK(sample_layer_parse("", &layer) < 0);
}

TEST_MAIN
