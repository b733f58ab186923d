/* Attention: entry points and driver. A task is one head of one sequence, done by one thread with
 * scratch of its own, so that results cannot depend on the number of threads. A task packs the
 * keys and values of its head and then walks blocks of query rows; the scores of a block stay in
 * cache and no L x L matrix exists. */
#include "kernels/ops.h"

#include <omp.h>
#include <stdio.h>

enum { MAX_LANES = 16 };

typedef struct sizes {     /* of a call */
    int64_t queries, keys; /* of the longest sequence */
    int64_t rows;          /* a block of queries */
    int64_t ld_scores;     /* keys, rounded up to whole vectors */
    int64_t padded;        /* head_dim, rounded up */
} sizes;

typedef struct buffers { /* of a thread, f32 */
    float *kt, *vt;      /* [head_dim, ld_scores]: Kᵀ, Vᵀ */
    float *k, *v;        /* [keys, padded] */
    float *dk, *dv;      /* [keys, padded] */
    float *q, *d_o, *o;  /* [rows, padded]; o also holds dQ */
    float *s, *dp;       /* [rows, ld_scores] */
    float *lse, *factor; /* [rows]; factor: reciprocal sums, or delta */
} buffers;

typedef struct task { /* one head of one sequence */
    const tic_attention_args *a;
    const tic_attention_micro *micro;
    sizes size;
    buffers at;
    int64_t first_query, queries, first_key, keys, column;
    int head;
    uint64_t macs;
} task;

/* ---- sizes and scratch ---------------------------------------------------------------------- */

/* A stride that is a multiple of 1 KiB would map a column of scores to a few cache sets. */
static int64_t score_stride(int64_t keys, int64_t lanes) {
    int64_t ld = (keys + lanes - 1) / lanes * lanes;
    return ld % 256 == 0 ? ld + lanes : ld;
}

static sizes sizes_of(int64_t queries, int64_t keys, int64_t head_dim, int64_t rows,
                      int64_t lanes) {
    rows = rows < queries ? rows : queries;
    return (sizes){queries, keys, rows, score_stride(keys, lanes),
                   (head_dim + lanes - 1) / lanes * lanes};
}

