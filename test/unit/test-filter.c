/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/filter.h"

#include "test/unit/fields.h"
#include "test/unit/test.h"

#define POD_ID "aaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CONTAINER_ID "cccccccccccccccccccccccccccccccccccccccaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char POD[] = "phase=1|spec.id=" POD_ID
                          "|spec.labels[0].key=app|spec.labels[0].value=web"
                          "|spec.labels[1].key=tier|spec.labels[1].value=";
static const char CONTAINER[] =
    "phase=1|spec.id=" CONTAINER_ID "|spec.labels[0].key=app|spec.labels[0].value=db";

typedef struct FilterCase {
    const char *filter;
    bool passes;
} FilterCase;

static const FilterCase POD_CASES[] = {
    {"", true},
    {"id=" POD_ID, true},
    {"id=aaaa", true},
    {"id=aaab", false},
    {"id=" POD_ID "0", false},
    {"id=../aaaa", false},
    {"state.state=0", true},
    {"state.state=1", false},
    {"label_selector[0].key=app|label_selector[0].value=web", true},
    {"label_selector[0].key=app|label_selector[0].value=we", false},
    {"label_selector[0].key=app|label_selector[0].value=", false},
    {"label_selector[0].key=tier|label_selector[0].value=", true},
    {"label_selector[0].key=none|label_selector[0].value=", false},
    {"label_selector[0].key=app|label_selector[0].value=web|label_selector[1].key=tier", true},
    {"label_selector[0].key=app|label_selector[0].value=web|label_selector[1].key=none", false},
    {"id=aa|state.state=0|label_selector[0].key=app|label_selector[0].value=web", true},
    {"id=aa|state.state=1|label_selector[0].key=app|label_selector[0].value=web", false},
    {"id=ab|state.state=0|label_selector[0].key=app|label_selector[0].value=web", false},
};

static const FilterCase CONTAINER_CASES[] = {
    {"", true},
    {"id=" CONTAINER_ID, true},
    {"id=ccc", true},
    {"id=ccd", false},
    {"pod_sandbox_id=" POD_ID, true},
    {"pod_sandbox_id=aaaaaaaaaaaa", true},
    {"pod_sandbox_id=cc", false},
    {"state.state=1", true},
    {"state.state=0", false},
    {"state.state=2", false},
    {"state.state=3", false},
    {"label_selector[0].key=app|label_selector[0].value=db", true},
    {"label_selector[0].key=app|label_selector[0].value=web", false},
    {"id=cc|pod_sandbox_id=aa|state.state=1", true},
    {"id=cc|pod_sandbox_id=bb|state.state=1", false},
};

static Podmon__PodRecord *make_pod(Arena *arena)
{
    Podmon__PodRecord *pod = arena_alloc(arena, sizeof(*pod));

    podmon__pod_record__init(pod);
    fields_set(arena, &pod->base, POD);
    return pod;
}

static Podmon__ContainerRecord *make_container(Arena *arena)
{
    Podmon__ContainerRecord *container = arena_alloc(arena, sizeof(*container));

    podmon__container_record__init(container);
    fields_set(arena, &container->base, CONTAINER);
    return container;
}

TEST(pods)
{
    for (size_t i = 0; i < sizeof(POD_CASES) / sizeof(POD_CASES[0]); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Runtime__V1__PodSandboxFilter filter = RUNTIME__V1__POD_SANDBOX_FILTER__INIT;

        fields_set(arena, &filter.base, POD_CASES[i].filter);
        if (filter_pod(&filter, make_pod(arena)) != POD_CASES[i].passes)
            printf("  case \"%s\"\n", POD_CASES[i].filter);
        CHECK_EQ(filter_pod(&filter, make_pod(arena)), POD_CASES[i].passes);
    }
}

TEST(containers)
{
    for (size_t i = 0; i < sizeof(CONTAINER_CASES) / sizeof(CONTAINER_CASES[0]); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Runtime__V1__ContainerFilter filter = RUNTIME__V1__CONTAINER_FILTER__INIT;
        bool passes;

        fields_set(arena, &filter.base, CONTAINER_CASES[i].filter);
        passes = filter_container(&filter, make_pod(arena), make_container(arena));
        if (passes != CONTAINER_CASES[i].passes)
            printf("  case \"%s\"\n", CONTAINER_CASES[i].filter);
        CHECK_EQ(passes, CONTAINER_CASES[i].passes);
    }
}

TEST(no_filter_lets_everything_pass)
{
    AUTO_ARENA Arena *arena = arena_new();

    CHECK(filter_pod(NULL, make_pod(arena)));
    CHECK(filter_container(NULL, make_pod(arena), make_container(arena)));
}

/* Whatever is not READY is NOTREADY, also a pod that still starts. */
TEST(states_of_pods_that_are_not_ready)
{
    for (int phase = PODMON__POD_PHASE__POD_STARTING; phase <= PODMON__POD_PHASE__POD_REMOVING;
         phase++) {
        AUTO_ARENA Arena *arena = arena_new();
        Runtime__V1__PodSandboxFilter filter = RUNTIME__V1__POD_SANDBOX_FILTER__INIT;
        Podmon__PodRecord *pod = make_pod(arena);

        pod->phase = (Podmon__PodPhase)phase;
        fields_set(arena, &filter.base, "state.state=1");
        CHECK_EQ(filter_pod(&filter, pod), phase != PODMON__POD_PHASE__POD_READY);
    }
}

TEST_MAIN
