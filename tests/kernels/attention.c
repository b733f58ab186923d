/* Attention, forward and backward: every variant against the reference, gradients against
 * differences, equal bits for any number of threads. */
#include "operands.h"

typedef struct problem {
    int sequences, heads, d;
    bool causal;
    tic_dtype type;
    int extra;          /* ld beyond heads * d */
    int32_t queries[8]; /* rows a sequence */
    int32_t keys[8];    /* 0: as many as queries */
} problem;

static const problem problems[] = {
    {1, 1, 8, false, TIC_F32, 0, {1}, {0}},
    {3, 2, 64, false, TIC_F32, 0, {4, 20, 7}, {0}},
    {3, 2, 64, true, TIC_F32, 3, {4, 20, 13}, {0}},
    {2, 3, 24, true, TIC_F32, 1, {77, 31}, {0}},
    {1, 2, 64, false, TIC_F32, 64, {197}, {0}},
    {2, 1, 80, false, TIC_F32, 0, {50, 101}, {0}},
    {2, 1, 128, true, TIC_F32, 0, {65, 256}, {0}},
    {2, 2, 16, true, TIC_F32, 5, {1, 3}, {50, 11}},
    {2, 2, 64, false, TIC_F32, 0, {1, 1}, {197, 2}},
    {2, 1, 13, false, TIC_F32, 2, {17, 5}, {3, 41}},
    {3, 2, 64, true, TIC_BF16, 0, {16, 77, 5}, {0}},
    {1, 2, 32, false, TIC_BF16, 7, {50}, {0}},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

typedef struct operands {
    tic_attention_args args;
    int32_t q_offsets[9], kv_offsets[9];
    int64_t rows_q, rows_kv, ld, n_q, n_kv;  /* n: elements, gaps included */
    double norm_q, norm_k, norm_v, norm_d_o; /* of one head's row, largest */
} operands;

/* The norm of a head's part of a row is at most the row's. */
static double norm(tic_mat m, int64_t rows) {
    return largest_norm(floats_of(m, rows * m.ld), rows, m.ld);
}

static tic_mat random_mat(int64_t rows, int64_t ld, uint32_t lane, tic_dtype type) {
    return mat_of(normals(rows * ld, lane, 1), rows, ld, type);
}

static operands make(const problem *p) {
    operands x = {0};
    for (int s = 0; s < p->sequences; s++) {
        x.q_offsets[s + 1] = x.q_offsets[s] + p->queries[s];
        x.kv_offsets[s + 1] = x.kv_offsets[s] + (p->keys[s] ? p->keys[s] : p->queries[s]);
    }
    x.rows_q = x.q_offsets[p->sequences];
    x.rows_kv = x.kv_offsets[p->sequences];
    x.ld = p->heads * p->d + p->extra;
    x.n_q = x.rows_q * x.ld;
    x.n_kv = x.rows_kv * x.ld;
    x.args = (tic_attention_args){.sequences = p->sequences,
                                  .heads = p->heads,
                                  .head_dim = p->d,
                                  .causal = p->causal,
                                  .scale = 1 / sqrtf((float)p->d),
                                  .q = random_mat(x.rows_q, x.ld, 1, p->type),
                                  .k = random_mat(x.rows_kv, x.ld, 2, p->type),
                                  .v = random_mat(x.rows_kv, x.ld, 3, p->type),
                                  .d_o = random_mat(x.rows_q, x.ld, 4, p->type)};
    x.norm_q = norm(x.args.q, x.rows_q);
    x.norm_k = norm(x.args.k, x.rows_kv);
    x.norm_v = norm(x.args.v, x.rows_kv);
    x.norm_d_o = norm(x.args.d_o, x.rows_q);
    return x;
}

/* Fresh outputs, so that two runs can be compared. */
static tic_attention_args with_outputs(operands *x) {
    tic_attention_args a = x->args;
    a.q_offsets = x->q_offsets;
    a.kv_offsets = x->kv_offsets;
    a.o = mat_of(zeros(x->n_q), x->rows_q, x->ld, a.q.type);
    a.lse = zeros(x->rows_q * a.heads);
    a.dq = mat_of(zeros(x->n_q), x->rows_q, x->ld, a.q.type);
    a.dk = mat_of(zeros(x->n_kv), x->rows_kv, x->ld, a.q.type);
    a.dv = mat_of(zeros(x->n_kv), x->rows_kv, x->ld, a.q.type);
    return a;
}

static void both(tic_ctx *ctx, const tic_attention_args *a, const char *variant) {
    force(ctx, TIC_OP_ATTENTION, variant);
    force(ctx, TIC_OP_ATTENTION_BACKWARD, variant);
    CHECK_OK(tic_attention(ctx, a, err));
    CHECK_OK(tic_attention_backward(ctx, a, err));
}

/* Largest column sum of P: the largest element of dV where dO is all ones. */
static double largest_column(tic_ctx *ctx, operands *x) {
    tic_attention_args a = with_outputs(x);
    float *ones = zeros(x->n_q);
    for (int64_t i = 0; i < x->n_q; i++)
        ones[i] = 1;
    a.d_o = mat_of(ones, x->rows_q, x->ld, a.q.type);
    both(ctx, &a, "ref");
    return largest(floats_of(a.dv, x->n_kv), x->n_kv);
}

/* Bounds. A sum of n products of f32 errs by about EPS sqrt(n) times the sum of their magnitudes
 * (Higham & Mary 2019), which norms bound. So a scaled score errs by EPS scale sqrt(d) |q| |k|, a
 * probability, whose lse errs alike, relatively by twice that and exp's few EPS. The rows of P sum
 * to 1 and its columns to at most `column`; |dP - delta| is at most 2 |dO| |v|. */
static void compare(operands *x, const tic_attention_args *got, const tic_attention_args *want,
                    double column) {
    const tic_attention_args *a = got;
    const int64_t longest = x->rows_kv > x->rows_q ? x->rows_kv : x->rows_q;
    const double score = a->scale * sqrt(a->head_dim) * x->norm_q * x->norm_k;
    const double p = EPS * (2 * score + sqrt((double)longest) + sqrt(a->head_dim) + 16);
    const double ds = 2 * a->scale * x->norm_d_o * x->norm_v;
    const double stored = a->q.type == TIC_BF16 ? EPS_BF16 : 0; /* backward reads o, rounded */
    mat_close_to(got->o, want->o, x->n_q, p * largest(floats_of(a->v, x->n_kv), x->n_kv), "o");
    close_to(got->lse, want->lse, x->rows_q * a->heads, p, EPS, "lse");
    mat_close_to(got->dq, want->dq, x->n_q,
                 (p + stored) * ds * largest(floats_of(a->k, x->n_kv), x->n_kv), "dq");
    mat_close_to(got->dk, want->dk, x->n_kv,
                 (p + stored) * ds * column * largest(floats_of(a->q, x->n_q), x->n_q), "dk");
    mat_close_to(got->dv, want->dv, x->n_kv,
                 p * column * largest(floats_of(a->d_o, x->n_q), x->n_q), "dv");
}

Test(attention, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < PROBLEMS; i++) {
        operands x = make(&problems[i]);
        tic_attention_args want = with_outputs(&x);
        const double column = largest_column(ctx, &x);
        both(ctx, &want, "ref");
        for (int v = -1; (v = check_next(ctx, TIC_OP_ATTENTION, v)) >= 0;) {
            tic_attention_args got = with_outputs(&x);
            both(ctx, &got, tic_variant_get(v).name);
            compare(&x, &got, &want, column);
        }
    }
    tic_ctx_free(ctx);
}

