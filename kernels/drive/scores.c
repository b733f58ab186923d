/* Blocks of a score matrix: see scores.h. */
#include "kernels/drive/scores.h"
#include "kernels/drive/share.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    KEPT = 512,  /* largest b whose scores are kept: 1 MiB */
    UNIT = 32,   /* of a block's size: whole panels and tiles of every kind */
    STRIPES = 8, /* that a small S is cut into at least */
    APART = 16,  /* floats between rows of scores beyond a block, so that they share no cache set */
};

bool tic_scores_kept(int64_t b) {
    return b <= KEPT;
}

/* ---- sweeps --------------------------------------------------------------------------------- */

static void wait_for(const int64_t *done, int64_t block) {
    for (int spins = 0; __atomic_load_n(done, __ATOMIC_ACQUIRE) <= block;)
        tic_share_wait(&spins);
}

/* A stripe is only taken after the one before it, so the first unfinished stripe never waits. */
void tic_sweep_run(tic_sweep *sweep, void (*begin)(void *state, int thread, int64_t stripe),
                   void (*block)(void *state, int thread, int64_t stripe, int64_t block),
                   void (*end)(void *state, int thread, int64_t stripe), void *state) {
    const int thread = omp_get_thread_num();
    for (;;) {
        const int64_t g = __atomic_fetch_add(&sweep->next, 1, __ATOMIC_RELAXED);
        if (g >= sweep->stripes)
            return;
        int64_t *done = sweep->done + g * TIC_SWEEP_APART;
        begin(state, thread, g);
        for (int64_t r = 0; r < sweep->blocks; r++) {
            if (g > 0)
                wait_for(done - TIC_SWEEP_APART, r);
            block(state, thread, g, r);
            __atomic_store_n(done, r + 1, __ATOMIC_RELEASE);
        }
        if (end != NULL)
            end(state, thread, g);
    }
}

tic_sweep tic_scores_sweep(const tic_scores *s, int which) {
    memset(s->done[which], 0, (size_t)(s->blocks * TIC_SWEEP_APART) * sizeof(int64_t));
    return (tic_sweep){.stripes = s->blocks, .blocks = s->blocks, .done = s->done[which]};
}

/* ---- sizes and scratch ---------------------------------------------------------------------- */

static int64_t per_unit(const tic_scores *s) {
    return s->micro->products->unit == TIC_F32 ? 1 : 2;
}

static int64_t units_of(const tic_scores *s, int64_t elements) {
    return tic_round_up((elements + per_unit(s) - 1) / per_unit(s), s->micro->products->k_unit);
}

static bool pairs(const tic_scores *s) {
    return s->micro->products->unit == TIC_BF16;
}

/* bf16 precision by f32 products: the operands are rounded copies. */
static bool rounds(const tic_scores *s) {
    return s->precision == TIC_BF16 && !pairs(s);
}

static bool transposed(const tic_scores *s) {
    return s->micro->products->columns == NULL;
}

/* Rows of image_panels a block: d, rounded up to what a call touches, or whole panels. */
static int64_t image_height(const tic_scores *s) {
    return transposed(s) ? tic_round_up(s->d, s->micro->products->strip)
                         : s->panels * s->micro->products->panel;
}

/* Hands out parts of a block, or only counts them. */
typedef struct parts {
    char *base;
    size_t used;
} parts;

static void *take(parts *from, bool wanted, int64_t count, size_t size) {
    if (!wanted)
        return NULL;
    void *part = from->base ? from->base + from->used : NULL;
    from->used += tic_align_up((size_t)count * size);
    return part;
}

