/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/record.h"

enum {
    INDEX_UNKNOWN_EXIT_CODE = 255, /* of a container whose end nobody saw */
    INDEX_EVENTS_SIZE = 64 * 1024,
};

/* A pod's directory, whether its record can be shown or not. */
typedef struct Entry {
    Pod pod; /* record NULL: not readable */
    char id[ID_SIZE];
    int watch;   /* inotify's; −1: none */
    bool in_run; /* or known only from ROOT */
    bool changed;
    bool complained;
    bool found; /* by the scan under way */
} Entry;

struct PodIndex {
    char run_pods[PATH_MAX];
    char root_pods[PATH_MAX];
    char boot_id[LAYOUT_BOOT_ID_SIZE];
    int inotify_fd;
    int pods_watch;
    bool incomplete; /* there may be pods that a scan was too short of means to find */
    Entry **entries;
    size_t entries_count, entries_capacity;
    const Pod **shown; /* by age */
    size_t shown_count;
    uint64_t generation;
    PodIndexChange on_change;
    void *on_change_data;
    PodObserver observer; /* or NULL */
    void *observer_data;
};

static Entry *entry_find(const PodIndex *index, const char *id)
{
    for (size_t i = 0; i < index->entries_count; i++)
        if (strcmp(index->entries[i]->id, id) == 0)
            return index->entries[i];
    return NULL;
}

static Entry *entry_find_watch(const PodIndex *index, int watch)
{
    for (size_t i = 0; i < index->entries_count; i++)
        if (index->entries[i]->watch == watch)
            return index->entries[i];
    return NULL;
}

/* What clients see of a record. */
static const Podmon__PodRecord *visible(const Podmon__PodRecord *record)
{
    return record && record->phase != PODMON__POD_PHASE__POD_REMOVING ? record : NULL;
}

/* `record` may be NULL; the entry owns it from then on. */
static void entry_set_record(const PodIndex *index, Entry *entry, Podmon__PodRecord *record)
{
    Podmon__PodRecord *before = (Podmon__PodRecord *)entry->pod.record;

    entry->pod.record = record;
    if (index->on_change && (visible(before) || visible(record)))
        index->on_change(index->on_change_data, visible(before), visible(record));
    if (before)
        podmon__pod_record__free_unpacked(before, NULL);
}

static void tell_observer(const PodIndex *index, const char *id, const Pod *pod)
{
    if (index->observer)
        index->observer(index->observer_data, id, pod);
}

static void entry_remove(PodIndex *index, Entry *entry)
{
    for (size_t i = 0; i < index->entries_count; i++)
        if (index->entries[i] == entry)
            index->entries[i] = index->entries[--index->entries_count];
    if (entry->watch >= 0)
        (void)inotify_rm_watch(index->inotify_fd, entry->watch);
    tell_observer(index, entry->id, NULL);
    entry_set_record(index, entry, NULL);
    free(entry);
    index->generation++;
}

static int entry_add(PodIndex *index, const char *id, Entry **ret)
{
    Entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return -ENOMEM;
    if (index->entries_count == index->entries_capacity) {
        size_t capacity = index->entries_capacity ? index->entries_capacity * 2 : 64;
        Entry **entries = realloc(index->entries, capacity * sizeof(*entries));

        if (!entries) {
            free(entry);
            return -ENOMEM;
        }
        index->entries = entries;
        index->entries_capacity = capacity;
    }
    memcpy(entry->id, id, ID_SIZE);
    entry->watch = -1;
    entry->changed = true;
    index->entries[index->entries_count++] = entry;
    *ret = entry;
    return 0;
}

/* Strings of a decoded record are malloc'ed, or the shared empty string. */
static void replace_string(char **field, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return;
    if (*field != (const char *)protobuf_c_empty_string)
        free(*field);
    *field = copy;
}

