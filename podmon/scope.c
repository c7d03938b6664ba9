/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/scope.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/path.h"

static const char SERVICE[] = "org.freedesktop.systemd1";
static const char OBJECT[] = "/org/freedesktop/systemd1";
static const char MANAGER[] = "org.freedesktop.systemd1.Manager";
static const char PRIVATE_SOCKET[] = "unix:path=/run/systemd/private";

enum {
    /* "systemctl stop" sends SIGTERM to all processes of the scope, podmon among them, which then
     * stops its pod; what is left after this is killed. KillMode=mixed would spare the containers
     * the SIGTERM, but a scope has no main process: systemd 252 then kills all of them at once. */
    TIMEOUT_STOP_SECONDS = 10,
    MICROSECONDS = 1000000,
};

/* The part of sd-bus that serves here. */
#define FUNCTIONS(X)                                                                               \
    X(sd_bus_open_system)                                                                          \
    X(sd_bus_new)                                                                                  \
    X(sd_bus_set_address)                                                                          \
    X(sd_bus_start)                                                                                \
    X(sd_bus_set_method_call_timeout)                                                              \
    X(sd_bus_match_signal)                                                                         \
    X(sd_bus_message_new_method_call)                                                              \
    X(sd_bus_message_append)                                                                       \
    X(sd_bus_message_read)                                                                         \
    X(sd_bus_message_unref)                                                                        \
    X(sd_bus_call)                                                                                 \
    X(sd_bus_process)                                                                              \
    X(sd_bus_wait)                                                                                 \
    X(sd_bus_error_free)                                                                           \
    X(sd_bus_flush_close_unref)

typedef struct Library {
#define DECLARE(name) __typeof__(name) *name;
    FUNCTIONS(DECLARE)
#undef DECLARE
} Library;

typedef struct Session {
    Library library;
    sd_bus *bus;
    uint64_t deadline;
    const char *job; /* the path of the job waited for; owned by the reply that named it */
    char result[32]; /* of that job; empty: not yet */
} Session;

static int library_open(Library *ret, Failure *why)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define ROW(name) {#name, offsetof(Library, name)},
        FUNCTIONS(ROW)
#undef ROW
    };
    void *handle = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "libsystemd cannot be loaded: %s",
                           dlerror());
    /* Never closed: the worker that called ends with its answer. */
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(handle, functions[i].name);

        if (!function)
            return failure_say(why, FAILURE_FAILED_PRECONDITION, "libsystemd is too old: no %s",
                               functions[i].name);
        memcpy((char *)ret + functions[i].offset, &function, sizeof(function));
    }
    return 0;
}

/* Microseconds that are left, at least one: 0 would mean sd-bus's own default. */
static uint64_t time_left(const Session *session)
{
    uint64_t now = clock_monotonic();

    return now >= session->deadline ? 1 : (session->deadline - now) / 1000 + 1;
}

/* JobRemoved(u id, o job, s unit, s result) */
static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
    Session *session = data;
    const char *job, *unit, *result;
    uint32_t id;

    (void)error;
    if (session->library.sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) >= 0 &&
        session->job && strcmp(job, session->job) == 0)
        (void)stpncpy(session->result, result, sizeof(session->result) - 1);
    return 0;
}

/* Listening begins before the job does. Without a daemon between there is no sender to match. */
static int session_listen(Session *session, bool private)
{
    const Library *library = &session->library;
    int r = library->sd_bus_set_method_call_timeout(session->bus, time_left(session));

    if (r < 0)
        return r;
    return library->sd_bus_match_signal(session->bus, NULL, private ? NULL : SERVICE, OBJECT,
                                        MANAGER, "JobRemoved", on_job_removed, session);
}

static void session_done(Session *session)
{
    if (session->bus)
        session->bus = session->library.sd_bus_flush_close_unref(session->bus);
}

static int session_open_private(Session *session)
{
    const Library *library = &session->library;
    int r = library->sd_bus_new(&session->bus);

    if (r >= 0)
        r = library->sd_bus_set_address(session->bus, PRIVATE_SOCKET);
    if (r >= 0)
        r = library->sd_bus_start(session->bus);
    return r < 0 ? r : session_listen(session, true);
}

/* The system bus, which gets half of the time, and without it systemd itself. */
static int session_open(Session *session, uint64_t deadline, Failure *why)
{
    int r = library_open(&session->library, why);

    if (r < 0)
        return r;
    session->deadline = clock_monotonic() + (deadline - clock_monotonic()) / 2;
    r = session->library.sd_bus_open_system(&session->bus);
    if (r >= 0)
        r = session_listen(session, false);
    session->deadline = deadline;
    if (r < 0) {
        session_done(session);
        r = session_open_private(session);
    }
    if (r == -ETIMEDOUT)
        return failure_set(why, FAILURE_DEADLINE_EXCEEDED, -r, "systemd does not answer");
    if (r < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -r, "systemd cannot be reached");
    return 0;
}

