/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of every message of runtime.v1 is accounted for in
 * proto/tables/runtime_v1_fields.tsv: used by a file that names it, or without effect for a reason
 * that is given. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime_v1.pb-c.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "test/unit/test.h"

enum { FIELDS_COUNT = 478, FIELDS_MAX = 1000, MESSAGES_MAX = 400, FILE_MAX = 1024 * 1024 };

typedef struct Row {
    const char *message, *field, *fate, *text;
    bool met;
} Row;

typedef struct Table {
    char *bytes;
    Row rows[FIELDS_MAX];
    size_t count;
} Table;

static bool read_table(Table *ret)
{
    char *rest = NULL;

    if (file_read_at(AT_FDCWD, TEST_SOURCE_DIR "/proto/tables/runtime_v1_fields.tsv", FILE_MAX,
                     &ret->bytes, NULL) < 0)
        return false;
    for (char *line = strtok_r(ret->bytes, "\n", &rest); line && ret->count < FIELDS_MAX;
         line = strtok_r(NULL, "\n", &rest)) {
        char *parts = NULL;
        Row *row = &ret->rows[ret->count];

        if (*line == '#')
            continue;
        row->message = strtok_r(line, "\t", &parts);
        row->field = strtok_r(NULL, "\t", &parts);
        row->fate = strtok_r(NULL, "\t", &parts);
        row->text = strtok_r(NULL, "\t", &parts);
        ret->count++;
    }
    return true;
}

/* Does the file have the field as a member, ".field" or "->field", perhaps with n_ before it? What
 * C code calls it is in lower case, and a keyword has a "_" at its end. */
static bool is_member_of(const char *text, const char *field)
{
    size_t size = strlen(field);

    for (const char *at = text; (at = strcasestr(at, field)); at += size) {
        const char *before = at;

        if (before - text > 2 && strncmp(before - 2, "n_", 2) == 0)
            before -= 2;
        if (before > text &&
            (before[-1] == '.' || (before - text > 1 && strncmp(before - 2, "->", 2) == 0)) &&
            !isalnum((unsigned char)at[size + (at[size] == '_')]))
            return true;
    }
    return false;
}

static bool is_used(const Row *row)
{
    AUTO_FREE char *text = NULL;
    char path[512];

    (void)snprintf(path, sizeof(path), TEST_SOURCE_DIR "/%s", row->text);
    if (file_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL) < 0)
        return false;
    return strcmp(row->fate, "piece") == 0 || is_member_of(text, row->field);
}

/* What is said of the field, or NULL if nothing is that holds. */
static Row *find_row(Table *table, const char *message, const char *field)
{
    for (size_t i = 0; i < table->count; i++) {
        Row *row = &table->rows[i];

        if (!row->text || strcmp(row->message, message) != 0 || strcmp(row->field, field) != 0)
            continue;
        if (strcmp(row->fate, "used") == 0 || strcmp(row->fate, "piece") == 0)
            return is_used(row) ? row : NULL;
        return strcmp(row->fate, "refused") == 0 || strcmp(row->fate, "none") == 0 ? row : NULL;
    }
    return NULL;
}

typedef struct Walk {
    Table table;
    const ProtobufCMessageDescriptor *seen[MESSAGES_MAX];
    size_t seen_count, fields, missing;
} Walk;

static void walk_message(Walk *walk, const ProtobufCMessageDescriptor *message)
{
    bool is_map = strstr(message->short_name, "Entry") != NULL;

    for (size_t i = 0; i < walk->seen_count; i++)
        if (walk->seen[i] == message)
            return;
    if (walk->seen_count == MESSAGES_MAX)
        abort();
    walk->seen[walk->seen_count++] = message;
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        Row *row = is_map ? NULL : find_row(&walk->table, message->short_name, field->name);

        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            walk_message(walk, field->descriptor);
        if (is_map)
            continue;
        walk->fields++;
        if (row) {
            row->met = true;
        } else {
            printf("  %s.%s is not accounted for\n", message->short_name, field->name);
            walk->missing++;
        }
    }
}

static void walk_service(Walk *walk, const ProtobufCServiceDescriptor *service)
{
    for (unsigned i = 0; i < service->n_methods; i++) {
        walk_message(walk, service->methods[i].input);
        walk_message(walk, service->methods[i].output);
    }
}

TEST(every_field_is_accounted_for)
{
    static Walk walk;

    CHECK(read_table(&walk.table));
    walk_service(&walk, &runtime__v1__runtime_service__descriptor);
    walk_service(&walk, &runtime__v1__image_service__descriptor);
    CHECK_EQ(walk.missing, 0);
    CHECK_EQ(walk.fields, FIELDS_COUNT);
    for (size_t i = 0; i < walk.table.count; i++)
        CHECK(walk.table.rows[i].met);
    CHECK_EQ(walk.table.count, FIELDS_COUNT);
    free(walk.table.bytes);
}

TEST(a_member_is_told_from_other_words)
{
    CHECK(is_member_of("if (from->gid_mappings)", "gid_mappings"));
    CHECK(is_member_of("  x->n_gidmappings = 1", "gidMappings"));
    CHECK(is_member_of("  x->namespace_ = 1", "namespace"));
    CHECK(is_member_of("{.image = 1}", "image"));
    CHECK(!is_member_of("  image = 1", "image"));
    CHECK(!is_member_of("  x->images = 1", "image"));
    CHECK(!is_member_of("  x->my_image = 1", "image"));
}

TEST_MAIN
