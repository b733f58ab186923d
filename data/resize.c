/* Pillow's antialiased bicubic (src/libImaging/Resample.c) on 8-bit RGB: the same fixed-point
 * coefficients, the same rounding to 8 bits between the horizontal and the vertical pass.
 *
 * Both passes are one function, a weighted sum of rows, which the compiler vectorises along the
 * row; the horizontal pass runs on a transposed picture. */
#include "data/room.h"
#include <math.h>
#include <string.h>

/* 8 bits of pixel, 2 of headroom for the overshoot of a bicubic. */
enum { PRECISION = 32 - 8 - 2, STRIP = 32 };
static const double bicubic_support = 2.0;

/* Keys's kernel with a = -0.5. */
static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

/* How outputs [first, first + count) of a line of `out` are made of a line of `in`. */
typedef struct taps {
    int in, out, first, count;
    int width;       /* coefficients booked for an output */
    int *from;       /* [count] first input */
    int *number;     /* [count] inputs used */
    int32_t *weight; /* [count, width], scaled by 2^PRECISION */
} taps;

static int taps_width(int in, int out) {
    double scale = (double)in / out;
    return (int)ceil(bicubic_support * (scale < 1 ? 1 : scale)) * 2 + 1;
}

/* Line by line as precompute_coeffs and normalize_coeffs_8bpc: the same operations on doubles in
 * the same order give the same integers. `weights` has room for taps_width(in, out). */
static void fill_taps(taps *t, double *weights) {
    double scale = (double)t->in / t->out, filter = scale < 1 ? 1 : scale;
    double support = bicubic_support * filter, inverse = 1.0 / filter;
    for (int i = 0; i < t->count; i++) {
        double center = (t->first + i + 0.5) * scale, sum = 0;
        int from = (int)(center - support + 0.5), to = (int)(center + support + 0.5);
        from = from < 0 ? 0 : from;
        to = to > t->in ? t->in : to;
        for (int x = 0; x < to - from; x++) {
            weights[x] = bicubic((x + from - center + 0.5) * inverse);
            sum += weights[x];
        }
        for (int x = 0; x < to - from; x++) {
            double w = (sum != 0 ? weights[x] / sum : weights[x]) * (1 << PRECISION);
            t->weight[i * t->width + x] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
        }
        t->from[i] = from;
        t->number[i] = to - from;
    }
}

static uint8_t clip(int32_t sum) {
    int32_t v = sum >> PRECISION;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static inline void sum_strip(uint8_t *out, const uint8_t *rows, size_t stride,
                             const int32_t *weight, int n, size_t width) {
    int32_t sum[STRIP];
    for (size_t i = 0; i < width; i++)
        sum[i] = 1 << (PRECISION - 1);
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < width; i++)
            sum[i] += weight[k] * rows[(size_t)k * stride + i];
    for (size_t i = 0; i < width; i++)
        out[i] = clip(sum[i]);
}

/* out[x] = sum over n rows of weight[k] * rows[k * stride + x], x < width. What is left of the last
 * strip is made together with some that are made already. */
static inline void sum_rows(uint8_t *out, const uint8_t *rows, size_t stride, const int32_t *weight,
                            int n, size_t width) {
    if (width < STRIP) {
        sum_strip(out, rows, stride, weight, n, width);
        return;
    }
    for (size_t x = 0; x < width; x += STRIP) {
        const size_t at = x + STRIP <= width ? x : width - STRIP;
        sum_strip(out + at, rows + at, stride, weight, n, STRIP);
    }
}

/* Products of integers: the same bits on every CPU. Compiled for what is everywhere, SSE2, they
 * take four times as long. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* One pass: row i of `out`, `width` bytes, from rows of `in`, `stride` bytes apart, whose first is
 * row `origin` of the line that the taps speak of. */
FOR_EACH_CPU static void resample(uint8_t *out, const uint8_t *in, int origin, size_t stride,
                                  size_t width, const taps *t) {
    for (int i = 0; i < t->count; i++)
        sum_rows(out + (size_t)i * width, in + (size_t)(t->from[i] - origin) * stride, stride,
                 t->weight + (size_t)i * (size_t)t->width, t->number[i], width);
}

/* [rows, columns] pixels of 3 bytes, `stride` bytes between rows, to dense [columns, rows]. */
static void transpose(uint8_t *out, const uint8_t *in, int rows, int columns, size_t stride) {
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            memcpy(out + ((size_t)x * (size_t)rows + (size_t)y) * 3,
                   in + (size_t)y * stride + (size_t)x * 3, 3);
}

/* Which pass runs first decides what is rounded, and clipped, in between. Pillow 13.0.0 begins with
 * the vertical one exactly when it takes away more than twice as many rows as the other takes
 * columns (found by comparing its output with both orders); before that the horizontal pass always
 * was the first. */
static bool vertical_first(const taps *x, const taps *y) {
    return y->out < y->in && (int64_t)y->in - y->out > 2 * ((int64_t)x->in - x->out);
}