/* Nothing of an earlier boot runs, whatever its last record says. */
static void age_record(Podmon__PodRecord *record)
{
    if (record->phase != PODMON__POD_PHASE__POD_REMOVING)
        record->phase = PODMON__POD_PHASE__POD_STOPPED;
    for (size_t i = 0; i < record->n_containers; i++) {
        Podmon__ContainerRecord *container = record->containers[i];

        if (container->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
            continue;
        container->phase = PODMON__CONTAINER_PHASE__CONTAINER_EXITED;
        container->exit_code = INDEX_UNKNOWN_EXIT_CODE;
        container->finished_at = container->started_at;
        replace_string(&container->reason, "Unknown");
        replace_string(&container->message, "the machine was restarted");
    }
}

/* What every reader of a record relies on. */
static bool is_complete(const Podmon__PodRecord *record, const char *id)
{
    if (!record->spec || !record->spec->name || strcmp(record->spec->id, id) != 0)
        return false;
    for (size_t i = 0; i < record->n_containers; i++)
        if (!record->containers[i]->spec || !id_is_valid(record->containers[i]->spec->id))
            return false;
    return true;
}

static int read_record(const char *base, const char *id, Podmon__PodRecord **ret)
{
    ProtobufCMessage *message = NULL;
    Podmon__PodRecord *record;
    AUTO_CLOSE int fd = -1;
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s/%s", base, id) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = record_read_at(fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL, &message);
    if (r < 0)
        return r;
    record = (Podmon__PodRecord *)message;
    if (!is_complete(record, id)) {
        podmon__pod_record__free_unpacked(record, NULL);
        return -EBADMSG;
    }
    *ret = record;
    return 0;
}

/* The file is there, and is no record. */
static bool is_damage(int r)
{
    return r == -EBADMSG || r == -EFBIG || r == -EINVAL || r == -EISDIR || r == -ELOOP;
}

/* The copy in ROOT serves where the record is damaged, as it does for podmon. A record that cannot
 * be read, nor its copy, hides the pod from clients, not from administrators: it is logged
 * once, and its directory stays. */
static void entry_load(PodIndex *index, Entry *entry)
{
    const char *base = entry->in_run ? index->run_pods : index->root_pods;
    Podmon__PodRecord *record = NULL;
    int r = read_record(base, entry->id, &record);

    /* What the machine is short of now there may be at the next look. */
    if (r < 0 && r != -ENOENT && !is_damage(r))
        return;
    entry->changed = false;
    index->generation++;
    if (is_damage(r) && read_record(index->root_pods, entry->id, &record) == 0)
        r = 0;
    if (r < 0) {
        if (r != -ENOENT && !entry->complained)
            log_error("The record of pod %s cannot be read: %s. The pod is left out of every list.",
                      entry->id, strerror(-r));
        entry->complained = r != -ENOENT;
        entry_set_record(index, entry, NULL);
        tell_observer(index, entry->id, &entry->pod);
        return;
    }
    entry->complained = false;
    entry->pod.stale = strcmp(record->boot_id, index->boot_id) != 0;
    if (entry->pod.stale)
        age_record(record);
    entry_set_record(index, entry, record);
    tell_observer(index, entry->id, &entry->pod);
}

/* A directory of RUN takes the place of what ROOT said of the same pod. One that cannot be watched
 * (there is a limit to watches) is read anew at every look. */
static void entry_appear(PodIndex *index, const char *id)
{
    char path[PATH_MAX];
    Entry *entry = entry_find(index, id);

    if (!entry && entry_add(index, id, &entry) < 0) {
        index->incomplete = true;
        return;
    }
    entry->changed = true;
    entry->in_run = true;
    if (entry->watch >= 0 ||
        snprintf(path, sizeof(path), "%s/%s", index->run_pods, id) >= (int)sizeof(path))
        return;
    entry->watch = inotify_add_watch(index->inotify_fd, path,
                                     IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
    if (entry->watch < 0 && (errno == ENOENT || errno == ENOTDIR))
        entry_remove(index, entry);
}

/* False if there may be more than could be read. */
static bool scan(PodIndex *index, const char *directory, bool run)
{
    DIR *stream = opendir(directory);
    struct dirent *item;
    Entry *entry;
    bool complete;

    if (!stream)
        return errno == ENOENT;
    while ((errno = 0, item = readdir(stream))) {
        if (!id_is_valid(item->d_name))
            continue;
        if (run)
            entry_appear(index, item->d_name);
        else if (!entry_find(index, item->d_name) && entry_add(index, item->d_name, &entry) < 0)
            index->incomplete = true;
        entry = entry_find(index, item->d_name);
        if (entry)
            entry->found = true;
    }
    complete = errno == 0;
    (void)closedir(stream);
    return complete;
}

/* Whatever inotify had to say: every record is read again, and what is not found is gone. */
static void scan_all(PodIndex *index)
{
    bool run_complete, root_complete;

    for (size_t i = 0; i < index->entries_count; i++) {
        index->entries[i]->found = false;
        index->entries[i]->changed = true;
    }
    index->incomplete = false;
    run_complete = scan(index, index->run_pods, true);
    root_complete = scan(index, index->root_pods, false);
    if (!run_complete || !root_complete) {
        index->incomplete = true; /* Nothing is known to be gone. */
        return;
    }
    for (size_t i = index->entries_count; i > 0; i--)
        if (!index->entries[i - 1]->found)
            entry_remove(index, index->entries[i - 1]);
}

static void take_event(PodIndex *index, const struct inotify_event *event)
{
    Entry *entry;

    if (event->mask & IN_Q_OVERFLOW) {
        scan_all(index);
    } else if (event->wd == index->pods_watch) {
        if (event->len == 0 || !id_is_valid(event->name))
            return;
        entry = entry_find(index, event->name);
        if (event->mask & (IN_CREATE | IN_MOVED_TO))
            entry_appear(index, event->name);
        else if (entry)
            entry_remove(index, entry);
    } else {
        entry = entry_find_watch(index, event->wd);
        if (entry && event->len > 0 && strcmp(event->name, LAYOUT_STATE) == 0)
            entry->changed = true;
    }
}

static void take_events(PodIndex *index)
{
    _Alignas(struct inotify_event) char buffer[INDEX_EVENTS_SIZE];
    ssize_t size;

    while ((size = read(index->inotify_fd, buffer, sizeof(buffer))) > 0) {
        const char *at = buffer;

        while (at < buffer + size) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;

            take_event(index, event);
            at += sizeof(*event) + event->len;
        }
    }
}

static int compare_age(const void *left, const void *right)
{
    const Podmon__PodRecord *a = (*(const Pod *const *)left)->record;
    const Podmon__PodRecord *b = (*(const Pod *const *)right)->record;

    if (a->created_at != b->created_at)
        return a->created_at < b->created_at ? -1 : 1;
    return strcmp(a->spec->id, b->spec->id);
}

static void choose_shown(PodIndex *index)
{
    const Pod **shown = calloc(index->entries_count + 1, sizeof(*shown));

    if (!shown)
        abort(); /* the dispatcher holds nothing: it starts again */
    free(index->shown);
    index->shown = shown;
    index->shown_count = 0;
    for (size_t i = 0; i < index->entries_count; i++) {
        const Pod *pod = &index->entries[i]->pod;

        if (visible(pod->record))
            shown[index->shown_count++] = pod;
    }
    qsort(shown, index->shown_count, sizeof(*shown), compare_age);
}

void pod_index_sync(PodIndex *index)
{
    uint64_t before = index->generation;

    take_events(index);
    if (index->incomplete)
        scan_all(index);
    for (size_t i = index->entries_count; i > 0; i--)
        if (index->entries[i - 1]->in_run && index->entries[i - 1]->watch < 0)
            entry_appear(index, index->entries[i - 1]->id);
    for (size_t i = 0; i < index->entries_count; i++)
        if (index->entries[i]->changed)
            entry_load(index, index->entries[i]);
    if (index->generation != before)
        choose_shown(index);
}

static int join(char *ret, const char *base)
{
    return snprintf(ret, PATH_MAX, "%s/" LAYOUT_PODS, base) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int index_open(PodIndex *index, const char *run_dir, const char *root_dir)
{
    int r;

    r = layout_read_boot_id(index->boot_id);
    if (r >= 0)
        r = join(index->run_pods, run_dir);
    if (r >= 0)
        r = join(index->root_pods, root_dir);
    if (r >= 0)
        r = file_make_directories(index->run_pods, 0700);
    if (r < 0)
        return r;
    index->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (index->inotify_fd < 0)
        return -errno;
    index->pods_watch = inotify_add_watch(index->inotify_fd, index->run_pods,
                                          IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                                              IN_ONLYDIR | IN_EXCL_UNLINK);
    return index->pods_watch < 0 ? -errno : 0;
}

int pod_index_new(const char *run_dir, const char *root_dir, PodIndex **ret, Failure *why)
{
    PodIndex *index = calloc(1, sizeof(*index));
    int r;

    if (!index)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot watch the pods");
    index->inotify_fd = -1;
    r = index_open(index, run_dir, root_dir);
    if (r < 0) {
        (void)pod_index_free(index);
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot watch the pods in %s", run_dir);
    }
    scan_all(index);
    index->generation++;
    pod_index_sync(index);
    choose_shown(index);
    *ret = index;
    return 0;
}

PodIndex *pod_index_free(PodIndex *index)
{
    if (!index)
        return NULL;
    while (index->entries_count > 0)
        entry_remove(index, index->entries[0]);
    fd_close(&index->inotify_fd);
    free(index->entries);
    free(index->shown);
    free(index);
    return NULL;
}

uint64_t pod_index_generation(const PodIndex *index)
{
    return index->generation;
}

size_t pod_index_count(const PodIndex *index)
{
    return index->shown_count;
}

const Pod *pod_index_get(const PodIndex *index, size_t position)
{
    return index->shown[position];
}

void pod_index_observe(PodIndex *index, PodObserver observer, void *data)
{
    index->observer = observer;
    index->observer_data = data;
    for (size_t i = 0; i < index->entries_count; i++)
        if (!index->entries[i]->changed)
            tell_observer(index, index->entries[i]->id, &index->entries[i]->pod);
}

void pod_index_on_change(PodIndex *index, PodIndexChange function, void *data)
{
    index->on_change = function;
    index->on_change_data = data;
}

int pod_index_fd(const PodIndex *index)
{
    return index->inotify_fd;
}

int pod_index_find(const PodIndex *index, const char *prefix, const Pod **ret)
{
    size_t length = strlen(prefix);
    const Pod *found = NULL;

    if (!id_is_prefix(prefix))
        return -EINVAL;
    for (size_t i = 0; i < index->shown_count; i++) {
        if (strncmp(index->shown[i]->record->spec->id, prefix, length) != 0)
            continue;
        if (found)
            return -ENOTUNIQ;
        found = index->shown[i];
    }
    if (!found)
        return -ENOENT;
    *ret = found;
    return 0;
}

int pod_index_find_container(const PodIndex *index, const char *prefix, const Pod **ret_pod,
                             const Podmon__ContainerRecord **ret)
{
    size_t length = strlen(prefix);
    const Podmon__ContainerRecord *found = NULL;

    if (!id_is_prefix(prefix))
        return -EINVAL;
    for (size_t i = 0; i < index->shown_count; i++) {
        const Podmon__PodRecord *record = index->shown[i]->record;

        for (size_t j = 0; j < record->n_containers; j++) {
            if (strncmp(record->containers[j]->spec->id, prefix, length) != 0)
                continue;
            if (found)
                return -ENOTUNIQ;
            found = record->containers[j];
            *ret_pod = index->shown[i];
        }
    }
    if (!found)
        return -ENOENT;
    *ret = found;
    return 0;
}

int pod_index_find_name(const PodIndex *index, const Podmon__PodName *name, const Pod **ret)
{
    /* The newest: an older one of the same name can only be a stopped one. */
    for (size_t i = index->shown_count; i-- > 0;) {
        const Podmon__PodName *other = index->shown[i]->record->spec->name;

        if (other && other->attempt == name->attempt && strcmp(other->uid, name->uid) == 0 &&
            strcmp(other->name, name->name) == 0 &&
            strcmp(other->namespace_, name->namespace_) == 0) {
            *ret = index->shown[i];
            return 0;
        }
    }
    return -ENOENT;
}
