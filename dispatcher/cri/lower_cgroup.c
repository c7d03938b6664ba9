/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "shared/id.h"
#include "shared/path.h"

enum { NAME_LENGTH_MAX = 200 };

static const char SCOPE[] = ".scope";

/* "pod-<namespace>-<name>-<12 digits of the id>" of the characters a unit's name can have; any
 * other is shown as '_': what is lost there, the digits keep apart. Cut so that ".scope" fits. */
static char *make_name(Arena *arena, const Podmon__PodName *name, const char *id)
{
    int room = NAME_LENGTH_MAX - (int)sizeof(SCOPE) - ID_SHORT;
    char *text = arena_print(arena, "pod-%s-%s", name->namespace_, name->name);

    for (char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(":_.-", *c))
            *c = '_';
    return arena_print(arena, "%.*s-%.*s", room, text, ID_SHORT, id);
}

/* Where systemd would put the slice: "a-b.slice" is "/a.slice/a-b.slice", "-.slice" the root. */
static char *make_slice_path(Arena *arena, const char *slice)
{
    char *path = arena_copy(arena, "");

    if (strcmp(slice, "-.slice") == 0)
        return arena_copy(arena, "/");
    for (const char *dash = strchr(slice, '-'); dash; dash = strchr(dash + 1, '-'))
        path = arena_print(arena, "%s/%.*s.slice", path, (int)(dash - slice), slice);
    return arena_print(arena, "%s/%s", path, slice);
}

/* systemd knows a slice by its name alone; the path before it says nothing new. */
static int lower_slice(const char *parent, const char *field, Podmon__CgroupPlan *plan,
                       Failure *why)
{
    const char *slash = strrchr(parent, '/');
    const char *slice = slash ? slash + 1 : parent;

    if (check_slice(slice))
        return check_refuse(why, parent, "does not end in the name of a slice", "%s", field);
    plan->slice = (char *)(uintptr_t)slice;
    return 0;
}

static int lower_path(Arena *arena, const char *parent, const char *field, Podmon__CgroupPlan *plan,
                      Failure *why)
{
    const char *problem;

    if (*parent != '/') {
        problem = check_slice(parent);
        if (problem)
            return check_refuse(why, parent, "is neither an absolute path nor the name of a slice",
                                "%s", field);
        plan->parent = make_slice_path(arena, parent);
        return 0;
    }
    if (strcmp(parent, "/") != 0 && !path_is_clean(parent))
        return check_refuse(why, parent, "is not a clean path", "%s", field);
    plan->parent = (char *)(uintptr_t)parent;
    return 0;
}

int lower_cgroup(const LowerContext *context, const char *parent, const Podmon__PodName *name,
                 const char *id, Podmon__CgroupPlan **ret, Failure *why)
{
    const char *field = "config.linux.cgroup_parent";
    Podmon__CgroupPlan *plan = arena_alloc(context->arena, sizeof(*plan));
    int r;

    podmon__cgroup_plan__init(plan);
    if (!*parent) {
        parent = context->config->slice;
        field = "slice of the configuration";
    }
    if (context->systemd) {
        r = lower_slice(parent, field, plan, why);
        plan->unit =
            arena_print(context->arena, "%s%s", make_name(context->arena, name, id), SCOPE);
        plan->description = arena_print(context->arena, "Pod %s/%s", name->namespace_, name->name);
    } else {
        r = lower_path(context->arena, parent, field, plan, why);
        plan->name = make_name(context->arena, name, id);
    }
    if (r < 0)
        return r;
    *ret = plan;
    return 0;
}
