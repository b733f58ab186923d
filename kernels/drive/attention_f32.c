/* Attention on f32. A task walks blocks of queries: their scores with all keys, transposed, stay in
 * cache, and no L x L matrix exists. Operands that tiles can read where they lie are not copied,
 * unless they are read so often that their stride would cost more. */
#include "kernels/drive/attention.h"

#include <omp.h>

enum { MAX_LANES = 16 };

typedef struct sizes {     /* of a call */
    int64_t queries, keys; /* of the longest sequence */
    int64_t rows;   /* most queries of a block, whole vectors: what scores have between rows */
    int64_t padded; /* head_dim in whole vectors */
    int64_t copy;   /* knob: keys from which on operands are copied */
} sizes;

typedef struct buffers {    /* of a thread, f32 */
    float *k, *v, *dk, *dv; /* [keys, padded] */
    float *qt, *d_ot;       /* [head_dim, rows]: Qᵀ, dOᵀ */
    float *q, *d_o, *o;     /* [rows, padded]; o also holds dQ */
    float *s, *dp;          /* [keys, rows] */
    float *lse, *factor;    /* [rows]; factor: reciprocal sums */
} buffers;

typedef struct view { /* an operand, copied or where it lies */
    float *data;
    int64_t ld;
} view;

typedef struct task {
    tic_attention_task one;
    const tic_attention_micro *micro;
    sizes size;
    buffers at;
} task;

/* ---- sizes and scratch ---------------------------------------------------------------------- */

static sizes sizes_of(int64_t queries, int64_t keys, int64_t head_dim, const int *knobs,
                      int64_t lanes) {
    const int64_t all = tic_round_up(queries, lanes), most = tic_round_up(knobs[0], lanes);
    return (sizes){queries, keys, all < most ? all : most, tic_round_up(head_dim, lanes), knobs[1]};
}

/* Cuts `block` into the buffers, or with NULL only measures: the number of floats. */
static size_t lay_out(const sizes *s, int64_t head_dim, float *block, buffers *out) {
    const struct {
        float **at;
        int64_t floats;
    } parts[] = {
        {&out->k, s->keys * s->padded},  {&out->v, s->keys * s->padded},
        {&out->dk, s->keys * s->padded}, {&out->dv, s->keys * s->padded},
        {&out->qt, head_dim * s->rows},  {&out->d_ot, head_dim * s->rows},
        {&out->q, s->rows * s->padded},  {&out->d_o, s->rows * s->padded},
        {&out->o, s->rows * s->padded},  {&out->s, s->keys * s->rows},
        {&out->dp, s->keys * s->rows},   {&out->lse, s->rows},
        {&out->factor, s->rows},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (block)
            *parts[i].at = block + used;
        used += tic_align_up((size_t)parts[i].floats * sizeof(float)) / sizeof(float);
    }
    return used;
}

size_t tic_attention_f32_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim) {
    static const int largest[] = {TIC_ATTENTION_ROWS, 0};
    buffers unused;
    const sizes s = sizes_of(max_q, max_kv, head_dim, largest, MAX_LANES);
    return (size_t)ctx->threads *
           (lay_out(&s, head_dim, NULL, &unused) * sizeof(float) + sizeof(tic_attention_range));
}

/* ---- operands ------------------------------------------------------------------------------- */

/* Tiles read and write f32 rows of whole vectors where they lie. */
static bool direct(const task *t) {
    return t->one.a->q.type == TIC_F32 && t->size.padded == t->one.a->head_dim;
}

static view in_place(const task *t, tic_mat m, int64_t row) {
    return (view){tic_mat_row(m, row, t->one.column), m.ld};
}

/* rows x head_dim of m from `row` on: in `copy` if they must be, or are `often` used and many, or
 * where they lie. */
static view rows_of(const task *t, tic_mat m, int64_t row, int64_t rows, bool often, float *copy) {
    if (direct(t) && !(often && t->one.keys >= t->size.copy))
        return in_place(t, m, row);
    t->micro->pack(rows, t->one.a->head_dim, tic_mat_row(m, row, t->one.column), m.type, m.ld, copy,
                   t->size.padded);
    return (view){copy, t->size.padded};
}

static view result(const task *t, tic_mat m, int64_t row, float *scratch) {
    return direct(t) ? in_place(t, m, row) : (view){scratch, t->size.padded};
}

/* Brings a result home; nothing to do where it was made there. */
static void deliver(const task *t, view from, tic_mat m, int64_t row, int64_t rows) {
    if (!direct(t))
        t->micro->unpack(rows, t->one.a->head_dim, from.data, from.ld,
                         tic_mat_row(m, row, t->one.column), m.type, m.ld);
}

static void transpose(const task *t, tic_mat m, int64_t row, int64_t rows, float *out) {
    t->micro->pack_transposed(rows, t->one.a->head_dim, tic_mat_row(m, row, t->one.column), m.type,
                              m.ld, out, t->size.rows);
}