static void take_thread(const tic_scores *s, parts *from, tic_scores_thread *t) {
    const int64_t block = s->block, panel = s->micro->products->panel;
    const bool bf16 = s->precision == TIC_BF16, gradients = s->gradients;
    *t = (tic_scores_thread){0};
    t->block = take(from, !s->kept, block * (bf16 ? tic_most(s->ld, s->lda) : s->ld), 4);
    t->text_rows = take(from, bf16 && s->kept, block * s->lda, 4);
    t->text_scores = take(from, true, block * s->d_units, 4);
    t->image_rows = take(from, s->packs_images && rounds(s), block * s->lda, 4);
    t->text_panels = take(from, gradients, s->panels * panel * block / per_unit(s), 4);
    t->image_panels =
        take(from, gradients && s->packs_images, s->panels * panel * block / per_unit(s), 4);
    t->ds_rows = take(from, gradients && pairs(s), block * block, sizeof(tic_bf16));
    t->ds_pairs = take(from, gradients && pairs(s) && s->kept, block / 2 * (block + APART), 4);
    t->d_text = take(from, gradients && transposed(s),
                     tic_round_up(s->d, s->micro->products->strip) * block, sizeof(float));
    t->tile = take(from, gradients, s->micro->products->strip * panel, sizeof(float));
    if (!s->kept) { /* before there are scores, and when they are narrowed */
        t->text_rows = t->block;
        t->ds_pairs = (uint32_t *)(void *)t->block;
    }
}

static void take_all(const tic_ctx *ctx, tic_scores *s, parts *from) {
    const int64_t b = s->b, padded = s->blocks * s->block;
    const bool bf16 = s->precision == TIC_BF16;
    float **each[5] = {&s->row.sum, &s->row.exponent, &s->column.sum, &s->column.exponent,
                       &s->diagonal};
    for (int i = 0; i < 5; i++)
        *each[i] = take(from, true, b, sizeof(float));
    s->whole = take(from, s->kept, padded * s->ld, sizeof(float));
    s->image_rows = take(from, bf16 && !(s->packs_images && rounds(s)), padded * s->lda, 4);
    s->image_panels =
        take(from, s->gradients && !s->packs_images, image_height(s) * padded / per_unit(s), 4);
    s->thread = take(from, true, ctx->threads, sizeof *s->thread);
    for (int i = 0; i < 2; i++)
        s->done[i] = take(from, true, s->blocks * TIC_SWEEP_APART, sizeof(int64_t));
    for (int i = 0; i < ctx->threads; i++) {
        tic_scores_thread counted;
        take_thread(s, from, s->thread ? &s->thread[i] : &counted);
    }
    if (!bf16)
        s->image_rows = (void *)s->image;
}

size_t tic_scores_plan(const tic_ctx *ctx, tic_scores *s) {
    const int64_t panel = s->micro->products->panel;
    parts counted = {0};
    s->kept = tic_scores_kept(s->b);
    s->block = tic_least(tic_round_up((s->b + STRIPES - 1) / STRIPES, UNIT), s->most / UNIT * UNIT);
    s->blocks = (s->b + s->block - 1) / s->block;
    s->packs_images = !s->kept && !transposed(s) && ctx->threads < s->blocks;
    s->ld = (s->kept ? s->blocks * s->block : s->block) + APART;
    s->d_units = units_of(s, s->d);
    s->lda = pairs(s) ? s->d_units : s->d;
    s->panels = (s->d + panel - 1) / panel;
    take_all(ctx, s, &counted);
    return counted.used;
}

void tic_scores_take(tic_ctx *ctx, tic_scores *s) {
    tic_scores copy = *s;
    parts from = {.base = tic_arena_take(&ctx->scratch, tic_scores_plan(ctx, &copy))};
    take_all(ctx, s, &from);
}

/* ---- packing -------------------------------------------------------------------------------- */

/* Rows of features as the products take them: rounded, zeros up to whole units. */
static void pack_rows(const tic_scores *s, int64_t rows, const float *x, void *out) {
    const tic_scores_vec *vec = s->micro->vec;
    for (int64_t i = 0; i < rows; i++)
        if (pairs(s)) {
            vec->narrow(s->d, x + i * s->d, (tic_bf16 *)out + i * 2 * s->lda, 2 * s->lda);
        } else {
            float *row = memcpy((float *)out + i * s->d, x + i * s->d, (size_t)s->d * sizeof *x);
            vec->round(s->d, row);
        }
}

/* `rows` packed rows as panels of d, [panels, units, panel], `apart` units from one to the next. */
static void pack_panels(const tic_scores *s, int64_t rows, const void *x, void *out, int64_t units,
                        int64_t apart) {
    const int64_t panel = s->micro->products->panel;
    const size_t size = pairs(s) ? sizeof(tic_bf16) : sizeof(float);
    for (int64_t q = 0; q < s->panels; q++)
        s->micro->vec->interleave(
            s->micro->products->unit, rows, tic_least(panel, s->d - q * panel),
            (const char *)x + (size_t)(q * panel) * size, s->lda * per_unit(s),
            (float *)out + q * apart * panel, units, panel);
}

