/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp_program.h"

#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <stdlib.h>

#include "shared/cleanup.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half of an argument is first");

typedef struct Program {
    struct sock_filter instructions[BPF_MAXINSNS];
    size_t count;
} Program;

/* Numbers from `start` on, up to the next span's, have this verdict. */
typedef struct Span {
    uint32_t start;
    uint32_t result;
    const SeccompCheck *check;
} Span;

/* What does not fit is counted, and refused in the end. Returns the place. */
static size_t emit(Program *program, int code, uint32_t value, int if_true, int if_false)
{
    if (program->count < BPF_MAXINSNS)
        program->instructions[program->count] =
            (struct sock_filter){(uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, value};
    return program->count++;
}

static void emit_load(Program *program, size_t offset)
{
    (void)emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(Program *program, uint32_t result)
{
    (void)emit(program, BPF_RET | BPF_K, result, 0, 0);
}

/* The jump at `place` goes to what comes next. */
static void land(Program *program, size_t place)
{
    if (place < BPF_MAXINSNS)
        program->instructions[place].k = (uint32_t)(program->count - place - 1);
}

static void emit_check(Program *program, const SeccompCheck *check)
{
    for (unsigned i = 0; i < check->cases_count; i++) {
        emit_load(program,
                  offsetof(struct seccomp_data, args) + check->argument * sizeof(uint64_t));
        (void)emit(program, BPF_ALU | BPF_AND | BPF_K, check->cases[i].mask, 0, 0);
        (void)emit(program, BPF_JMP | BPF_JEQ | BPF_K, check->cases[i].value, 0, 1);
        emit_return(program, check->cases[i].result);
    }
    emit_return(program, check->otherwise);
}

/* Halves down to one span. A conditional jump only reaches 255 instructions, so the lower half is
 * jumped to by one that reaches everything. The depth is the logarithm of the count. */
static void emit_tree(Program *program, const Span *spans, size_t count)
{
    size_t middle = count / 2, lower;

    if (count == 1) {
        if (spans->check)
            emit_check(program, spans->check);
        else
            emit_return(program, spans->result);
        return;
    }
    (void)emit(program, BPF_JMP | BPF_JGE | BPF_K, spans[middle].start, 1, 0);
    lower = emit(program, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_tree(program, spans + middle, count - middle);
    land(program, lower);
    emit_tree(program, spans, middle);
}

static int compare_verdicts(const void *left, const void *right)
{
    const SeccompVerdict *a = left, *b = right;

    return a->number < b->number ? -1 : a->number > b->number;
}

/* A span that says what the one before says is part of it. */
static void add_span(Span *spans, size_t *count, Span span)
{
    const Span *last = *count > 0 ? &spans[*count - 1] : NULL;

    if (!last || last->check || span.check || last->result != span.result)
        spans[(*count)++] = span;
}

/* At most two spans for each verdict, and one more. */
static size_t fill_spans(const SeccompTable *table, uint32_t otherwise, Span *spans)
{
    size_t count = 0;
    uint64_t next = 0;

    for (size_t i = 0; i < table->count; i++) {
        const SeccompVerdict *verdict = &table->verdicts[i];

        if (verdict->number < next)
            continue;
        if (verdict->number > next)
            add_span(spans, &count, (Span){(uint32_t)next, otherwise, NULL});
        add_span(spans, &count, (Span){verdict->number, verdict->result, verdict->check});
        next = (uint64_t)verdict->number + 1;
    }
    if (next <= UINT32_MAX)
        add_span(spans, &count, (Span){(uint32_t)next, otherwise, NULL});
    return count;
}

static int emit_table(Program *program, const SeccompTable *table, uint32_t otherwise)
{
    AUTO_FREE Span *spans = calloc(2 * table->count + 1, sizeof(*spans));

    if (!spans)
        return -ENOMEM;
    qsort(table->verdicts, table->count, sizeof(*table->verdicts), compare_verdicts);
    emit_load(program, offsetof(struct seccomp_data, nr));
    emit_tree(program, spans, fill_spans(table, otherwise, spans));
    return 0;
}

int seccomp_program(const SeccompTable *tables, size_t tables_count, uint32_t otherwise,
                    struct sock_filter **ret, size_t *ret_count)
{
    AUTO_FREE Program *program = calloc(1, sizeof(*program));
    struct sock_filter *instructions;

    if (!program)
        return -ENOMEM;
    emit_load(program, offsetof(struct seccomp_data, arch));
    for (size_t i = 0; i < tables_count; i++) {
        size_t next;
        int r;

        (void)emit(program, BPF_JMP | BPF_JEQ | BPF_K, tables[i].architecture, 1, 0);
        next = emit(program, BPF_JMP | BPF_JA, 0, 0, 0);
        r = emit_table(program, &tables[i], otherwise);
        if (r < 0)
            return r;
        land(program, next);
    }
    emit_return(program, SECCOMP_RET_KILL_PROCESS);
    if (program->count > BPF_MAXINSNS)
        return -E2BIG;
    instructions = reallocarray(NULL, program->count, sizeof(*instructions));
    if (!instructions)
        return -ENOMEM;
    for (size_t i = 0; i < program->count; i++)
        instructions[i] = program->instructions[i];
    *ret = instructions;
    *ret_count = program->count;
    return 0;
}
