/* Attention whose products take bf16: AMX's tiles, their emulation, or VDPBF16PS. As on f32, a task
 * walks blocks of queries and keeps their scores with all keys, transposed, in cache. Everything is
 * copied into whole tiles first, zeros around it: keys and head_dim up to 32, queries of a block up
 * to 32. P and dS leave the softmax in the form that each product wants, so none is transposed:
 *
 *   S' = K Q'    dP' = V dO'    dV += P' dO    dK += dS' Q    O' = V' P'    dQ' = K' dS'
 *
 * What is turned is V' or K' once a task, and O' or dQ' as they are rounded. */
#include "kernels/amx.h"
#include "kernels/drive/attention.h"

#include <math.h>
#include <omp.h>

enum { TILE = TIC_TILE_ROWS, STEP = TIC_TILE_K };

typedef struct sizes {
    int64_t keys, rows, d; /* whole steps: of the longest sequence, a block of queries, head_dim */
    size_t bytes;          /* of the buffers of a thread */
} sizes;

typedef struct buffers {            /* of a thread */
    tic_bf16 *k, *v;                /* [keys, d] */
    tic_bf16 *turned;               /* V' or K' in tiles for A: [d / 16][keys / 32] */
    tic_bf16 *q, *d_o;              /* [rows, d] */
    tic_bf16 *q_across, *do_across; /* Q', dO' in tiles for B: [rows / 16][d / 32] */
    tic_bf16 *q_down, *do_down;     /* Q, dO in tiles for B: [d / 16][rows / 32] */
    tic_bf16 *p, *ds;               /* [keys, rows] */
    tic_bf16 *pairs;                /* P' or dS' in tiles for B: [rows / 16][keys / 32] */
    float *s, *dp;                  /* [keys, rows] */
    float *out;                     /* O' or dQ': [d, rows] */
    float *dk, *dv;                 /* [keys, d] */
    float *lse, *factor;            /* [rows]; factor: reciprocal sums */
} buffers;

typedef struct task {
    tic_attention_task one;
    const tic_attention_bf16 *micro;
    sizes size;
    buffers at;
} task;

typedef struct block { /* of queries of a task */
    int64_t first, queries;
    int64_t keys;    /* that its last query sees */
    int64_t visible; /* that its first query sees */
    int64_t known;   /* of dK's and dV's rows, those that hold sums already */
} block;

/* ---- scratch -------------------------------------------------------------------------------- */

/* Cuts `at` into the buffers, or with NULL only measures. */
static size_t lay_out(const sizes *s, char *at, buffers *b) {
    const int64_t kd = s->keys * s->d, rd = s->rows * s->d, kr = s->keys * s->rows;
    const struct {
        void *pointer;
        int64_t bytes;
    } parts[] = {
        {&b->k, kd * 2},           {&b->v, kd * 2},      {&b->turned, kd * 2},
        {&b->q, rd * 2},           {&b->d_o, rd * 2},    {&b->q_across, rd * 2},
        {&b->do_across, rd * 2},   {&b->q_down, rd * 2}, {&b->do_down, rd * 2},
        {&b->p, kr * 2},           {&b->ds, kr * 2},     {&b->pairs, kr * 2},
        {&b->s, kr * 4},           {&b->dp, kr * 4},     {&b->out, rd * 4},
        {&b->dk, kd * 4},          {&b->dv, kd * 4},     {&b->lse, s->rows * 4},
        {&b->factor, s->rows * 4},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (at)
            *(void **)parts[i].pointer = at + used;
        used += tic_align_up((size_t)parts[i].bytes);
    }
    return used;
}

static sizes sizes_of(int64_t queries, int64_t keys, int64_t head_dim, int64_t rows) {
    sizes s = {tic_round_up(keys, STEP),
               tic_least(tic_round_up(queries, STEP), tic_round_up(rows, STEP)),
               tic_round_up(head_dim, STEP), 0};
    s.bytes = lay_out(&s, NULL, &(buffers){0});
    return s;
}

size_t tic_attention_bf16_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim) {
    const sizes s = sizes_of(max_q, max_kv, head_dim, TIC_ATTENTION_ROWS);
    return (size_t)ctx->threads * (s.bytes + sizeof(tic_attention_range));
}

/* ---- products ------------------------------------------------------------------------------- */

typedef struct product {
    int64_t rows, cols, k; /* whole tiles of rows (a, c) and columns (b, c); k as it is */
    tic_amx_block block;   /* at their first tile; steps are set from k */
    bool add;
} product;

