/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"
#include "test.h"

enum { LAYERS = 130 };

typedef struct Stack {
    Box box;
    char names[LAYERS][512];
    char *layers[LAYERS];
} Stack;

/* Layers 0…count−1, each with a file of its own number, and `top` in all of them. */
static int make_layers(Stack *stack, size_t count, const char *prefix)
{
    for (size_t i = 0; i < count; i++) {
        char number[24];

        (void)snprintf(number, sizeof(number), "%zu", i);
        (void)snprintf(stack->names[i], sizeof(stack->names[i]), "%s/%s%zu", stack->box.base,
                       prefix, i);
        stack->layers[i] = stack->names[i];
        if (mkdir(stack->names[i], 0755) < 0 || box_write(stack->names[i], number, number) < 0 ||
            box_write(stack->names[i], "top", number) < 0)
            return -errno;
    }
    return 0;
}

static int read_in(int root_fd, const char *name, char *ret, size_t size)
{
    AUTO_FREE char *data = NULL;
    int r = file_read_at(root_fd, name, size - 1, &data, NULL);

    (void)snprintf(ret, size, "%s", r < 0 ? "" : data);
    return r;
}

static void check_stack(Stack *stack, size_t count, bool writable)
{
    const char *upper = writable ? stack->box.upper : NULL;
    const char *work = writable ? stack->box.work : NULL;
    AUTO_CLOSE int fd = -1;
    char text[24], number[24];
    int file, r;

    r = rootfs_mount(stack->layers, count, upper, work, -1, "", &fd, &stack->box.why);
    if (r < 0)
        printf("  %s\n", stack->box.why.text);
    CHECK_EQ(r, 0);
    (void)snprintf(number, sizeof(number), "%zu", count - 1);
    r = read_in(fd, "top", text, sizeof(text));
    CHECK_EQ(r, 0);
    CHECK_STR(text, number);
    CHECK(read_in(fd, "0", text, sizeof(text)) >= 0);
    CHECK_STR(text, "0");
    file = openat(fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK_EQ(file >= 0, writable);
    if (file >= 0)
        (void)close(file);
    else
        CHECK_EQ(errno, EROFS);
}

static void check_count(size_t count, bool writable, const char *prefix)
{
    static Stack stack;

    if (!box_is_possible())
        SKIP("needs root and " BOX_BUSYBOX);
    CHECK(box_open(&stack.box));
    CHECK_EQ(make_layers(&stack, count, prefix), 0);
    check_stack(&stack, count, writable);
    CHECK_EQ(box_close(&stack.box), 0);
}

TEST(one_layer)
{
    check_count(1, true, "l");
    check_count(1, false, "l");
}

TEST(some_layers)
{
    check_count(5, true, "l");
    check_count(5, false, "l");
}

TEST(many_layers)
{
    check_count(LAYERS, true, "l");
    check_count(LAYERS, false, "l");
}

/* Names that no string option of fsconfig(2) takes: the way of older kernels. */
TEST(names_that_are_long_or_special)
{
    static const char name[] =
        "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "0123"
        "456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
        "456"
        "78901234567890123456789012345678901234567890123456789";

    check_count(LAYERS, true, name);
    check_count(3, false, name);
    check_count(3, true, "with:colon,comma\\backslash");
}

TEST(a_layer_that_is_not_there)
{
    char *layers[] = {box_text("/nonexistent/a"), box_text("/nonexistent/b")};
    Failure why;
    int fd = -1;

    if (!box_is_possible())
        SKIP("needs root and " BOX_BUSYBOX);
    CHECK_EQ(rootfs_mount(layers, 2, NULL, NULL, -1, "", &fd, &why), -ENOENT);
    CHECK_EQ(rootfs_mount(layers, 1, NULL, NULL, -1, "", &fd, &why), -ENOENT);
    CHECK(rootfs_mount(layers, 0, NULL, NULL, -1, "", &fd, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK_EQ(fd, -1);
}

TEST_MAIN