/* ---- products -------------------------------------------------------------------------------- */

typedef struct block { /* of queries of a task */
    int64_t first, queries;
    int64_t padded;  /* queries in whole vectors */
    int64_t keys;    /* that its last query sees */
    int64_t visible; /* that its first query sees */
    int64_t known;   /* that the block before it sees */
} block;

/* The next block; false when there is none. Blocks are whole vectors but for the last. */
static bool next_block(const task *t, block *b) {
    const int64_t lanes = t->micro->products->lanes, first = b->first + b->queries;
    if (first >= t->one.queries)
        return false;
    const int64_t vectors = (t->one.queries - first + lanes - 1) / lanes;
    const int64_t padded = tic_attention_part(vectors, t->size.rows / lanes) * lanes;
    const int64_t queries = tic_least(padded, t->one.queries - first);
    *b = (block){first,
                 queries,
                 padded,
                 tic_attention_visible(&t->one, first + queries - 1),
                 tic_attention_visible(&t->one, first),
                 first > 0 ? b->keys : 0};
    return true;
}

/* s[keys, queries] = x[keys, d] yᵀ[d, queries]; vectors none of whose queries sees any of a tile's
 * keys are left out. */
static void scores(task *t, const block *b, view x, const float *yt, float *s) {
    const tic_attention_products *p = t->micro->products;
    const int64_t ld = t->size.rows, d = t->one.a->head_dim;
    for (int64_t q = 0, vectors; q < b->padded; q += vectors * p->lanes) {
        vectors = tic_attention_part((b->padded - q) / p->lanes, p->vectors);
        for (int64_t j = 0, rows; j < b->keys; j += rows) {
            rows = tic_attention_part(b->keys - j, p->rows[vectors - 1]);
            int64_t skip = 0;
            if (t->one.a->causal)
                skip = tic_least(tic_most(0, (j - b->visible + 1 - q) / p->lanes), vectors);
            const tic_attention_into into = {s + j * ld + q + skip * p->lanes,
                                             ld * (int64_t)sizeof(float), NULL, 0};
            if (skip == vectors)
                continue;
            p->along[vectors - skip - 1][rows - 1](d, x.data + j * x.ld, x.ld,
                                                   yt + q + skip * p->lanes, ld, &into);
            tic_attention_look_ahead(&t->one.ahead);
            t->one.macs += (uint64_t)(rows * (vectors - skip) * p->lanes * d);
        }
    }
}

/* out[keys, d] = or, for keys that the block before saw, += w[keys, queries] y[queries, d]; queries
 * before the first that sees one of a tile's keys are left out. */
static void over_queries(task *t, const block *b, const float *w, view y, view out) {
    const tic_attention_products *p = t->micro->products;
    const int64_t ld = t->size.rows;
    for (int64_t c = 0, vectors; c < t->size.padded; c += vectors * p->lanes) {
        vectors = tic_attention_part((t->size.padded - c) / p->lanes, p->vectors);
        for (int64_t j = 0, rows; j < b->keys; j += rows) {
            const bool known = j < b->known;
            rows = tic_attention_part((known ? b->known : b->keys) - j, p->rows[vectors - 1]);
            const int64_t q = t->one.a->causal ? tic_most(0, j - b->visible + 1) : 0;
            const tic_attention_into into = {out.data + j * out.ld + c,
                                             out.ld * (int64_t)sizeof(float), NULL, known};
            p->along[vectors - 1][rows - 1](b->queries - q, w + j * ld + q, ld,
                                            y.data + q * y.ld + c, y.ld, &into);
            tic_attention_look_ahead(&t->one.ahead);
            t->one.macs += (uint64_t)(rows * vectors * p->lanes * (b->queries - q));
        }
    }
}

/* out[queries, d] = factor wᵀ[queries, keys] y[keys, d]; keys that no query of a tile sees are left
 * out. */
static void over_keys(task *t, const block *b, const float *w, view y, const float *factor,
                      view out) {
    const tic_attention_products *p = t->micro->products;
    for (int64_t c = 0, vectors; c < t->size.padded; c += vectors * p->lanes) {
        vectors = tic_attention_part((t->size.padded - c) / p->lanes, p->vectors);
        for (int64_t q = 0, rows; q < b->queries; q += rows) {
            rows = tic_attention_part(b->queries - q, p->rows[vectors - 1]);
            const int64_t keys = tic_attention_visible(&t->one, b->first + q + rows - 1);
            const tic_attention_into into = {out.data + q * out.ld + c,
                                             out.ld * (int64_t)sizeof(float),
                                             factor ? factor + q : NULL, 0};
            p->across[vectors - 1][rows - 1](keys, w + q, t->size.rows, y.data + c, y.ld, &into);
            tic_attention_look_ahead(&t->one.ahead);
            t->one.macs += (uint64_t)(rows * vectors * p->lanes * keys);
        }
    }
}