/* One call: the two lines of taps, the rows of the box that they need, and memory in one block. */
typedef struct resizing {
    taps x, y;
    int from, rows;   /* needed rows of the box: [from, from + rows) */
    double *weights;  /* one output's, before rounding */
    uint8_t *turn[3]; /* the picture between passes and transpositions */
} resizing;

/* The rows that the window's first and last outputs reach. */
static void needed_rows(resizing *r) {
    double scale = (double)r->y.in / r->y.out;
    double support = bicubic_support * (scale < 1 ? 1 : scale);
    int from = (int)((r->y.first + 0.5) * scale - support + 0.5);
    int to = (int)((r->y.first + r->y.count - 0.5) * scale + support + 0.5);
    r->from = from < 0 ? 0 : from;
    r->rows = (to > r->y.in ? r->y.in : to) - r->from;
}

static size_t taps_bytes(const taps *t) {
    return 2 * tic_align_up((size_t)t->count * sizeof(int)) +
           tic_align_up((size_t)t->count * (size_t)t->width * sizeof(int32_t));
}

static void take_taps(taps *t, tic_arena *arena) {
    t->from = tic_arena_take(arena, (size_t)t->count * sizeof(int));
    t->number = tic_arena_take(arena, (size_t)t->count * sizeof(int));
    t->weight = tic_arena_take(arena, (size_t)t->count * (size_t)t->width * sizeof(int32_t));
}

/* Both passes always run: at equal sizes one has a single weight of 1 and changes nothing. */
static void run(resizing *r, const uint8_t *in, size_t stride, uint8_t *out) {
    size_t in_w = (size_t)r->x.in * 3, out_w = (size_t)r->x.count * 3;
    size_t in_h = (size_t)r->rows * 3, out_h = (size_t)r->y.count * 3;
    if (vertical_first(&r->x, &r->y)) {
        resample(r->turn[0], in, r->from, stride, in_w, &r->y);
        transpose(r->turn[1], r->turn[0], r->y.count, r->x.in, in_w);
        resample(r->turn[2], r->turn[1], 0, out_h, out_h, &r->x);
        transpose(out, r->turn[2], r->x.count, r->y.count, out_h);
    } else {
        transpose(r->turn[0], in, r->rows, r->x.in, stride);
        resample(r->turn[1], r->turn[0], 0, in_h, in_h, &r->x);
        transpose(r->turn[2], r->turn[1], r->x.count, r->rows, in_h);
        resample(out, r->turn[2], r->from, out_w, out_w, &r->y);
    }
}

static tic_status resize(resizing *r, const tic_image *image, const int box[4], uint8_t *out,
                         tic_error *err) {
    needed_rows(r);
    size_t weights = sizeof(double) * (size_t)(r->x.width > r->y.width ? r->x.width : r->y.width);
    size_t wide = (size_t)(r->x.in > r->x.count ? r->x.in : r->x.count);
    size_t high = (size_t)(r->rows > r->y.count ? r->rows : r->y.count);
    size_t turn = wide * high * 3, stride = (size_t)image->width * 3;
    tic_arena arena;
    TIC_TRY(tic_arena_new(&arena,
                          taps_bytes(&r->x) + taps_bytes(&r->y) + tic_align_up(weights) +
                              3 * tic_align_up(turn),
                          err));
    take_taps(&r->x, &arena);
    take_taps(&r->y, &arena);
    r->weights = tic_arena_take(&arena, weights);
    for (int i = 0; i < 3; i++)
        r->turn[i] = tic_arena_take(&arena, turn);
    fill_taps(&r->x, r->weights);
    fill_taps(&r->y, r->weights);
    run(r, image->pixels + (size_t)(box[1] + r->from) * stride + (size_t)box[0] * 3, stride, out);
    tic_arena_free(&arena);
    return TIC_OK;
}

tic_status tic_resize_window(const tic_image *image, const int box[4], int out_w, int out_h,
                             tic_window window, uint8_t *out, tic_error *err) {
    int in_w = box[2] - box[0], in_h = box[3] - box[1];
    if (box[0] < 0 || box[1] < 0 || in_w < 1 || in_h < 1 || box[2] > image->width ||
        box[3] > image->height || out_w < 1 || out_h < 1)
        return tic_fail(err, TIC_EUSAGE, "resize of [%d,%d,%d,%d] of %d x %d to %d x %d", box[0],
                        box[1], box[2], box[3], image->width, image->height, out_w, out_h);
    resizing r = {.x = {.in = in_w,
                        .out = out_w,
                        .first = window.x0,
                        .count = window.w,
                        .width = taps_width(in_w, out_w)},
                  .y = {.in = in_h,
                        .out = out_h,
                        .first = window.y0,
                        .count = window.h,
                        .width = taps_width(in_h, out_h)}};
    return resize(&r, image, box, out, err);
}

tic_status tic_resize_bicubic(const tic_image *image, const int box[4], int out_w, int out_h,
                              uint8_t *out, tic_error *err) {
    return tic_resize_window(image, box, out_w, out_h, (tic_window){.w = out_w, .h = out_h}, out,
                             err);
}