Test(attention, gaps_between_rows_are_left_alone) {
    tic_ctx *ctx = check_ctx(1);
    operands x = make(&problems[2]);
    const int64_t used = x.ld - problems[2].extra;
    for (int v = -1; (v = check_next(ctx, TIC_OP_ATTENTION, v)) >= 0;) {
        tic_attention_args a = with_outputs(&x);
        both(ctx, &a, tic_variant_get(v).name);
        const tic_mat outputs[] = {a.o, a.dq, a.dk, a.dv};
        for (int m = 0; m < 4; m++)
            for (int64_t r = 0; r < x.rows_q; r++)
                for (int64_t j = used; j < x.ld; j++)
                    cr_assert_eq(element(outputs[m], r * x.ld + j), 0);
    }
    tic_ctx_free(ctx);
}

static double loss(void *state) {
    static tic_ctx *ctx;
    operands *x = state;
    tic_attention_args *a = &x->args;
    if (!ctx) {
        ctx = check_ctx(1);
        force(ctx, TIC_OP_ATTENTION, "ref");
    }
    CHECK_OK(tic_attention(ctx, a, err));
    return weighted(a->o.data, a->d_o.data, x->n_q);
}

Test(attention, gradients_are_those_of_the_forward_pass) {
    static const int chosen[] = {1, 2, 7, 9};
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < 4; i++) {
        operands x = make(&problems[chosen[i]]);
        x.args = with_outputs(&x);
        for (int v = -1; (v = check_next(ctx, TIC_OP_ATTENTION, v)) >= 0;) {
            both(ctx, &x.args, tic_variant_get(v).name);
            gradient_of(loss, &x, x.args.q.data, x.n_q, x.args.dq.data, 0x1p-7, "dq");
            gradient_of(loss, &x, x.args.k.data, x.n_kv, x.args.dk.data, 0x1p-7, "dk");
            gradient_of(loss, &x, x.args.v.data, x.n_kv, x.args.dv.data, 0x1p-7, "dv");
        }
    }
    tic_ctx_free(ctx);
}

Test(attention, bits_do_not_depend_on_threads) {
    operands x = make(&problems[3]);
    tic_attention_args want = {0};
    for (int i = 0; i < THREAD_COUNTS; i++) {
        tic_ctx *ctx = check_ctx(thread_counts[i]);
        tic_attention_args a = with_outputs(&x);
        both(ctx, &a, NULL);
        if (i == 0)
            want = a;
        const size_t q = (size_t)x.n_q * sizeof(float), kv = (size_t)x.n_kv * sizeof(float);
        same_bits(a.o.data, want.o.data, q, "o", thread_counts[i]);
        same_bits(a.dq.data, want.dq.data, q, "dq", thread_counts[i]);
        same_bits(a.dk.data, want.dk.data, kv, "dk", thread_counts[i]);
        same_bits(a.dv.data, want.dv.data, kv, "dv", thread_counts[i]);
        tic_ctx_free(ctx);
    }
}

