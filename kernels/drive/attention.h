/* What the drivers of attention share: how a call is cut into tasks, and how the operands of the
 * next ones travel while the present one is computed. */
#ifndef TIC_DRIVE_ATTENTION_H
#define TIC_DRIVE_ATTENTION_H

#include "kernels/ops.h"

/* A task is one head of one sequence, done by one thread with scratch of its own, so that results
 * cannot depend on the number of threads. A unit is some heads of one sequence, tasks that a thread
 * does one after the other: all heads where sequences are short, so that rows are read whole. */
typedef struct tic_attention_range { /* of units: a thread's own, taken from the front */
    uint64_t left;                   /* front << 32 | end */
} __attribute__((aligned(TIC_ALIGN))) tic_attention_range;
typedef struct tic_attention_units {
    int64_t heads, count; /* of a unit (the last of a sequence may have fewer); of the call */
    int64_t ahead;        /* keys of a sequence from which on operands are asked for ahead */
    int threads;
    tic_attention_range *ranges; /* [threads] */
} tic_attention_units;

typedef struct tic_attention_operand {
    const char *at;
    int64_t rows, stride, width; /* in bytes but for the rows */
} tic_attention_operand;

/* Lines of the next unit that are still to be asked for. */
typedef struct tic_attention_ahead {
    tic_attention_operand operands[7];
    int count, current;
    int64_t row, column;
    int64_t tiles;  /* called since the unit began */
    int64_t budget; /* lines a tile, from the number of tiles of the unit before */
} tic_attention_ahead;

typedef struct tic_attention_task {
    const tic_attention_args *a;
    int64_t first_query, queries, first_key, keys;
    int head, end; /* head of this task; where the unit's heads end */
    int64_t column;
    int thread;
    int64_t taken; /* the next unit of this thread, -1: none */
    uint64_t macs;
    tic_attention_ahead ahead;
} tic_attention_task;

/* The longest sequence's rows. */
void tic_attention_longest(const tic_attention_args *a, int64_t *queries, int64_t *keys);
/* Cuts a call into units, a contiguous range a thread, so that forward, backward and the next step
 * meet a sequence in the same core's cache. ranges: [threads]. */
tic_attention_units tic_attention_units_of(const tic_attention_args *a, int64_t ahead, int threads,
                                           tic_attention_range *ranges);
/* The thread's next task: another head of its unit, or the first of another unit. False: none. */
bool tic_attention_next(tic_attention_task *t, const tic_attention_units *units, bool backward);

/* Keys that row i of the task's queries sees. */
static inline int64_t tic_attention_visible(const tic_attention_task *t, int64_t i) {
    return t->a->causal ? i + 1 + t->keys - t->queries : t->keys;
}

/* The size of the next of the nearly equal parts, none above `most`, that `left` is cut into. */
static inline int64_t tic_attention_part(int64_t left, int64_t most) {
    if (left <= most)
        return left;
    const uint32_t parts = (uint32_t)(left + most - 1) / (uint32_t)most; /* 64 bits divide slowly */
    return (uint32_t)(left + parts - 1) / parts;
}

/* To be called beside every tile: asks for some lines of the next unit. */
static inline void tic_attention_look_ahead(tic_attention_ahead *h) {
    h->tiles++;
    for (int64_t lines = h->budget; lines > 0 && h->current < h->count;) {
        const tic_attention_operand *o = &h->operands[h->current];
        const char *at = o->at + h->row * o->stride + h->column;
        int64_t count = (o->width - h->column + 63) / 64;
        count = count < lines ? count : lines;
        for (const char *end = at + count * 64; at < end; at += 64)
            __builtin_prefetch(at, 0, 2);
        lines -= count;
        h->column += count * 64;
        if (h->column < o->width)
            continue;
        h->column = 0;
        if (++h->row == o->rows) {
            h->row = 0;
            h->current++;
        }
    }
}

#endif
