/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cgroup_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <libcgroup.h>
#include <string.h>

typedef struct Library {
    void *handle;
    __typeof__(cgroup_init) *init;
    __typeof__(cgroup_new_cgroup) *new_cgroup;
    __typeof__(cgroup_add_controller) *add_controller;
    __typeof__(cgroup_get_controller) *get_controller;
    __typeof__(cgroup_add_value_string) *add_value;
    __typeof__(cgroup_modify_cgroup) *modify;
    __typeof__(cgroup_free) *free;
} Library;

static bool library_open(Library *library)
{
    const struct {
        const char *name;
        void *place;
    } functions[] = {
        {"cgroup_init", &library->init},
        {"cgroup_new_cgroup", &library->new_cgroup},
        {"cgroup_add_controller", &library->add_controller},
        {"cgroup_get_controller", &library->get_controller},
        {"cgroup_add_value_string", &library->add_value},
        {"cgroup_modify_cgroup", &library->modify},
        {"cgroup_free", &library->free},
    };

    library->handle = dlopen("libcgroup.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library->handle)
        return false;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(library->handle, functions[i].name);
        if (!function)
            return false;
        memcpy(functions[i].place, &function, sizeof(function));
    }
    return library->init() == 0;
}

static void library_close(Library *library)
{
    if (library->handle)
        (void)dlclose(library->handle);
}

static int modify(const Library *library, struct cgroup *group, const CgroupValues *values)
{
    for (size_t i = 0; i < values->count; i++) {
        const CgroupValue *value = &values->items[i];
        const char *name = cgroup_controller_name(value->controller);
        struct cgroup_controller *controller = library->get_controller(group, name);

        if (!controller)
            controller = library->add_controller(group, name);
        if (!controller || library->add_value(controller, value->file, value->text) != 0)
            return -EINVAL;
    }
    return library->modify(group) == 0 ? 0 : -EINVAL;
}

int cgroup_library_modify(const char *path, const CgroupValues *values)
{
    Library library = {0};
    struct cgroup *group = NULL;
    int r = -ENOSYS;

    if (values->count == 0)
        return 0;
    if (library_open(&library))
        group = library.new_cgroup(path + 1);
    if (group) {
        r = modify(&library, group, values);
        library.free(&group);
    }
    library_close(&library);
    return r;
}