Test(attention, scores_far_apart_and_not_finite) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_ATTENTION, v)) >= 0;) {
        operands x = make(&problems[1]);
        x.args.scale = 400; /* scores in the thousands: softmax is all but one-hot */
        tic_attention_args a = with_outputs(&x);
        both(ctx, &a, tic_variant_get(v).name);
        for (int64_t i = 0; i < x.n_q; i++)
            cr_assert(isfinite(element(a.o, i)) && isfinite(element(a.dq, i)));
        ((float *)x.args.k.data)[5 * x.ld] = NAN;           /* sequence 1, head 0 */
        ((float *)x.args.v.data)[5 * x.ld + 64] = INFINITY; /* head 1 */
        a = with_outputs(&x);
        both(ctx, &a, tic_variant_get(v).name);
        for (int64_t i = 0; i < x.n_q; i++) {
            const int64_t row = i / x.ld, column = i % x.ld;
            const bool in = row >= x.q_offsets[1] && row < x.q_offsets[2];
            if (in && column < 64)
                cr_assert(isnan(element(a.o, i)));
            else if (!(in && column == 64))
                cr_assert(isfinite(element(a.o, i)));
        }
    }
    tic_ctx_free(ctx);
}

Test(attention, counts_and_scratch) {
    for (int i = 0; i < PROBLEMS; i++) {
        tic_ctx *ctx = check_ctx(3);
        operands x = make(&problems[i]);
        tic_attention_args a = with_outputs(&x);
        int64_t q = 0, kv = 0;
        for (int s = 0; s < problems[i].sequences; s++) {
            int64_t rows = x.q_offsets[s + 1] - x.q_offsets[s];
            int64_t keys = x.kv_offsets[s + 1] - x.kv_offsets[s];
            q = rows > q ? rows : q;
            kv = keys > kv ? keys : kv;
        }
        CHECK_OK(tic_ctx_reserve(ctx, tic_attention_scratch(ctx, q, kv, problems[i].d), err));
        for (int v = -1; (v = check_next(ctx, TIC_OP_ATTENTION, v)) >= 0;)
            both(ctx, &a, tic_variant_get(v).name);
        cr_assert_eq(tic_ctx_growths(ctx), 0);
        tic_counters counters;
        tic_ctx_counters(ctx, &counters);
        const tic_macs *by = counters.by[TIC_FOR_FORWARD];
        const uint64_t forward = tic_attention_macs(&a, false);
        cr_assert_eq(by[TIC_OP_ATTENTION].logical % forward, 0);
        cr_assert_geq(by[TIC_OP_ATTENTION].issued, by[TIC_OP_ATTENTION].logical);
        cr_assert_eq(by[TIC_OP_ATTENTION_BACKWARD].logical, 2 * by[TIC_OP_ATTENTION].logical);
        cr_assert_geq(4 * by[TIC_OP_ATTENTION_BACKWARD].issued,
                      5 * by[TIC_OP_ATTENTION_BACKWARD].logical);
        tic_ctx_free(ctx);
    }
    /* 2 sequences x 1 head, one visible pair each way of 4 elements: by hand */
    const int32_t offsets[] = {0, 2, 5};
    const tic_attention_args hand = {.sequences = 2,
                                     .q_offsets = offsets,
                                     .kv_offsets = offsets,
                                     .heads = 3,
                                     .head_dim = 4,
                                     .causal = true};
    cr_assert_eq(tic_attention_macs(&hand, false), (3 + 6) * 3 * 4 * 2);
}

Test(attention, impossible_arguments_are_refused) {
    tic_ctx *ctx = check_ctx(1);
    operands x = make(&problems[2]);
    const tic_attention_args good = with_outputs(&x);
    tic_attention_args a = good;
    a.heads = 0;
    CHECK_FAILS(TIC_EUSAGE, "0 heads", tic_attention(ctx, &a, err));
    a = good;
    a.k.ld = 100;
    CHECK_FAILS(TIC_EUSAGE, "operand 1", tic_attention(ctx, &a, err));
    a = good;
    a.v.type = TIC_BF16;
    CHECK_FAILS(TIC_EUSAGE, "operand 2", tic_attention(ctx, &a, err));
    a = good;
    a.lse = NULL;
    CHECK_OK(tic_attention(ctx, &a, err));
    CHECK_FAILS(TIC_EUSAGE, "lse", tic_attention_backward(ctx, &a, err));
    a = good;
    a.kv_offsets = (const int32_t[]){0, 3, 23, 36}; /* causal with more queries than keys */
    CHECK_FAILS(TIC_EUSAGE, "sequence 0", tic_attention(ctx, &a, err));
    tic_ctx_free(ctx);
}