/* A row-major, its first element at `a`; B in tiles, `steps` a column. */
static product make_product(const tic_bf16 *a, int64_t lda, const tic_bf16 *b, int64_t steps,
                            float *c, int64_t ldc) {
    return (product){.block = {.a = a,
                               .b = b,
                               .a_row = lda * 2,
                               .a_tile = lda * 2 * TILE,
                               .a_step = STEP * 2,
                               .b_tile = steps * TIC_TILE_BYTES,
                               .b_step = TIC_TILE_BYTES,
                               .c = c,
                               .ldc = ldc}};
}

static tic_amx_block block_at(const product *p, int64_t i, int64_t j) {
    tic_amx_block b = p->block;
    b.a = (const char *)b.a + i / TILE * b.a_tile + i % TILE * b.a_row;
    b.b = (const char *)b.b + j / TILE * b.b_tile;
    b.c += i * b.ldc + j;
    return b;
}

static void multiply_tiles(task *t, const product *p) {
    const int64_t steps = tic_amx_steps(p->k), rows = p->rows / TILE, cols = p->cols / TILE;
    for (int64_t j = 0; j < cols; j += 2)
        for (int64_t i = 0; i < rows; i += 2) {
            tic_amx_block b = block_at(p, i * TILE, j * TILE);
            b.steps = steps;
            t->micro->tiles->block[p->add][i + 1 < rows][j + 1 < cols](&b);
            tic_attention_look_ahead(&t->one.ahead);
        }
    t->one.macs += (uint64_t)(rows * cols * steps * TIC_TILE_MACS);
}

/* `rows` need not be whole tiles here. */
static void multiply_pairs(task *t, const product *p, int64_t rows) {
    const tic_attention_pairs *pairs = t->micro->pairs;
    const int64_t k = (p->k + 1) / 2, cols = p->cols / TILE;
    for (int64_t j = 0, vectors; j < cols; j += vectors) {
        vectors = tic_attention_part(cols - j, pairs->vectors);
        for (int64_t i = 0, part; i < rows; i += part) {
            const int64_t left = tic_least(rows, tic_round_up(i + 1, TILE)) - i;
            part = tic_attention_part(left, pairs->rows[vectors - 1]);
            const tic_amx_block b = block_at(p, i, j * TILE);
            pairs->tile[vectors - 1][part - 1](&b, k, p->add);
            tic_attention_look_ahead(&t->one.ahead);
        }
    }
    t->one.macs += (uint64_t)(rows * cols * TILE * 2 * k);
}

static void multiply(task *t, product p, int64_t rows, int64_t cols, int64_t k) {
    p.rows = tic_round_up(rows, TILE);
    p.cols = tic_round_up(cols, TILE);
    p.k = k;
    if (rows <= 0 || cols <= 0)
        return;
    if (t->micro->tiles)
        multiply_tiles(t, &p);
    else
        multiply_pairs(t, &p, rows);
}

enum { PART = 2 * TILE }; /* rows or columns that are decided on together */

/* The first query of a block that sees key j, in whole parts. */
static int64_t first_seeing(const task *t, const block *b, int64_t j) {
    return t->one.a->causal ? tic_most(0, j - b->visible + 1) / PART * PART : 0;
}

/* s[keys, queries] = x[keys, d] yᵀ; queries of which none sees any of 32 keys are left out. */
static void scores(task *t, const block *b, const tic_bf16 *x, const tic_bf16 *y, float *s) {
    const int64_t d = t->size.d, ld = t->size.rows, part = t->one.a->causal ? PART : b->keys;
    for (int64_t j = 0; j < b->keys; j += part) {
        const int64_t q = first_seeing(t, b, j);
        const product p = make_product(x + j * d, d, y + q * d, d / STEP, s + j * ld + q, ld);
        multiply(t, p, tic_least(part, b->keys - j), b->queries - q, d);
    }
}

/* out[keys, d] = or, for rows that are known, += w[keys, queries] y[queries, d]. */
static void over_queries(task *t, const block *b, const tic_bf16 *w, const tic_bf16 *y,
                         float *out) {
    const int64_t d = t->size.d, ld = t->size.rows, steps = ld / STEP;
    for (int64_t j = 0, part; j < b->keys; j += part) {
        const bool known = j < b->known;
        const int64_t left = (known ? tic_least(b->known, b->keys) : b->keys) - j;
        part = t->one.a->causal ? tic_least(left, PART) : left;
        const int64_t q = first_seeing(t, b, j);
        product p = make_product(w + j * ld + q, ld, y + q / STEP * (TIC_TILE_BYTES / 2), steps,
                                 out + j * d, d);
        p.add = known;
        multiply(t, p, part, t->one.a->head_dim, b->queries - q);
    }
}

