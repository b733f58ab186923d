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
    int64_t rows_q, rows_kv, ld, n_q, n_kv; /* n: elements, gaps included */
} operands;

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

/* How far a correct f32 computation may be from the truth, element by element. */
typedef struct bounds {
    float *o, *dq, *dk, *dv, *lse;
} bounds;

typedef struct query { /* one row of one head, and the keys it sees */
    const tic_attention_args *a;
    int64_t row, key, keys, column;
} query;

static double magnitudes(const query *r, tic_mat x, int64_t i, tic_mat y, int64_t j, double *dot) {
    double sum = 0;
    *dot = 0;
    for (int64_t c = r->column; c < r->column + r->a->head_dim; c++) {
        const double product = (double)element(x, i * x.ld + c) * element(y, j * y.ld + c);
        *dot += product;
        sum += fabs(product);
    }
    return sum;
}

/* A sum of n products in f32 errs by about EPS sqrt(n) times the sum of their magnitudes (Higham &
 * Mary 2019), here (sqrt(n) + 2). So: scores s; P = exp(s - lse), relatively by the errors of s and
 * lse and a few EPS for exp; o; dP; delta = dO o, where o is the variant's own, rounded when it is
 * bf16; dS = scale P (dP - delta); and the sums that dS and P are the weights of. */
static void add_bounds(const query *r, bounds *b, int64_t head) {
    enum { KEYS = 256 };
    const tic_attention_args *a = r->a;
    const int64_t first = r->row * a->q.ld;
    const double root = EPS * (sqrt(a->head_dim) + 2), sums = EPS * (sqrt((double)r->keys) + 2);
    const double lse = a->lse[r->row * a->heads + head];
    double p[KEYS], worst = 0, delta, delta_error, score;
    cr_assert(r->keys <= KEYS);
    for (int64_t j = 0; j < r->keys; j++) {
        worst =
            fmax(worst, a->scale * root * magnitudes(r, a->q, r->row, a->k, r->key + j, &score));
        p[j] = exp(a->scale * score - lse);
    }
    const double relative = 2 * worst + sums + 8 * EPS + 2 * EPS * fabs(lse);
    b->lse[r->row * a->heads + head] = (float)(worst + sums + 2 * EPS * fabs(lse));
    delta_error = magnitudes(r, a->d_o, r->row, a->o, r->row, &delta) *
                  (root + (a->o.type == TIC_BF16 ? 2 * EPS_BF16 : 0));
    for (int64_t c = r->column; c < r->column + a->head_dim; c++) {
        double size = 0;
        for (int64_t j = 0; j < r->keys; j++)
            size += p[j] * fabs(element(a->v, (r->key + j) * a->v.ld + c));
        b->o[first + c] = (float)((relative + sums) * size);
        delta_error += fabs(element(a->d_o, first + c)) * b->o[first + c];
    }
    for (int64_t j = 0; j < r->keys; j++) {
        double dp;
        const double dp_error = root * magnitudes(r, a->d_o, r->row, a->v, r->key + j, &dp);
        const double size = fabs(dp - delta);
        const double ds = a->scale * p[j] * (relative * size + dp_error + delta_error);
        const double own = ds + sums * a->scale * p[j] * size; /* and of the sums over keys */
        const int64_t to = (r->key + j) * a->k.ld;
        for (int64_t c = r->column; c < r->column + a->head_dim; c++) {
            b->dq[first + c] += (float)(own * fabs(element(a->k, to + c)));
            b->dk[to + c] += (float)(own * fabs(element(a->q, first + c)));
            b->dv[to + c] += (float)((relative + sums) * p[j] * fabs(element(a->d_o, first + c)));
        }
    }
}