/* Cuts `block` into the buffers, or with NULL only measures: the number of floats. */
static size_t lay_out(const sizes *s, int64_t head_dim, float *block, buffers *out) {
    const struct {
        float **at;
        int64_t floats;
    } parts[] = {
        {&out->kt, head_dim * s->ld_scores},
        {&out->vt, head_dim * s->ld_scores},
        {&out->k, s->keys * s->padded},
        {&out->v, s->keys * s->padded},
        {&out->dk, s->keys * s->padded},
        {&out->dv, s->keys * s->padded},
        {&out->q, s->rows * s->padded},
        {&out->d_o, s->rows * s->padded},
        {&out->o, s->rows * s->padded},
        {&out->s, s->rows * s->ld_scores},
        {&out->dp, s->rows * s->ld_scores},
        {&out->lse, s->rows},
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

size_t tic_attention_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim) {
    buffers unused;
    sizes s = sizes_of(max_q, max_kv, head_dim, TIC_ATTENTION_ROWS, MAX_LANES);
    s.ld_scores += MAX_LANES; /* a narrower tier may step over a multiple where this one did not */
    return (size_t)ctx->threads * lay_out(&s, head_dim, NULL, &unused) * sizeof(float);
}

/* ---- a task --------------------------------------------------------------------------------- */

/* Keys that row i of the task's queries sees. */
static int64_t visible(const task *t, int64_t i) {
    return t->a->causal ? i + 1 + t->keys - t->queries : t->keys;
}

static int64_t round_up(int64_t n, int64_t lanes) {
    return (n + lanes - 1) / lanes * lanes;
}

static void product(task *t, int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row,
                    int64_t a_step, const float *b, int64_t ldb, float *c, int64_t ldc,
                    bool accumulate) {
    t->micro->product(m, n, k, a, a_row, a_step, b, ldb, c, ldc, accumulate);
    t->macs += (uint64_t)(m * n * k);
}

static void pack(const task *t, tic_mat m, int64_t row, int64_t rows, float *out) {
    t->micro->pack(rows, t->a->head_dim, tic_mat_row(m, row, t->column), m.type, m.ld, out,
                   t->size.padded);
}

static void pack_transposed(const task *t, tic_mat m, float *out) {
    t->micro->pack_transposed(t->keys, t->a->head_dim, tic_mat_row(m, t->first_key, t->column),
                              m.type, m.ld, out, t->size.ld_scores);
}

static void unpack(const task *t, tic_mat m, int64_t row, int64_t rows, const float *in,
                   const float *factor) {
    t->micro->unpack(rows, t->a->head_dim, in, t->size.padded, factor,
                     tic_mat_row(m, row, t->column), m.type, m.ld);
}

static void forward_task(task *t) {
    const tic_attention_args *a = t->a;
    const buffers *at = &t->at;
    const int64_t padded = t->size.padded, ld = t->size.ld_scores, d = a->head_dim;
    pack_transposed(t, a->k, at->kt);
    pack(t, a->v, t->first_key, t->keys, at->v);
    for (int64_t i = 0, rows; i < t->queries; i += rows) {
        rows = t->queries - i < t->size.rows ? t->queries - i : t->size.rows;
        const int64_t query = t->first_query + i, keys = visible(t, i + rows - 1);
        pack(t, a->q, query, rows, at->q);
        product(t, rows, round_up(keys, t->micro->lanes), d, at->q, padded, 1, at->kt, ld, at->s,
                ld, false);
        t->micro->softmax(rows, keys, visible(t, i), a->scale, at->s, ld, at->lse, at->factor);
        product(t, rows, padded, keys, at->s, ld, 1, at->v, padded, at->o, padded, false);
        unpack(t, a->o, query, rows, at->o, at->factor);
        for (int64_t r = 0; a->lse && r < rows; r++)
            a->lse[(query + r) * a->heads + t->head] = at->lse[r];
    }
}

/* Answers forward_task, block by block; dK and dV grow in f32 in the order of the blocks. */
static void backward_task(task *t) {
    const tic_attention_args *a = t->a;
    const buffers *at = &t->at;
    const int64_t padded = t->size.padded, ld = t->size.ld_scores, d = a->head_dim;
    pack_transposed(t, a->k, at->kt);
    pack_transposed(t, a->v, at->vt);
    pack(t, a->k, t->first_key, t->keys, at->k);
    for (int64_t i = 0; i < t->keys * padded; i++)
        at->dk[i] = at->dv[i] = 0;
    for (int64_t i = 0, rows; i < t->queries; i += rows) {
        rows = t->queries - i < t->size.rows ? t->queries - i : t->size.rows;
        const int64_t query = t->first_query + i, keys = visible(t, i + rows - 1);
        const int64_t width = round_up(keys, t->micro->lanes);
        pack(t, a->q, query, rows, at->q);
        pack(t, a->d_o, query, rows, at->d_o);
        t->micro->dots(rows, d, tic_mat_row(a->d_o, query, t->column), a->d_o.ld,
                       tic_mat_row(a->o, query, t->column), a->o.ld, a->o.type, at->factor);
        for (int64_t r = 0; r < rows; r++)
            at->lse[r] = a->lse[(query + r) * a->heads + t->head];
        product(t, rows, width, d, at->q, padded, 1, at->kt, ld, at->s, ld, false);
        product(t, rows, width, d, at->d_o, padded, 1, at->vt, ld, at->dp, ld, false);
        t->micro->softmax_backward(rows, keys, visible(t, i), a->scale, at->s, at->dp, ld, at->lse,
                                   at->factor);
        product(t, keys, padded, rows, at->s, 1, ld, at->d_o, padded, at->dv, padded, true);
        product(t, keys, padded, rows, at->dp, 1, ld, at->q, padded, at->dk, padded, true);
        product(t, rows, padded, keys, at->dp, ld, 1, at->k, padded, at->o, padded, false);
        unpack(t, a->dq, query, rows, at->o, NULL);
    }
    unpack(t, a->dk, t->first_key, t->keys, at->dk, NULL);
    unpack(t, a->dv, t->first_key, t->keys, at->dv, NULL);
}

/* ---- all tasks ------------------------------------------------------------------------------ */

static void longest(const tic_attention_args *a, int64_t *queries, int64_t *keys) {
    *queries = *keys = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t q = a->q_offsets[s + 1] - a->q_offsets[s];
        int64_t k = a->kv_offsets[s + 1] - a->kv_offsets[s];
        *queries = q > *queries ? q : *queries;
        *keys = k > *keys ? k : *keys;
    }
}

static void select_task(task *t, int64_t index) {
    const tic_attention_args *a = t->a;
    const int64_t s = index / a->heads;
    t->head = (int)(index % a->heads);
    t->column = (int64_t)t->head * a->head_dim;
    t->first_query = a->q_offsets[s];
    t->queries = a->q_offsets[s + 1] - t->first_query;
    t->first_key = a->kv_offsets[s];
    t->keys = a->kv_offsets[s + 1] - t->first_key;
}