/* out[d, queries] = xᵀ[d, keys] w[keys, queries], x turned and w in pairs; keys that none of 32
 * queries sees are left out. */
static void over_keys(task *t, const block *b, float *out) {
    const int64_t steps = t->size.keys / STEP, part = t->one.a->causal ? PART : b->queries;
    for (int64_t q = 0; q < b->queries; q += part) {
        const int64_t count = tic_least(part, b->queries - q);
        const int64_t keys = tic_attention_visible(&t->one, b->first + q + count - 1);
        product p = make_product(t->at.turned, 0, t->at.pairs + q * t->size.keys, steps, out + q,
                                 t->size.rows);
        p.block.a_row = TIC_TILE_BYTES / TILE;
        p.block.a_tile = steps * TIC_TILE_BYTES;
        p.block.a_step = TIC_TILE_BYTES;
        multiply(t, p, t->one.a->head_dim, count, keys);
    }
}

/* ---- packing -------------------------------------------------------------------------------- */

static const tic_bf16 *place(const task *t, tic_mat m, int64_t row) {
    return tic_mat_row(m, row, t->one.column);
}

static void copy(const task *t, tic_mat m, int64_t row, int64_t rows, int64_t padded,
                 tic_bf16 *out) {
    t->micro->loops->copy(rows, padded, t->one.a->head_dim, t->size.d, place(t, m, row), m.ld, out);
}

/* Tiles of in[rows, d]: `across`, 16 of its rows are a tile's rows or columns and d is summed over;
 * else 16 of its columns are, and its rows, whole steps, are summed over. A column of tiles takes
 * `steps`. */
static void pack(const task *t, void (*packer)(const tic_amx_piece *), bool across,
                 const tic_bf16 *in, int64_t rows, int64_t steps, tic_bf16 *out) {
    const int64_t d = t->size.d, pieces = (across ? rows : d) / TILE;
    for (int64_t i = 0; i < pieces; i++)
        packer(&(tic_amx_piece){.from = in + i * TILE * (across ? d : 1),
                                .type = TIC_BF16,
                                .across = across,
                                .ld = d,
                                .k = across ? d : rows,
                                .valid = TILE,
                                .to = out + i * steps * (TIC_TILE_BYTES / 2),
                                .step_bytes = TIC_TILE_BYTES});
}

/* ---- a task --------------------------------------------------------------------------------- */

static bool next_block(const task *t, block *b) {
    const int64_t first = b->first + b->queries;
    if (first >= t->one.queries)
        return false;
    const int64_t steps = tic_round_up(t->one.queries - first, STEP) / STEP;
    const int64_t rows = tic_attention_part(steps, t->size.rows / STEP) * STEP;
    const int64_t queries = tic_least(rows, t->one.queries - first);
    *b = (block){first, queries, tic_attention_visible(&t->one, first + queries - 1),
                 tic_attention_visible(&t->one, first),
                 first == 0        ? 0
                 : t->micro->tiles ? tic_round_up(b->keys, TILE)
                                   : b->keys};
    return true;
}

static tic_attention_scores scores_of(const task *t, const block *b) {
    return (tic_attention_scores){b->keys,          tic_round_up(b->queries, TILE),
                                  t->one.a->causal, b->visible,
                                  t->one.a->scale,  t->size.rows};
}

static void forward_task(task *t) {
    const tic_attention_args *a = t->one.a;
    const buffers *at = &t->at;
    const int64_t d = t->size.d, keys = tic_round_up(t->one.keys, STEP);
    const int64_t stride = t->size.keys / STEP * TIC_TILE_BYTES;
    copy(t, a->k, t->one.first_key, t->one.keys, keys, at->k);
    copy(t, a->v, t->one.first_key, t->one.keys, keys, at->v);
    pack(t, t->micro->packing->a, false, at->v, keys, t->size.keys / STEP, at->turned);
    for (block b = {0}; next_block(t, &b);) {
        const int64_t query = t->one.first_query + b.first, padded = tic_round_up(b.queries, TILE);
        const tic_attention_scores s = scores_of(t, &b);
        copy(t, a->q, query, b.queries, padded, at->q);
        pack(t, t->micro->packing->b, true, at->q, padded, d / STEP, at->q_across);
        scores(t, &b, at->k, at->q_across, at->s);
        t->micro->loops->softmax(&s, at->s, at->lse, at->factor, at->pairs, stride);
        over_keys(t, &b, at->out);
        t->micro->loops->round_transposed(b.queries, a->head_dim, at->out, t->size.rows, at->factor,
                                          (tic_bf16 *)place(t, a->o, query), a->o.ld);
        for (int64_t r = 0; a->lse && r < b.queries; r++)
            a->lse[(query + r) * a->heads + t->one.head] = at->lse[r];
    }
}