/* The same rows transposed, [d, units]. */
static void pack_transposed(const tic_scores *s, int64_t rows, const void *x, void *out,
                            int64_t units) {
    enum { COLUMNS = 16 };
    uint32_t few[COLUMNS * TIC_SCORES_COLUMNS / 2];
    for (int64_t c = 0; c < s->d; c += COLUMNS) {
        const int64_t n = tic_least(COLUMNS, s->d - c);
        s->micro->vec->interleave(TIC_BF16, rows, n, (const tic_bf16 *)x + c, 2 * s->lda, few,
                                  units, COLUMNS);
        s->micro->vec->transpose(units, n, few, COLUMNS, (float *)out + c * units, units, units);
    }
}

/* Row i of block r, as the products take it. */
static void *image_row(const tic_scores *s, int thread, int64_t r, int64_t i) {
    float *own = s->thread[thread].image_rows;
    return own != NULL ? own + i * s->lda : (float *)s->image_rows + (r * s->block + i) * s->lda;
}

/* Where block r of image_panels starts: [panels, all units, panel], or block by block [d, units].
 */
static float *image_panels(const tic_scores *s, int64_t r) {
    const int64_t units = s->block / per_unit(s);
    return (float *)s->image_panels +
           r * units * (transposed(s) ? image_height(s) : s->micro->products->panel);
}

static void prepare_block(const tic_scores *s, int thread, int64_t r) {
    const int64_t first = r * s->block, rows = tic_least(s->block, s->b - first);
    const int64_t units = s->block / per_unit(s);
    void *const images = image_row(s, thread, r, 0);
    for (int64_t i = first; i < first + rows; i++) {
        s->row.sum[i] = s->column.sum[i] = 0;
        s->row.exponent[i] = s->column.exponent[i] = TIC_SCORES_LEAST;
        if (s->exact_diagonal)
            s->diagonal[i] =
                (float)s->micro->vec->dot(s->d, s->image + i * s->d, s->text + i * s->d);
    }
    if (s->precision == TIC_BF16 && s->image_rows != NULL)
        pack_rows(s, rows, s->image + first * s->d, images);
    if (s->gradients && transposed(s))
        pack_transposed(s, rows, images, image_panels(s, r), units);
    else if (s->gradients && !s->packs_images)
        pack_panels(s, rows, images, image_panels(s, r), units, s->blocks * units);
}

void tic_scores_enter(const tic_scores *s) {
#pragma omp for schedule(static)
    for (int64_t r = 0; r < s->blocks; r++)
        prepare_block(s, omp_get_thread_num(), r);
}

void tic_scores_leave(tic_ctx *ctx, tic_op op, const tic_scores *s) {
    const int thread = omp_get_thread_num();
    tic_count_issued(ctx, thread, op, s->thread[thread].issued);
}

void tic_scores_begin_stripe(const tic_scores *s, int thread, int64_t stripe, bool panels) {
    const tic_scores_thread *t = &s->thread[thread];
    const int64_t panel = s->micro->products->panel, first = stripe * s->block;
    const int64_t n = tic_least(s->block, s->b - first), units = s->block / per_unit(s);
    const void *rows = s->text + first * s->d;
    if (s->precision == TIC_BF16) {
        pack_rows(s, n, rows, t->text_rows);
        rows = t->text_rows;
    }
    for (int64_t j = 0; j < n; j += panel)
        s->micro->vec->transpose(tic_least(panel, n - j), s->lda, (const float *)rows + j * s->lda,
                                 s->lda, (float *)t->text_scores + j * s->d_units, panel, panel);
    if (panels)
        pack_panels(s, n, rows, t->text_panels, units, units);
}

/* ---- products ------------------------------------------------------------------------------- */

static void count(const tic_scores *s, tic_scores_thread *t, int64_t rows, int64_t k) {
    rows = tic_round_up(rows, s->micro->products->row_unit);
    t->issued += (uint64_t)(rows * s->micro->products->panel * k * per_unit(s));
}

static int64_t strips_of(const tic_scores *s, int64_t rows) {
    return (rows + s->micro->products->strip - 1) / s->micro->products->strip;
}