/* ---- a task --------------------------------------------------------------------------------- */

static tic_attention_scores scores_of(const task *t, const block *b) {
    return (tic_attention_scores){b->keys,    b->padded,       t->one.a->causal,
                                  b->visible, t->one.a->scale, t->size.rows};
}

static void forward_task(task *t) {
    const tic_attention_args *a = t->one.a;
    const buffers *at = &t->at;
    const view k = rows_of(t, a->k, t->one.first_key, t->one.keys, true, at->k);
    const view v = rows_of(t, a->v, t->one.first_key, t->one.keys, true, at->v);
    for (block b = {0}; next_block(t, &b);) {
        const int64_t query = t->one.first_query + b.first;
        const tic_attention_scores s = scores_of(t, &b);
        transpose(t, a->q, query, b.queries, at->qt);
        scores(t, &b, k, at->qt, at->s);
        t->micro->softmax(&s, at->s, at->lse, at->factor);
        const view o = result(t, a->o, query, at->o);
        over_keys(t, &b, at->s, v, at->factor, o);
        deliver(t, o, a->o, query, b.queries);
        for (int64_t r = 0; a->lse && r < b.queries; r++)
            a->lse[(query + r) * a->heads + t->one.head] = at->lse[r];
    }
}

/* Answers forward_task; dK and dV grow in f32 in the order of the blocks. */
static void backward_task(task *t) {
    const tic_attention_args *a = t->one.a;
    const buffers *at = &t->at;
    const view k = rows_of(t, a->k, t->one.first_key, t->one.keys, true, at->k);
    const view v = rows_of(t, a->v, t->one.first_key, t->one.keys, true, at->v);
    const view dk = result(t, a->dk, t->one.first_key, at->dk);
    const view dv = result(t, a->dv, t->one.first_key, at->dv);
    for (block b = {0}; next_block(t, &b);) {
        const int64_t query = t->one.first_query + b.first;
        const tic_attention_scores s = scores_of(t, &b);
        const view q = rows_of(t, a->q, query, b.queries, false, at->q);
        const view d_o = rows_of(t, a->d_o, query, b.queries, false, at->d_o);
        transpose(t, a->q, query, b.queries, at->qt);
        transpose(t, a->d_o, query, b.queries, at->d_ot);
        for (int64_t r = 0; r < b.padded; r++)
            at->lse[r] = r < b.queries ? a->lse[(query + r) * a->heads + t->one.head] : 0;
        scores(t, &b, k, at->qt, at->s);
        scores(t, &b, v, at->d_ot, at->dp);
        t->micro->softmax_backward(&s, at->s, at->dp, at->lse);
        over_queries(t, &b, at->s, d_o, dv);
        over_queries(t, &b, at->dp, q, dk);
        const view dq = result(t, a->dq, query, at->o);
        over_keys(t, &b, at->dp, k, NULL, dq);
        deliver(t, dq, a->dq, query, b.queries);
    }
    deliver(t, dk, a->dk, t->one.first_key, t->one.keys);
    deliver(t, dv, a->dv, t->one.first_key, t->one.keys);
}

/* ---- all tasks ------------------------------------------------------------------------------ */

static tic_status run(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                      const tic_attention_args *a, bool backward, tic_error *err) {
    const tic_attention_micro *micro = variant->micro;
    int64_t queries, keys;
    tic_attention_longest(a, &queries, &keys);
    const sizes size = sizes_of(queries, keys, a->head_dim, knobs, micro->products->lanes);
    const size_t each = lay_out(&size, a->head_dim, NULL, &(buffers){0});
    const size_t bytes = (size_t)ctx->threads * each * sizeof(float);
    const size_t ranges = (size_t)ctx->threads * sizeof(tic_attention_range);
    TIC_TRY(tic_ctx_scratch(ctx, bytes + ranges, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    float *scratch = tic_arena_take(&ctx->scratch, bytes);
    const tic_attention_units units =
        tic_attention_units_of(a, knobs[2], ctx->threads, tic_arena_take(&ctx->scratch, ranges));
#pragma omp parallel num_threads(ctx->threads)
    {
        const int thread = omp_get_thread_num();
        task t = {.one = {.a = a, .thread = thread}, .micro = micro, .size = size};
        lay_out(&size, a->head_dim, scratch + (size_t)thread * each, &t.at);
        while (tic_attention_next(&t.one, &units, backward))
            (backward ? backward_task : forward_task)(&t);
        tic_count_issued(ctx, thread, backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION,
                         t.one.macs);
    }
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

TIC_RUN(tic_attention_drive) {
    return run(ctx, variant, knobs, args, false, err);
}

TIC_RUN(tic_attention_backward_drive) {
    return run(ctx, variant, knobs, args, true, err);
}