/* Answers forward_task; dK and dV grow in f32 in the order of the blocks. Queries that pad a block
 * have an lse of infinity: their P is zero. */
static void backward_task(task *t) {
    const tic_attention_args *a = t->one.a;
    const buffers *at = &t->at;
    const tic_amx_packing *packing = t->micro->packing;
    const int64_t d = t->size.d, keys = tic_round_up(t->one.keys, STEP);
    const int64_t stride = t->size.keys / STEP * TIC_TILE_BYTES, steps = t->size.rows / STEP;
    copy(t, a->k, t->one.first_key, t->one.keys, keys, at->k);
    copy(t, a->v, t->one.first_key, t->one.keys, keys, at->v);
    pack(t, packing->a, false, at->k, keys, t->size.keys / STEP, at->turned);
    for (block b = {0}; next_block(t, &b);) {
        const int64_t query = t->one.first_query + b.first;
        const int64_t tiled = tic_round_up(b.queries, TILE), padded = tic_round_up(b.queries, STEP);
        const tic_attention_scores s = scores_of(t, &b);
        copy(t, a->q, query, b.queries, padded, at->q);
        copy(t, a->d_o, query, b.queries, padded, at->d_o);
        pack(t, packing->b, true, at->q, tiled, d / STEP, at->q_across);
        pack(t, packing->b, true, at->d_o, tiled, d / STEP, at->do_across);
        pack(t, packing->b, false, at->q, padded, steps, at->q_down);
        pack(t, packing->b, false, at->d_o, padded, steps, at->do_down);
        for (int64_t r = 0; r < tiled; r++)
            at->lse[r] = r < b.queries ? a->lse[(query + r) * a->heads + t->one.head] : INFINITY;
        scores(t, &b, at->k, at->q_across, at->s);
        scores(t, &b, at->v, at->do_across, at->dp);
        t->micro->loops->softmax_backward(&s, at->s, at->dp, at->lse, at->p, at->ds, at->pairs,
                                          stride);
        over_queries(t, &b, at->p, at->do_down, at->dv);
        over_queries(t, &b, at->ds, at->q_down, at->dk);
        over_keys(t, &b, at->out);
        t->micro->loops->round_transposed(b.queries, a->head_dim, at->out, t->size.rows, NULL,
                                          (tic_bf16 *)place(t, a->dq, query), a->dq.ld);
    }
    t->micro->loops->round_rows(t->one.keys, a->head_dim, at->dk, d,
                                (tic_bf16 *)place(t, a->dk, t->one.first_key), a->dk.ld);
    t->micro->loops->round_rows(t->one.keys, a->head_dim, at->dv, d,
                                (tic_bf16 *)place(t, a->dv, t->one.first_key), a->dv.ld);
}

/* ---- all tasks ------------------------------------------------------------------------------ */

static void thread_tasks(task *t, const tic_attention_units *units, bool backward) {
    const tic_amx_products *tiles = t->micro->tiles;
    if (tiles)
        tiles->begin();
    while (tic_attention_next(&t->one, units, backward))
        (backward ? backward_task : forward_task)(t);
    if (tiles)
        tiles->end();
}

static tic_status run(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                      const tic_attention_args *a, bool backward, tic_error *err) {
    int64_t queries, keys;
    tic_attention_longest(a, &queries, &keys);
    const sizes size = sizes_of(queries, keys, a->head_dim, knobs[0]);
    const size_t bytes = (size_t)ctx->threads * size.bytes;
    const size_t ranges = (size_t)ctx->threads * sizeof(tic_attention_range);
    TIC_TRY(tic_ctx_scratch(ctx, bytes + ranges, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    char *scratch = tic_arena_take(&ctx->scratch, bytes);
    const tic_attention_units units =
        tic_attention_units_of(a, knobs[1], ctx->threads, tic_arena_take(&ctx->scratch, ranges));
#pragma omp parallel num_threads(ctx->threads)
    {
        const int thread = omp_get_thread_num();
        task t = {.one = {.a = a, .thread = thread}, .micro = variant->micro, .size = size};
        lay_out(&size, scratch + (size_t)thread * size.bytes, &t.at);
        thread_tasks(&t, &units, backward);
        tic_count_issued(ctx, thread, backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION,
                         t.one.macs);
    }
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

TIC_RUN(tic_attention_bf16_drive) {
    return run(ctx, variant, knobs, args, false, err);
}

TIC_RUN(tic_attention_bf16_backward_drive) {
    return run(ctx, variant, knobs, args, true, err);
}
