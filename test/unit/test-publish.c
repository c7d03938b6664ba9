/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "podmon/publish.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/record.h"
#include "shared/text.h"
#include "test/unit/test.h"

static Podmon__PodRecord *record_new(void)
{
    Podmon__PodRecord *record = malloc(sizeof(*record));

    podmon__pod_record__init(record);
    return record;
}

TEST(fields_are_replaced)
{
    Podmon__PodRecord *record = record_new();
    char **list = NULL;

    CHECK_EQ(record_set_text(&record->failure, "one"), 0);
    CHECK_EQ(record_set_text(&record->failure, "two"), 0);
    CHECK_STR(record->failure, "two");
    CHECK_EQ(record_set_bytes(&record->network_result, "{}", 2), 0);
    AUTO_FREE char *result = record_copy_text(&record->network_result);
    CHECK_STR(result, "{}");
    CHECK_EQ(text_list_add(&list, "10.0.0.1"), 0);
    record_set_list(&record->ips, &record->n_ips, list);
    list = NULL;
    CHECK_EQ(text_list_add(&list, "10.0.0.2"), 0);
    CHECK_EQ(text_list_add(&list, "fd00::2"), 0);
    record_set_list(&record->ips, &record->n_ips, list);
    CHECK_EQ(record->n_ips, 2);
    CHECK_EQ(record_set_process(&record->init, 7, 8), 0);
    CHECK_EQ(record->init->start_time, 8);
    CHECK_EQ(record_set_process(&record->init, 0, 0), 0);
    CHECK(record->init == NULL);
    podmon__pod_record__free_unpacked(record, NULL);
}

TEST(containers_come_and_go)
{
    Podmon__PodRecord *record = record_new();
    Podmon__ContainerRecord *containers[3];

    for (int i = 0; i < 3; i++) {
        containers[i] = malloc(sizeof(*containers[i]));
        podmon__container_record__init(containers[i]);
        CHECK_EQ(record_add_container(record, containers[i]), 0);
    }
    record_drop_container(record, containers[1]);
    CHECK_EQ(record->n_containers, 2);
    CHECK(record->containers[0] == containers[0] && record->containers[1] == containers[2]);
    podmon__pod_record__free_unpacked(record, NULL);
}

TEST(both_places_have_it)
{
    char directory[] = "/tmp/podmon-publish-XXXXXX";
    Podmon__PodRecord *record = record_new();
    Failure why = {0};
    ProtobufCMessage *found = NULL;

    CHECK(mkdtemp(directory) != NULL);
    AUTO_CLOSE int run_fd = file_open_directory_at(AT_FDCWD, directory, 0700);
    AUTO_CLOSE int root_fd = file_open_directory_at(run_fd, "root", 0700);
    CHECK_EQ(publish_record(run_fd, record, &why), 0);
    CHECK_EQ(publish_record(run_fd, record, &why), 0);
    CHECK_EQ(publish_copy(root_fd, record, &why), 0);
    CHECK_EQ(record_read_at(root_fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL, &found),
             0);
    CHECK_EQ(((Podmon__PodRecord *)found)->sequence, 2);
    protobuf_c_message_free_unpacked(found, NULL);
    CHECK(publish_copy(-1, record, &why) < 0);
    CHECK(why.code != FAILURE_NONE && strstr(why.text, "copy"));
    podmon__pod_record__free_unpacked(record, NULL);
    (void)file_delete_tree_at(AT_FDCWD, directory);
}

TEST_MAIN
