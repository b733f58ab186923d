/* Pillow's antialiased bicubic (src/libImaging/Resample.c) on 8-bit RGB: the same fixed-point
 * coefficients, the same rounding to 8 bits between the horizontal and the vertical pass.
 *
 * Both passes are one function, a weighted sum of rows, which the compiler vectorises along the
 * row; the horizontal pass runs on the transposed picture. */
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

/* out[x] = sum over n rows of weight[k] * rows[k * stride + x], x < width. */
static void sum_rows(uint8_t *out, const uint8_t *rows, size_t stride, const int32_t *weight, int n,
                     size_t width) {
    size_t x = 0;
    for (; x + STRIP <= width; x += STRIP) {
        int32_t sum[STRIP];
        for (int i = 0; i < STRIP; i++)
            sum[i] = 1 << (PRECISION - 1);
        for (int k = 0; k < n; k++)
            for (int i = 0; i < STRIP; i++)
                sum[i] += weight[k] * rows[(size_t)k * stride + x + (size_t)i];
        for (int i = 0; i < STRIP; i++)
            out[x + (size_t)i] = clip(sum[i]);
    }
    for (; x < width; x++) {
        int32_t sum = 1 << (PRECISION - 1);
        for (int k = 0; k < n; k++)
            sum += weight[k] * rows[(size_t)k * stride + x];
        out[x] = clip(sum);
    }
}

/* One pass over rows of `width` bytes: row i of `out` from rows of `in`, whose first is row
 * `origin` of the line that the taps speak of. */
static void resample(uint8_t *out, const uint8_t *in, int origin, size_t width, const taps *t) {
    for (int i = 0; i < t->count; i++)
        sum_rows(out + (size_t)i * width, in + (size_t)(t->from[i] - origin) * width, width,
                 t->weight + (size_t)i * (size_t)t->width, t->number[i], width);
}

/* [rows, columns] pixels of 3 bytes, `stride` bytes between rows, to dense [columns, rows]. */
static void transpose(uint8_t *out, const uint8_t *in, int rows, int columns, size_t stride) {
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            memcpy(out + ((size_t)x * (size_t)rows + (size_t)y) * 3,
                   in + (size_t)y * stride + (size_t)x * 3, 3);
}

/* The block of memory of one call. */
typedef struct workspace {
    taps x, y;
    double *weights;  /* one output's, before rounding */
    uint8_t *columns; /* [box width, rows]: the needed rows of the box, transposed */
    uint8_t *narrow;  /* [window width, rows]: after the horizontal pass */
    uint8_t *rows;    /* [rows, window width]: the same, turned back */
} workspace;

static int *take_ints(tic_arena *arena, int count) {
    return tic_arena_take(arena, (size_t)count * sizeof(int));
}

static size_t taps_bytes(const taps *t) {
    return 2 * tic_align_up((size_t)t->count * sizeof(int)) +
           tic_align_up((size_t)t->count * (size_t)t->width * sizeof(int32_t));
}

static void take_taps(taps *t, tic_arena *arena) {
    t->from = take_ints(arena, t->count);
    t->number = take_ints(arena, t->count);
    t->weight = tic_arena_take(arena, (size_t)t->count * (size_t)t->width * sizeof(int32_t));
}

/* Both passes always run: at equal sizes one has a single weight of 1 and changes nothing. */
static tic_status run(const tic_image *image, const int box[4], workspace *w, uint8_t *out,
                      tic_error *err) {
    int last = w->y.first + w->y.count; /* rows of the box that the window can need */
    double scale = (double)w->y.in / w->y.out;
    double support = bicubic_support * (scale < 1 ? 1 : scale);
    int from = (int)((w->y.first + 0.5) * scale - support + 0.5);
    int to = (int)((last - 0.5) * scale + support + 0.5);
    from = from < 0 ? 0 : from;
    to = to > w->y.in ? w->y.in : to;
    int rows = to - from, wider = w->x.width > w->y.width ? w->x.width : w->y.width;
    size_t weights = (size_t)wider * sizeof(double);
    size_t columns = (size_t)w->x.in * (size_t)rows * 3;
    size_t narrow = (size_t)w->x.count * (size_t)rows * 3;
    tic_arena arena;
    TIC_TRY(tic_arena_new(&arena,
                          taps_bytes(&w->x) + taps_bytes(&w->y) + tic_align_up(weights) +
                              tic_align_up(columns) + 2 * tic_align_up(narrow),
                          err));
    take_taps(&w->x, &arena);
    take_taps(&w->y, &arena);
    w->weights = tic_arena_take(&arena, weights);
    w->columns = tic_arena_take(&arena, columns);
    w->narrow = tic_arena_take(&arena, narrow);
    w->rows = tic_arena_take(&arena, narrow);
    fill_taps(&w->x, w->weights);
    fill_taps(&w->y, w->weights);
    size_t stride = (size_t)image->width * 3;
    transpose(w->columns, image->pixels + (size_t)(box[1] + from) * stride + (size_t)box[0] * 3,
              rows, w->x.in, stride);
    resample(w->narrow, w->columns, 0, (size_t)rows * 3, &w->x);
    transpose(w->rows, w->narrow, w->x.count, rows, (size_t)rows * 3);
    resample(out, w->rows, from, (size_t)w->x.count * 3, &w->y);
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
    workspace w = {.x = {.in = in_w,
                         .out = out_w,
                         .first = window.x0,
                         .count = window.w,
                         .width = taps_width(in_w, out_w)},
                   .y = {.in = in_h,
                         .out = out_h,
                         .first = window.y0,
                         .count = window.h,
                         .width = taps_width(in_h, out_h)}};
    return run(image, box, &w, out, err);
}

tic_status tic_resize_bicubic(const tic_image *image, const int box[4], int out_w, int out_h,
                              uint8_t *out, tic_error *err) {
    return tic_resize_window(image, box, out_w, out_h, (tic_window){.w = out_w, .h = out_h}, out,
                             err);
}
