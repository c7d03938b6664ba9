/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl pull: bars on a terminal, lines elsewhere. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/ctl/command.h"
#include "dispatcher/ctl/format.h"
#include "dispatcher/image/pull.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    BAR_WIDTH = 30,
    PASSWORD_MAX = 4096,
};

#define REDRAW_INTERVAL (100 * CLOCK_MILLISECOND)

/* One line on the screen for each layer, in their order; the cursor is below the last. */
typedef struct Display {
    bool is_terminal;
    size_t count; /* lines so far */
    struct {
        PullState state;
        uint64_t drawn_at;
    } * layers;
} Display;

static const char *const state_names[] = {
    [PULL_WAITING] = "waiting",
    [PULL_DOWNLOADING] = "downloading",
    [PULL_UNPACKING] = "unpacking",
    [PULL_DONE] = "done",
};

static void draw_bar(const Display *display, const PullProgress *progress)
{
    size_t up = display->count - progress->position;
    size_t full = progress->size ? (size_t)(progress->got * BAR_WIDTH / progress->size) : BAR_WIDTH;
    char got[FORMAT_SIZE], size[FORMAT_SIZE], bar[BAR_WIDTH + 1];

    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', full < BAR_WIDTH ? full : BAR_WIDTH);
    bar[BAR_WIDTH] = 0;
    format_size(progress->got, got);
    format_size(progress->size, size);
    printf("\033[%zuA\r\033[K%.12s [%s] %s/%s %s\033[%zuB\r", up, strchr(progress->digest, ':') + 1,
           bar, got, size, state_names[progress->state], up);
}

static void show(void *data, const PullProgress *progress)
{
    Display *display = data;
    uint64_t now = clock_monotonic();
    char size[FORMAT_SIZE];
    bool has_changed;

    if (!display->layers)
        display->layers = calloc(progress->count + 1, sizeof(*display->layers));
    if (!display->layers)
        return;
    if (progress->position >= display->count) {
        display->count = progress->position + 1;
        if (display->is_terminal)
            putchar('\n');
    }
    has_changed = display->layers[progress->position].state != progress->state;
    display->layers[progress->position].state = progress->state;
    if (!display->is_terminal) {
        format_size(progress->size, size);
        if (has_changed)
            printf("layer %zu/%zu %.12s %s %s\n", progress->position + 1, progress->count,
                   strchr(progress->digest, ':') + 1, size, state_names[progress->state]);
        (void)fflush(stdout);
        return;
    }
    if (!has_changed && now < display->layers[progress->position].drawn_at + REDRAW_INTERVAL)
        return;
    display->layers[progress->position].drawn_at = now;
    draw_bar(display, progress);
    (void)fflush(stdout);
}

/* "name:password" on standard input: arguments are for everybody to see. */
static int read_login(bool wanted, Credentials *ret, Failure *why)
{
    Pull__Credentials fields = PULL__CREDENTIALS__INIT;
    char line[PASSWORD_MAX] = "", *colon;
    int r;

    if (!wanted)
        return credentials_make(&fields, NULL, ret, why);
    if (!fgets(line, sizeof(line), stdin) || !(colon = strchr(line, ':')))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "--login wants a line \"name:password\" on standard input");
    line[strcspn(line, "\n")] = 0;
    *colon = 0;
    fields.username = line;
    fields.password = colon + 1;
    r = credentials_make(&fields, NULL, ret, why);
    explicit_bzero(line, sizeof(line));
    return r;
}

int command_pull(const Command *command, Failure *why)
{
    CLEANUP(credentials_done) Credentials credentials = {0};
    Display display = {.is_terminal = isatty(STDOUT_FILENO) == 1};
    PullPlan plan = {
        .root_dir = command->root_dir,
        .registries_dir = command->config->registries_dir,
        .credentials = &credentials,
        .parallel_layers = command->config->parallel_layers,
        .stall_timeout = command->config->stall_timeout_ms * CLOCK_MILLISECOND,
        .proxy = command->config->proxy,
        .report = show,
        .data = &display,
    };
    char id[DIGEST_TEXT_SIZE];
    int r;

    if (!command->arguments[0] || command->arguments[1])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "pull takes one image name");
    r = read_login(command->login, &credentials, why);
    if (r < 0)
        return r;
    (void)signal(SIGPIPE, SIG_IGN);
    plan.reference = command->arguments[0];
    r = image_pull(&plan, id, why);
    free(display.layers);
    if (r == 0)
        printf("%s %s\n", plan.reference, id);
    return r;
}