static bounds bounds_of(const operands *x, const tic_attention_args *want) {
    bounds b = {zeros(x->n_q), zeros(x->n_q), zeros(x->n_kv), zeros(x->n_kv),
                zeros(x->rows_q * want->heads)};
    for (int64_t s = 0; s < want->sequences; s++) {
        const int64_t queries = x->q_offsets[s + 1] - x->q_offsets[s];
        const int64_t keys = x->kv_offsets[s + 1] - x->kv_offsets[s];
        for (int64_t i = 0; i < queries; i++)
            for (int64_t head = 0; head < want->heads; head++) {
                const query r = {.a = want,
                                 .row = x->q_offsets[s] + i,
                                 .key = x->kv_offsets[s],
                                 .keys = want->causal ? i + 1 + keys - queries : keys,
                                 .column = head * want->head_dim};
                add_bounds(&r, &b, head);
            }
    }
    return b;
}

static void each_close(tic_mat got, tic_mat want, const float *bound, int64_t n, const char *what) {
    const double relative = got.type == TIC_BF16 ? 2 * EPS_BF16 : EPS; /* both sides were rounded */
    for (int64_t i = 0; i < n; i++)
        cr_assert(check_near(element(got, i), element(want, i),
                             bound[i] + relative * fabs(element(want, i))),
                  "%s[%lld]: %.9g, not %.9g +- %.3g", what, (long long)i, element(got, i),
                  element(want, i), bound[i]);
}

static void compare(const operands *x, const tic_attention_args *got,
                    const tic_attention_args *want, const bounds *b) {
    const int64_t lses = x->rows_q * want->heads;
    each_close(got->o, want->o, b->o, x->n_q, "o");
    each_close(tic_f32(got->lse, 1), tic_f32(want->lse, 1), b->lse, lses, "lse");
    each_close(got->dq, want->dq, b->dq, x->n_q, "dq");
    each_close(got->dk, want->dk, b->dk, x->n_kv, "dk");
    each_close(got->dv, want->dv, b->dv, x->n_kv, "dv");
}

Test(attention, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < PROBLEMS; i++) {
        operands x = make(&problems[i]);
        tic_attention_args want = with_outputs(&x);
        both(ctx, &want, "ref");
        const bounds bound = bounds_of(&x, &want);
        for (int v = -1; (v = check_next(ctx, TIC_OP_ATTENTION, v)) >= 0;) {
            tic_attention_args got = with_outputs(&x);
            both(ctx, &got, tic_variant_get(v).name);
            compare(&x, &got, &want, &bound);
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

static int next_variant(int v) {
    tic_ctx *ctx = check_ctx(1);
    v = check_next(ctx, TIC_OP_ATTENTION, v);
    tic_ctx_free(ctx);
    return v;
}

Test(attention, counts_and_scratch) {
    for (int i = 0; i < PROBLEMS; i++) {
        operands x = make(&problems[i]);
        tic_attention_args a = with_outputs(&x);
        int64_t q = 0, kv = 0;
        for (int s = 0; s < problems[i].sequences; s++) {
            int64_t rows = x.q_offsets[s + 1] - x.q_offsets[s];
            int64_t keys = x.kv_offsets[s + 1] - x.kv_offsets[s];
            q = rows > q ? rows : q;
            kv = keys > kv ? keys : kv;
        }
        for (int v = -1; (v = next_variant(v)) >= 0;) {
            tic_ctx *ctx = check_ctx(3);
            CHECK_OK(tic_ctx_reserve(ctx, tic_attention_scratch(ctx, q, kv, problems[i].d), err));
            both(ctx, &a, tic_variant_get(v).name);
            cr_assert_eq(tic_ctx_growths(ctx), 0);
            tic_counters counters;
            tic_ctx_counters(ctx, &counters);
            const tic_macs forward = counters.by[TIC_FOR_FORWARD][TIC_OP_ATTENTION];
            const tic_macs backward = counters.by[TIC_FOR_FORWARD][TIC_OP_ATTENTION_BACKWARD];
            cr_assert_eq(forward.logical, tic_attention_macs(&a, false));
            cr_assert_eq(backward.logical, 2 * forward.logical);
            cr_assert_geq(forward.issued, forward.logical);
            cr_assert_geq(4 * backward.issued, 5 * backward.logical);
            tic_ctx_free(ctx);
        }
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