void tic_scores_begin_block(const tic_scores *s, int thread, int64_t block) {
    const int64_t first = block * s->block;
    if (s->thread[thread].image_rows != NULL)
        pack_rows(s, tic_least(s->block, s->b - first), s->image + first * s->d,
                  s->thread[thread].image_rows);
    if (s->micro->products->begin)
        s->micro->products->begin();
}

void tic_scores_end_block(const tic_scores *s) {
    if (s->micro->products->end)
        s->micro->products->end();
}

int64_t tic_scores_strips(const tic_scores *s, int64_t block) {
    return strips_of(s, tic_least(s->block, s->b - block * s->block));
}

tic_scores_strip tic_scores_strip_of(const tic_scores *s, int thread, int64_t stripe, int64_t block,
                                     int64_t strip, bool again) {
    const tic_scores_products *products = s->micro->products;
    tic_scores_thread *t = &s->thread[thread];
    const int64_t top = block * s->block, left = stripe * s->block;
    const int64_t rows = tic_least(s->block, s->b - top), strips = strips_of(s, rows);
    const int64_t first = strip * rows / strips, n = tic_least(s->block, s->b - left);
    tic_scores_strip out = {.rows = (strip + 1) * rows / strips - first,
                            .n = n,
                            .padded = tic_round_up(n, products->panel),
                            .ld = s->ld,
                            .scale = s->scale,
                            .diagonal = top + first - left};
    out.s = s->kept ? s->whole + (top + first) * s->ld + left : t->block + first * s->ld;
    if (again && s->kept)
        return out;
    for (int64_t j = 0; j < n; j += products->panel) {
        products->rows((int)out.rows, s->d_units, image_row(s, thread, block, first), s->lda,
                       (const float *)t->text_scores + j * s->d_units, out.s + j, s->ld, false);
        count(s, t, out.rows, s->d_units);
    }
    for (int64_t i = 0; s->exact_diagonal && i < out.rows; i++)
        if (i + out.diagonal >= 0 && i + out.diagonal < n)
            out.s[i * s->ld + i + out.diagonal] = s->diagonal[top + first + i];
    return out;
}

typedef void product(int rows, int64_t k, const void *a, int64_t lda, const void *b, float *c,
                     int64_t ldc, bool accumulate);

/* dS as the left factor of a product. */
typedef struct operand {
    product *call;
    const float *a;
    int64_t step, lda;  /* units from row to row of the product; as the call takes it */
    bool panels_inside; /* a strip of A stays in L1 for all panels of B, or the other way round */
} operand;

/* C[rows, n] = or += A B for n <= panel columns; C has no more, and no more rows. */
static void multiply_tile(const tic_scores *s, tic_scores_thread *t, product *call, int64_t rows,
                          int64_t k, const void *a, int64_t lda, const void *b, float *c,
                          int64_t ldc, int64_t n, bool accumulate) {
    const int64_t panel = s->micro->products->panel;
    count(s, t, rows, k);
    if (n == panel && rows % s->micro->products->row_unit == 0) {
        call((int)rows, k, a, lda, b, c, ldc, accumulate);
        return;
    }
    call((int)rows, k, a, lda, b, t->tile, panel, false);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = (accumulate ? c[i * ldc + j] : 0) + t->tile[i * panel + j];
}

/* C[rows, d] = or += A B for packed panels of d, `apart` floats from one to the next. */
static void multiply(const tic_scores *s, tic_scores_thread *t, const operand *x, int64_t rows,
                     int64_t k, const float *b, int64_t apart, float *c, bool accumulate) {
    const int64_t panel = s->micro->products->panel, strips = strips_of(s, rows);
    for (int64_t at = 0; at < s->panels * strips; at++) {
        const int64_t q = x->panels_inside ? at % s->panels : at / strips;
        const int64_t i = x->panels_inside ? at / s->panels : at % strips;
        const int64_t first = i * rows / strips, count = (i + 1) * rows / strips - first;
        multiply_tile(s, t, x->call, count, k, x->a + first * x->step, x->lda, b + q * apart,
                      c + first * s->d + q * panel, s->d, tic_least(panel, s->d - q * panel),
                      accumulate);
    }
}

