/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/text.h"

static void close_stream(DIR **stream)
{
    if (*stream)
        (void)closedir(*stream);
}

void image_names_cleanup(char ***names)
{
    text_list_free(*names);
}

static int read_names(DIR *stream, char ***names)
{
    size_t count = 0, capacity = 0;
    struct dirent *entry;

    while ((errno = 0, entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count + 1 >= capacity) {
            char **more;

            capacity = 2 * capacity + 16;
            more = realloc(*names, capacity * sizeof(char *));
            if (!more)
                return -ENOMEM;
            *names = more;
        }
        (*names)[count] = strdup(entry->d_name);
        (*names)[count + 1] = NULL;
        if (!(*names)[count++])
            return -ENOMEM;
    }
    return -errno;
}

int image_names_list(int dir_fd, char ***ret)
{
    CLEANUP(close_stream) DIR *stream = NULL;
    char **names = NULL;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    stream = fdopendir(fd);
    if (!stream) {
        (void)close(fd);
        return -ENOMEM;
    }
    r = read_names(stream, &names);
    if (r < 0)
        text_list_free(names);
    else
        *ret = names;
    return r;
}

bool image_names_have(size_t count, char *const *names, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

int image_names_merge(size_t *count, char ***names, size_t more_count, char *const *more)
{
    for (size_t i = 0; i < more_count; i++) {
        char **grown;

        if (image_names_have(*count, *names, more[i]))
            continue;
        grown = realloc(*names, (*count + 1) * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        *names = grown;
        grown[*count] = strdup(more[i]);
        if (!grown[*count])
            return -ENOMEM;
        ++*count;
    }
    return 0;
}

int image_names_add(size_t *count, char ***names, char *const *more)
{
    return more ? image_names_merge(count, names, text_list_count(more), more) : 0;
}

size_t image_names_remove(size_t *count, char **names, size_t gone_count, char *const *gone)
{
    size_t kept = 0, removed;

    for (size_t i = 0; i < *count; i++) {
        if (image_names_have(gone_count, gone, names[i]))
            free(names[i]);
        else
            names[kept++] = names[i];
    }
    removed = *count - kept;
    *count = kept;
    return removed;
}
