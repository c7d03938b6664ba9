/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/identity.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/number.h"
#include "shared/path.h"

enum {
    ID_MAX = INT32_MAX,
    FILE_SIZE_MAX = 1024 * 1024,
    LINES_MAX = 65536,
    LINE_SIZE = 4096,
    FIELDS_MAX = 7,
};

/* One line of passwd or group, cut at its colons. */
typedef struct Entry {
    char text[LINE_SIZE];
    const char *fields[FIELDS_MAX];
    size_t count;
} Entry;

typedef struct Reader {
    const char *next;
    size_t lines;
} Reader;

static bool parse_id(const char *text, uint32_t *ret)
{
    uint64_t value;

    if (*text == '-' || number_parse_unsigned(text, ID_MAX, &value) < 0)
        return false;
    *ret = (uint32_t)value;
    return true;
}

static void entry_split(Entry *entry)
{
    char *cursor = entry->text;

    entry->count = 0;
    while (entry->count < FIELDS_MAX) {
        entry->fields[entry->count++] = cursor;
        cursor = entry->count < FIELDS_MAX ? strchr(cursor, ':') : NULL;
        if (!cursor)
            return;
        *cursor++ = '\0';
    }
}

/* The next line that has at least `fields` fields. Lines that are longer than the bound are passed
 * over, as are comments. */
static bool reader_next(Reader *reader, size_t fields, Entry *entry)
{
    while (reader->next && *reader->next && reader->lines < LINES_MAX) {
        const char *line = reader->next;
        size_t length = strcspn(line, "\n");

        reader->lines++;
        reader->next = line[length] ? line + length + 1 : line + length;
        if (length >= LINE_SIZE || *line == '#')
            continue;
        memcpy(entry->text, line, length);
        entry->text[length] = '\0';
        entry_split(entry);
        if (entry->count >= fields)
            return true;
    }
    return false;
}

static void identity_add_group(Identity *identity, uint32_t gid)
{
    for (uint32_t i = 0; i < identity->groups_count; i++)
        if (identity->groups[i] == gid)
            return;
    if (identity->groups_count < IDENTITY_GROUPS_MAX)
        identity->groups[identity->groups_count++] = gid;
}

/* HOME goes into the environment, so a line with control bytes in it is as good as none. */
static void identity_set_home(Identity *identity, const char *home)
{
    if (*home != '/' || strlen(home) >= sizeof(identity->home))
        return;
    for (const char *byte = home; *byte; byte++)
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f)
            return;
    memcpy(identity->home, home, strlen(home) + 1);
}

/* Finds the user by name, or else by number. *ret_name receives the name that /etc/group knows the
 * user by; empty if passwd has none. */
static int find_user(const char *user, bool must_exist, const char *passwd, Identity *identity,
                     char ret_name[LINE_SIZE], Failure *why)
{
    uint32_t number = 0, uid, gid;
    bool is_number = parse_id(user, &number);
    Reader reader = {passwd, 0};
    Entry entry;

    ret_name[0] = '\0';
    while (reader_next(&reader, 6, &entry)) {
        if (!parse_id(entry.fields[2], &uid) || !parse_id(entry.fields[3], &gid))
            continue;
        if (is_number ? uid != number : strcmp(entry.fields[0], user) != 0)
            continue;
        identity->uid = uid;
        identity->gid = gid;
        identity_set_home(identity, entry.fields[5]);
        memcpy(ret_name, entry.fields[0], strlen(entry.fields[0]) + 1);
        return 0;
    }
    if (!is_number)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "user \"%s\" is not in the image's /etc/passwd", user);
    if (must_exist)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "user %s is not in the image's /etc/passwd", user);
    identity->uid = number;
    identity->gid = 0;
    return 0;
}

static int find_group(const char *name, const char *group, uint32_t *ret, Failure *why)
{
    Reader reader = {group, 0};
    Entry entry;

    if (parse_id(name, ret))
        return 0;
    while (reader_next(&reader, 3, &entry))
        if (strcmp(entry.fields[0], name) == 0 && parse_id(entry.fields[2], ret))
            return 0;
    return failure_say(why, FAILURE_INVALID_ARGUMENT,
                       "group \"%s\" is not in the image's /etc/group", name);
}

static bool list_has(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *item = list; *item; item += strcspn(item, ","), item += *item == ',')
        if (strcspn(item, ",") == length && memcmp(item, name, length) == 0)
            return true;
    return false;
}

