/* SPDX-License-Identifier: Apache-2.0 */
/* Every cell of both tables. A letter: d do and stay, j join, = done, ! refuse, . impossible;
 * a digit: do, and the state becomes that one. */
#include "podmon/lifecycle.h"
#include "test/unit/test.h"

static char cell(const LifecycleStep *step, int state)
{
    if (!step)
        return '.';
    if (step->verdict != LIFECYCLE_DO && step->next != state)
        return '?';
    switch (step->verdict) {
    case LIFECYCLE_DO:
        return step->next == state ? 'd' : (char)('0' + step->next);
    case LIFECYCLE_JOIN:
        return 'j';
    case LIFECYCLE_DONE:
        return '=';
    case LIFECYCLE_REFUSE:
        return '!';
    }
    return '?';
}

TEST(container)
{
    /* start stop remove exec reopen update | started ended settled */
    static const char *const expected[] = {
        [CONTAINER_STATE_CREATED] = "1=d!!d...", [CONTAINER_STATE_STARTING] = "jjj!!d23.",
        [CONTAINER_STATE_RUNNING] = "!jjddd.3.", [CONTAINER_STATE_ENDING] = "!jj!!!..4",
        [CONTAINER_STATE_EXITED] = "!=d!!!...",
    };

    for (int state = 0; state < CONTAINER_STATES; state++) {
        char row[CONTAINER_EVENTS + 1] = "";
        for (int event = 0; event < CONTAINER_EVENTS; event++)
            row[event] =
                cell(lifecycle_container((ContainerState)state, (ContainerEvent)event), state);
        CHECK_STR(row, expected[state]);
    }
}

TEST(pod)
{
    /* run stop remove create use end | started start-failed stopped */
    static const char *const expected[] = {
        [POD_STATE_STARTING] = "jjj!!d15.", [POD_STATE_READY] = "=22ddd...",
        [POD_STATE_STOPPING] = "!jj!!d..3", [POD_STATE_STOPPED] = "!=4!!d...",
        [POD_STATE_REMOVING] = "!=d!!=...", [POD_STATE_FAILED] = "!==!!=...",
    };

    for (int state = 0; state < POD_STATES; state++) {
        char row[POD_EVENTS + 1] = "";
        for (int event = 0; event < POD_EVENTS; event++)
            row[event] = cell(lifecycle_pod((PodState)state, (PodEvent)event), state);
        CHECK_STR(row, expected[state]);
    }
}

/* A request is answered in every state; only our own events can be impossible. */
TEST(requests_are_always_possible)
{
    for (int state = 0; state < CONTAINER_STATES; state++)
        for (int event = CONTAINER_EVENT_START; event <= CONTAINER_EVENT_UPDATE; event++)
            CHECK(lifecycle_container((ContainerState)state, (ContainerEvent)event) != NULL);
    for (int state = 0; state < POD_STATES; state++)
        for (int event = POD_EVENT_RUN; event <= POD_EVENT_END; event++)
            CHECK(lifecycle_pod((PodState)state, (PodEvent)event) != NULL);
}

/* An end is published only when it is complete. */
TEST(phases)
{
    CHECK_EQ(lifecycle_container_phase(CONTAINER_STATE_STARTING),
             PODMON__CONTAINER_PHASE__CONTAINER_CREATED);
    CHECK_EQ(lifecycle_container_phase(CONTAINER_STATE_ENDING),
             PODMON__CONTAINER_PHASE__CONTAINER_RUNNING);
    CHECK_EQ(lifecycle_container_phase(CONTAINER_STATE_EXITED),
             PODMON__CONTAINER_PHASE__CONTAINER_EXITED);
    CHECK_EQ(lifecycle_pod_phase(POD_STATE_READY), PODMON__POD_PHASE__POD_READY);
    CHECK_STR(lifecycle_container_name(CONTAINER_STATE_ENDING), "ending");
    CHECK_STR(lifecycle_pod_name(POD_STATE_FAILED), "failed");
}

TEST_MAIN
