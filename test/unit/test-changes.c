/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/changes.h"

#include <stdio.h>
#include <string.h>

#include "test/unit/test.h"

enum { NOW = 99 };

static char POD_ID[] = "p", FIRST_ID[] = "a", SECOND_ID[] = "b";

typedef struct Example {
    Podmon__PodSpec pod_spec;
    Podmon__ContainerSpec specs[2];
    Podmon__ContainerRecord containers[2];
    Podmon__ContainerRecord *list[2];
    Podmon__PodRecord pod;
} Example;

/* `phases`: of containers "a", "b": 'c'reated, 'r'unning, 'e'xited, 'f'ailed to start, '-' none. */
static const Podmon__PodRecord *make(Example *example, Podmon__PodPhase phase, const char *phases)
{
    podmon__pod_spec__init(&example->pod_spec);
    podmon__pod_record__init(&example->pod);
    example->pod_spec.id = POD_ID;
    example->pod.spec = &example->pod_spec;
    example->pod.phase = phase;
    example->pod.created_at = 1;
    example->pod.containers = example->list;
    for (size_t i = 0; i < strlen(phases); i++) {
        Podmon__ContainerRecord *container = &example->containers[i];

        if (phases[i] == '-')
            continue;
        podmon__container_spec__init(&example->specs[i]);
        podmon__container_record__init(container);
        example->specs[i].id = i == 0 ? FIRST_ID : SECOND_ID;
        container->spec = &example->specs[i];
        container->created_at = 10;
        container->started_at = phases[i] == 'r' || phases[i] == 'e' ? 20 : 0;
        container->finished_at = phases[i] == 'e' || phases[i] == 'f' ? 30 : 0;
        container->phase = phases[i] == 'c'   ? PODMON__CONTAINER_PHASE__CONTAINER_CREATED
                           : phases[i] == 'r' ? PODMON__CONTAINER_PHASE__CONTAINER_RUNNING
                                              : PODMON__CONTAINER_PHASE__CONTAINER_EXITED;
        example->list[example->pod.n_containers++] = container;
    }
    return &example->pod;
}

/* "p:created@1 a:started@20 " */
static void check_changes(const Podmon__PodRecord *before, const Podmon__PodRecord *after,
                          const char *expected)
{
    static const char *const names[] = {"created", "started", "stopped", "deleted"};
    AUTO_ARENA Arena *arena = arena_new();
    char text[400] = "";
    size_t count, used = 0;
    const Change *changes = changes_between(arena, before, after, NOW, &count);

    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s:%s@%d ", changes[i].id,
                                 names[changes[i].type], (int)changes[i].at);
    CHECK_STR(text, expected);
}

#define STARTING PODMON__POD_PHASE__POD_STARTING
#define READY PODMON__POD_PHASE__POD_READY
#define STOPPING PODMON__POD_PHASE__POD_STOPPING
#define STOPPED PODMON__POD_PHASE__POD_STOPPED

TEST(one_step_at_a_time)
{
    Example one = {0}, two = {0};

    check_changes(NULL, make(&two, STARTING, ""), "p:created@1 ");
    check_changes(make(&one, STARTING, ""), make(&two, READY, ""), "p:started@99 ");
    check_changes(make(&one, READY, ""), make(&two, READY, "c"), "a:created@10 ");
    check_changes(make(&one, READY, "c"), make(&two, READY, "r"), "a:started@20 ");
    check_changes(make(&one, READY, "r"), make(&two, READY, "e"), "a:stopped@30 ");
    check_changes(make(&one, READY, "e"), make(&two, READY, ""), "a:deleted@99 ");
    check_changes(make(&one, READY, ""), make(&two, STOPPING, ""), "p:stopped@99 ");
    check_changes(make(&one, STOPPING, ""), make(&two, STOPPED, ""), "");
    check_changes(make(&one, STOPPED, ""), NULL, "p:deleted@99 ");
}

TEST(nothing_has_happened)
{
    Example one = {0}, two = {0};

    check_changes(make(&one, READY, "re"), make(&two, READY, "re"), "");
}

TEST(missed_steps_are_told)
{
    Example one = {0}, two = {0};

    check_changes(NULL, make(&two, READY, "e"),
                  "p:created@1 p:started@99 a:created@10 a:started@20 a:stopped@30 ");
    check_changes(make(&one, READY, "c"), make(&two, READY, "e"), "a:started@20 a:stopped@30 ");
    check_changes(make(&one, READY, "r-"), make(&two, READY, "-c"),
                  "b:created@10 a:stopped@99 a:deleted@99 ");
    check_changes(make(&one, READY, "r"), NULL,
                  "a:stopped@99 a:deleted@99 p:stopped@99 p:deleted@99 ");
}

TEST(what_could_not_start_was_not_started)
{
    Example one = {0}, two = {0};

    check_changes(make(&one, READY, "c"), make(&two, READY, "f"), "a:stopped@30 ");
    check_changes(make(&one, STARTING, ""), NULL, "p:stopped@99 p:deleted@99 ");
}

TEST_MAIN