static int wait_for_job(Session *session, const char *unit, Failure *why)
{
    while (!*session->result) {
        int r = session->library.sd_bus_process(session->bus, NULL);

        if (r == 0 && clock_monotonic() >= session->deadline)
            return failure_say(why, FAILURE_DEADLINE_EXCEEDED,
                               "systemd was not done with %s in time", unit);
        if (r == 0)
            r = session->library.sd_bus_wait(session->bus, time_left(session));
        if (r < 0 && r != -EINTR)
            return failure_set(why, FAILURE_UNAVAILABLE, -r, "lost systemd while it saw to %s",
                               unit);
    }
    if (strcmp(session->result, "done") == 0)
        return 0;
    return failure_say(why, FAILURE_INTERNAL, "systemd's job for %s ended as \"%s\"", unit,
                       session->result);
}

static int explain_refusal(const sd_bus_error *error, int r, const char *unit, Failure *why)
{
    if (error->name && strcmp(error->name, "org.freedesktop.systemd1.UnitExists") == 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "systemd has a unit %s already", unit);
    if (r == -ETIMEDOUT)
        return failure_set(why, FAILURE_DEADLINE_EXCEEDED, -r, "systemd does not answer for %s",
                           unit);
    return failure_say(why, FAILURE_INTERNAL, "systemd refuses %s: %s", unit,
                       error->message ? error->message : strerror(-r));
}

/* Sends the call, which answers with a job, and waits until that is done. 0; −ENOENT: no such unit
 * (nothing explained). */
static int session_call(Session *session, sd_bus_message *message, const char *unit, Failure *why)
{
    const Library *library = &session->library;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    int r = library->sd_bus_call(session->bus, message, time_left(session), &error, &reply);

    if (r >= 0)
        r = library->sd_bus_message_read(reply, "o", &session->job);
    if (r >= 0)
        r = wait_for_job(session, unit, why);
    else if (error.name && strcmp(error.name, "org.freedesktop.systemd1.NoSuchUnit") == 0)
        r = -ENOENT;
    else
        r = explain_refusal(&error, r, unit, why);
    session->job = NULL;
    (void)library->sd_bus_message_unref(reply);
    library->sd_bus_error_free(&error);
    return r;
}

/* Every property there ever is: none comes from a request. */
static int append_properties(const Library *library, sd_bus_message *message,
                             const Podmon__CgroupPlan *plan, pid_t pid)
{
    int r = library->sd_bus_message_append(
        message, "a(sv)", 7, "Description", "s", plan->description, "Slice", "s", plan->slice,
        "Delegate", "b", 1, "CollectMode", "s", "inactive-or-failed", "TimeoutStopUSec", "t",
        (uint64_t)TIMEOUT_STOP_SECONDS * MICROSECONDS, "TasksMax", "t", UINT64_MAX, "PIDs", "au", 1,
        (uint32_t)pid);

    return r < 0 ? r : library->sd_bus_message_append(message, "a(sa(sv))", 0);
}

static bool is_unit(const char *name, const char *suffix)
{
    size_t size = strlen(name), end = strlen(suffix);

    return path_is_name(name) && size > end && strcmp(name + size - end, suffix) == 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.-\\@") ==
               size;
}

static int check_plan(const Podmon__CgroupPlan *plan, Failure *why)
{
    if (!is_unit(plan->unit, ".scope"))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "unit: \"%s\" is no scope's name",
                           plan->unit);
    if (!is_unit(plan->slice, ".slice"))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "cgroup_parent: \"%s\" is no slice",
                           plan->slice);
    return 0;
}

int scope_start(const Podmon__CgroupPlan *plan, pid_t pid, uint64_t deadline, Failure *why)
{
    CLEANUP(session_done) Session session = {.bus = NULL};
    const Library *library = &session.library;
    sd_bus_message *message = NULL;
    int r = check_plan(plan, why);

    if (r == 0)
        r = session_open(&session, deadline, why);
    if (r < 0)
        return r;
    r = library->sd_bus_message_new_method_call(session.bus, &message, SERVICE, OBJECT, MANAGER,
                                                "StartTransientUnit");
    if (r >= 0)
        r = library->sd_bus_message_append(message, "ss", plan->unit, "fail");
    if (r >= 0)
        r = append_properties(library, message, plan, pid);
    if (r < 0)
        r = failure_set(why, FAILURE_INTERNAL, -r, "cannot ask systemd for %s", plan->unit);
    else
        r = session_call(&session, message, plan->unit, why);
    (void)library->sd_bus_message_unref(message);
    return r;
}

int scope_stop(const char *unit, uint64_t deadline, Failure *why)
{
    CLEANUP(session_done) Session session = {.bus = NULL};
    const Library *library = &session.library;
    sd_bus_message *message = NULL;
    int r;

    if (!is_unit(unit, ".scope"))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "unit: \"%s\" is no scope's name", unit);
    r = session_open(&session, deadline, why);
    if (r < 0)
        return r;
    r = library->sd_bus_message_new_method_call(session.bus, &message, SERVICE, OBJECT, MANAGER,
                                                "StopUnit");
    if (r >= 0)
        r = library->sd_bus_message_append(message, "ss", unit, "replace");
    if (r < 0)
        r = failure_set(why, FAILURE_INTERNAL, -r, "cannot ask systemd to stop %s", unit);
    else
        r = session_call(&session, message, unit, why);
    (void)library->sd_bus_message_unref(message);
    return r == -ENOENT ? 0 : r;
}