static void merge_groups(const char *name, const char *group, Identity *identity)
{
    Reader reader = {group, 0};
    Entry entry;
    uint32_t gid;

    if (!*name)
        return;
    while (reader_next(&reader, 4, &entry))
        if (list_has(entry.fields[3], name) && parse_id(entry.fields[2], &gid))
            identity_add_group(identity, gid);
}

/* An image says "user" or "user:group" in one string. */
static int split_user(const Podmon__UserPlan *plan, char ret_user[LINE_SIZE],
                      char ret_group[LINE_SIZE], Failure *why)
{
    const char *colon = strchr(plan->user, ':');
    const char *group = *plan->group || !colon ? plan->group : colon + 1;
    size_t length = colon ? (size_t)(colon - plan->user) : strlen(plan->user);

    if (length >= LINE_SIZE || strlen(group) >= LINE_SIZE || strchr(group, ':') ||
        (colon && !colon[1]))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "user \"%.200s\" is not of the form USER or USER:GROUP", plan->user);
    memcpy(ret_user, plan->user, length);
    ret_user[length] = '\0';
    memcpy(ret_group, group, strlen(group) + 1);
    return 0;
}

/* A string of digits is a number or nothing: it must never be looked up as a name, and a number
 * that does not fit must never wrap. */
static int check_number(const char *what, const char *text, Failure *why)
{
    size_t digits = strspn(text, "-+0123456789");
    uint32_t number;

    if (!*text || text[digits] || parse_id(text, &number))
        return 0;
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s \"%.200s\" is not a number from 0 to %d",
                       what, text, ID_MAX);
}

int identity_resolve(const Podmon__UserPlan *plan, const char *passwd, const char *group,
                     Identity *ret, Failure *why)
{
    Identity identity = {.home = "/"};
    char user[LINE_SIZE], group_name[LINE_SIZE], name[LINE_SIZE];
    int r;

    r = split_user(plan, user, group_name, why);
    if (r < 0)
        return r;
    if ((r = check_number("user", user, why)) < 0 ||
        (r = check_number("group", group_name, why)) < 0)
        return r;
    r = find_user(*user ? user : "0", plan->must_exist, passwd, &identity, name, why);
    if (r < 0)
        return r;
    if (*group_name) {
        r = find_group(group_name, group, &identity.gid, why);
        if (r < 0)
            return r;
    }

    identity_add_group(&identity, identity.gid);
    for (size_t i = 0; i < plan->n_supplemental_groups; i++) {
        uint32_t gid = plan->supplemental_groups[i];

        if (gid > ID_MAX)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "supplemental group %u is not a number from 0 to %d", gid, ID_MAX);
        if (identity.groups_count == IDENTITY_GROUPS_MAX)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "more than %d supplemental groups",
                               IDENTITY_GROUPS_MAX - 1);
        identity_add_group(&identity, gid);
    }
    if (plan->policy == PODMON__GROUPS_POLICY__GROUPS_MERGE)
        merge_groups(name, group, &identity);
    *ret = identity;
    return 0;
}

/* *ret stays NULL when the image has no such file. */
static int read_in_root(int root_fd, const char *path, char **ret, Failure *why)
{
    AUTO_CLOSE int fd = -1;
    AUTO_FREE char *data = NULL;
    struct stat status;
    ssize_t size;

    fd = path_open_in_root(root_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
        return 0;
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot open the image's %s", path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "the image's %s is not a regular file",
                           path);
    data = malloc(FILE_SIZE_MAX + 1);
    if (!data)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read the image's %s", path);
    size = fd_read_all(fd, data, FILE_SIZE_MAX + 1);
    if (size < 0)
        return failure_set(why, FAILURE_INTERNAL, (int)-size, "cannot read the image's %s", path);
    if (size > FILE_SIZE_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "the image's %s is larger than 1 MiB",
                           path);
    data[size] = '\0';
    *ret = TAKE(data);
    return 0;
}

int identity_read(const Podmon__UserPlan *plan, int root_fd, Identity *ret, Failure *why)
{
    AUTO_FREE char *passwd = NULL;
    AUTO_FREE char *group = NULL;
    int r;

    r = read_in_root(root_fd, "/etc/passwd", &passwd, why);
    if (r < 0)
        return r;
    r = read_in_root(root_fd, "/etc/group", &group, why);
    if (r < 0)
        return r;
    return identity_resolve(plan, passwd, group, ret, why);
}