/* dS as operands of bf16: rows for d_image, rows in pairs for d_text. */
static void narrow_block(const tic_scores *s, const tic_scores_thread *t, const float *ds,
                         int64_t rows, int64_t padded) {
    const int64_t panel = s->micro->products->panel, units = units_of(s, rows);
    for (int64_t i = 0; i < rows; i++)
        s->micro->vec->narrow(padded, ds + i * s->ld, t->ds_rows + i * s->block, padded);
    if (!transposed(s))
        s->micro->vec->interleave(TIC_BF16, rows, padded, t->ds_rows, s->block, t->ds_pairs, units,
                                  s->block + APART);
    for (int64_t j = 0; transposed(s) && j < padded; j += panel)
        s->micro->vec->interleave(TIC_BF16, rows, panel, t->ds_rows + j, s->block,
                                  t->ds_pairs + j * s->block / 2, units, panel);
}

/* The stripe's d_text [d, block], transposed. */
static void multiply_transposed(const tic_scores *s, tic_scores_thread *t, int64_t k,
                                const float *images, int64_t padded, bool accumulate) {
    const tic_scores_products *products = s->micro->products;
    const int64_t lda = s->block / 2;
    for (int64_t c = 0; c < s->d; c += products->strip)
        for (int64_t j = 0; j < padded; j += products->panel) {
            const int64_t rows = tic_least(products->strip, s->d - c);
            products->rows((int)rows, k, images + c * lda, lda, t->ds_pairs + j * lda,
                           t->d_text + c * s->block + j, s->block, accumulate);
            count(s, t, rows, k);
        }
}

void tic_scores_multiply(const tic_scores *s, int thread, int64_t stripe, int64_t block,
                         float *d_image, float *d_text) {
    const tic_scores_products *products = s->micro->products;
    tic_scores_thread *t = &s->thread[thread];
    const int64_t top = block * s->block, left = stripe * s->block;
    const int64_t rows = tic_least(s->block, s->b - top), n = tic_least(s->block, s->b - left);
    const int64_t padded = tic_round_up(n, products->panel), units = s->block / per_unit(s);
    float *ds = s->kept ? s->whole + top * s->ld + left : t->block;
    operand of_image = {products->rows, ds, s->ld, s->ld, false};
    operand of_text = {products->columns, ds, 1, s->ld, true};
    if (pairs(s)) {
        narrow_block(s, t, ds, rows, padded);
        of_image.a = (const float *)t->ds_rows;
        of_image.step = of_image.lda = s->block / 2;
        of_text.a = (const float *)t->ds_pairs;
        of_text.lda = s->block + APART;
    }
    for (int64_t i = 0; rounds(s) && i < rows; i++)
        s->micro->vec->round(padded, ds + i * s->ld);
    multiply(s, t, &of_image, rows, units_of(s, n), t->text_panels, units * products->panel,
             d_image + top * s->d, stripe > 0);
    if (s->packs_images) {
        pack_panels(s, rows, image_row(s, thread, block, 0), t->image_panels, units, units);
        multiply(s, t, &of_text, n, units_of(s, rows), t->image_panels, units * products->panel,
                 d_text + left * s->d, block > 0);
    } else if (transposed(s))
        multiply_transposed(s, t, units_of(s, rows), image_panels(s, block), padded, block > 0);
    else
        multiply(s, t, &of_text, n, units_of(s, rows), image_panels(s, block),
                 s->blocks * units * products->panel, d_text + left * s->d, block > 0);
}

void tic_scores_end_stripe(const tic_scores *s, int thread, int64_t stripe, float *d_text) {
    const int64_t left = stripe * s->block, n = tic_least(s->block, s->b - left);
    if (transposed(s))
        s->micro->vec->transpose(s->d, n, s->thread[thread].d_text, s->block, d_text + left * s->d,
                                 s->d, s->d);
}

/* ---- sums ----------------------------------------------------------------------------------- */

double tic_scores_log(tic_scores_sums sums, int64_t i, float own, float own_exponent) {
    return log((double)sums.sum[i] / own) + M_LN2 * ((double)sums.exponent[i] - own_exponent);
}

void tic_scores_invert(const tic_scores *s) {
    for (int64_t i = 0; i < s->b; i++) {
        s->row.sum[i] = 1 / s->row.sum[i];
        s->column.sum[i] = 1 / s->column.sum[i];
    }
}