static tic_status run(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                      const tic_attention_args *a, tic_op op, void (*do_task)(task *),
                      tic_error *err) {
    const tic_attention_micro *micro = variant->micro;
    int64_t queries, keys;
    longest(a, &queries, &keys);
    const sizes size = sizes_of(queries, keys, a->head_dim, knobs[0], micro->lanes);
    const size_t each = lay_out(&size, a->head_dim, NULL, &(buffers){0});
    const size_t bytes = (size_t)ctx->threads * each * sizeof(float);
    TIC_TRY(tic_ctx_scratch(ctx, bytes, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    float *block = tic_arena_take(&ctx->scratch, bytes);
    const int64_t tasks = a->sequences * a->heads;
    const int64_t share = tasks / (16 * (int64_t)ctx->threads);
    const int chunk = share < 1 ? 1 : share > 16 ? 16 : (int)share;
#pragma omp parallel num_threads(ctx->threads)
    {
        const int thread = omp_get_thread_num();
        task t = {.a = a, .micro = micro, .size = size};
        lay_out(&size, a->head_dim, block + (size_t)thread * each, &t.at);
#pragma omp for schedule(dynamic, chunk)
        for (int64_t index = 0; index < tasks; index++) {
            select_task(&t, index);
            do_task(&t);
        }
        tic_count_issued(ctx, thread, op, t.macs);
    }
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

TIC_RUN(tic_attention_drive) {
    return run(ctx, variant, knobs, args, TIC_OP_ATTENTION, forward_task, err);
}

TIC_RUN(tic_attention_backward_drive) {
    return run(ctx, variant, knobs, args, TIC_OP_ATTENTION_BACKWARD, backward_task, err);
}

/* ---- entry points --------------------------------------------------------------------------- */

static tic_status check_sequences(const tic_attention_args *a, tic_error *err) {
    if (!a->q_offsets || !a->kv_offsets || a->q_offsets[0] != 0 || a->kv_offsets[0] != 0)
        return tic_fail(err, TIC_EUSAGE, "attention: offsets must be given and start at 0");
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t q = (int64_t)a->q_offsets[s + 1] - a->q_offsets[s];
        int64_t k = (int64_t)a->kv_offsets[s + 1] - a->kv_offsets[s];
        if (q < 1 || k < 1 || (a->causal && q > k))
            return tic_fail(err, TIC_EUSAGE, "attention: sequence %lld has %lld queries, %lld keys",
                            (long long)s, (long long)q, (long long)k);
    }
    return TIC_OK;
}

static tic_status check_mats(const tic_attention_args *a, const tic_mat *mats, int count,
                             tic_error *err) {
    for (int i = 0; i < count; i++)
        if (!mats[i].data || mats[i].type != a->q.type ||
            mats[i].ld < (int64_t)a->heads * a->head_dim)
            return tic_fail(err, TIC_EUSAGE,
                            "attention: operand %d is missing, too narrow or of another type", i);
    return TIC_OK;
}

static tic_status enter(tic_ctx *ctx, const tic_attention_args *a, bool backward, tic_error *err) {
    const tic_mat mats[] = {a->q, a->k, a->v, a->o, a->d_o, a->dq, a->dk, a->dv};
    if (a->sequences < 0 || a->heads < 1 || a->head_dim < 1)
        return tic_fail(err, TIC_EUSAGE, "attention: %lld sequences, %d heads of %d",
                        (long long)a->sequences, a->heads, a->head_dim);
    if (a->sequences == 0)
        return TIC_OK;
    TIC_TRY(check_sequences(a, err));
    TIC_TRY(check_mats(a, mats, backward ? 8 : 4, err));
    if (backward && !a->lse)
        return tic_fail(err, TIC_EUSAGE, "attention_backward: needs forward's lse");
    int64_t queries, keys;
    longest(a, &queries, &keys);
    char shape[96];
    snprintf(shape, sizeof shape, "s%lld,h%d,d%d,q%lld,k%lld%s", (long long)a->sequences, a->heads,
             a->head_dim, (long long)queries, (long long)keys, a->causal ? ",causal" : "");
    const tic_op op = backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION;
    tic_count_logical(ctx, op, tic_attention_macs(a, backward));
    return tic_dispatch(ctx, op, a->q.type, shape, a, err);
}

tic_status tic_attention(tic_ctx *ctx, const tic_attention_args *args, tic_error *err) {
    return enter(ctx, args, false, err);
}

tic_status tic_attention_backward(tic_ctx *ctx, const tic_attention_args *args, tic_error *err) {
    return enter(ctx, args, true, err);
}

uint64_t tic_attention_macs(const tic_attention_args *a, bool backward) {
    uint64_t pairs = 0; /* of a query and a key that it sees */
    for (int64_t s = 0; s < a->sequences; s++) {
        uint64_t q = (uint64_t)(a->q_offsets[s + 1] - a->q_offsets[s]);
        uint64_t k = (uint64_t)(a->kv_offsets[s + 1] - a->kv_offsets[s]);
        pairs += a->causal ? q * (k - q) + q * (q + 1) / 2 : q * k;
    }
    return pairs * (uint64_t)a->heads * (uint64_t)a->head_dim * (backward ? 4 : 2);
}
