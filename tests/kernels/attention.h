/* What the tests of attention share: problems, operands, error bounds derived element by element.
 */
#ifndef TESTS_KERNELS_ATTENTION_H
#define TESTS_KERNELS_ATTENTION_H

#include "operands.h"

typedef struct problem {
    int sequences, heads, d;
    bool causal;
    tic_dtype type;
    int extra;          /* ld beyond heads * d */
    int32_t queries[8]; /* rows a sequence */
    int32_t keys[8];    /* 0: as many as queries */
    float scale;        /* 0: 1 / sqrt(d) */
} problem;

typedef struct operands {
    tic_attention_args args;
    int32_t q_offsets[9], kv_offsets[9];
    int64_t rows_q, rows_kv, ld, n_q, n_kv; /* n: elements, gaps included */
} operands;

static inline tic_mat random_mat(int64_t rows, int64_t ld, uint32_t lane, tic_dtype type) {
    return mat_of(normals(rows * ld, lane, 1), rows, ld, type);
}

static inline operands make(const problem *p) {
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
                                  .scale = p->scale != 0 ? p->scale : 1 / sqrtf((float)p->d),
                                  .q = random_mat(x.rows_q, x.ld, 1, p->type),
                                  .k = random_mat(x.rows_kv, x.ld, 2, p->type),
                                  .v = random_mat(x.rows_kv, x.ld, 3, p->type),
                                  .d_o = random_mat(x.rows_q, x.ld, 4, p->type)};
    return x;
}

/* Fresh outputs, so that two runs can be compared. */
static inline tic_attention_args with_outputs(operands *x) {
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

static inline void both(tic_ctx *ctx, const tic_attention_args *a, const char *variant) {
    force(ctx, TIC_OP_ATTENTION, variant);
    force(ctx, TIC_OP_ATTENTION_BACKWARD, variant);
    CHECK_OK(tic_attention(ctx, a, err));
    CHECK_OK(tic_attention_backward(ctx, a, err));
}

/* What an element may be off: by a sum of errors that may all have one sign, and by roundings to
 * bf16, which are independent; `square` sums the squares of the latter's bounds. By Hoeffding's
 * inequality their sum is within 6 sqrt(square) but for 3 in 10^8 elements, and it never exceeds
 * the sum of their bounds. */
typedef struct bound {
    double sum, rounded, square;
} bound;

/* How far a correct computation may be from the truth, element by element. */
typedef struct bounds {
    bound *o, *dq, *dk, *dv, *lse;
    bool bf16; /* P and dS are rounded to bf16 and exponentials are coarse (kernels/vec/exp2.h) */
} bounds;
#define COARSE 1.1e-4

static inline void add_bound(bound *b, double sum, double rounded) {
    b->sum += sum;
    b->rounded += rounded;
    b->square += rounded * rounded;
}

static inline double bound_of(const bound *b) {
    return b->sum + fmin(b->rounded, 6 * sqrt(b->square));
}

static inline bound *no_bounds(int64_t n) {
    return check_guarded_new((size_t)n * sizeof(bound), false).data;
}

static inline bool multiplies_bf16(int variant) {
    return tic_variant_get(variant).precisions == 1u << TIC_BF16;
}

typedef struct query { /* one row of one head, and the keys it sees */
    const tic_attention_args *a;
    int64_t row, key, keys, column;
} query;

static inline double magnitudes(const query *r, tic_mat x, int64_t i, tic_mat y, int64_t j,
                                double *dot) {
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
 * bf16; dS = scale P (dP - delta); and the sums that dS and P are the weights of. Where bf16 is
 * multiplied, exp and the sum in lse err by COARSE, and each weight by its rounding besides. */
static inline void add_bounds(const query *r, bounds *b, int64_t head) {
    enum { KEYS = 512 };
    const tic_attention_args *a = r->a;
    const int64_t first = r->row * a->q.ld;
    const double root = EPS * (sqrt(a->head_dim) + 2), sums = EPS * (sqrt((double)r->keys) + 2);
    const double lse = a->lse[r->row * a->heads + head], scale = fabs(a->scale);
    const double rounding = b->bf16 ? EPS_BF16 : 0, coarse = b->bf16 ? COARSE : 0;
    double p[KEYS], worst = 0, delta, delta_error, score;
    cr_assert(r->keys <= KEYS);
    for (int64_t j = 0; j < r->keys; j++) {
        worst = fmax(worst, scale * root * magnitudes(r, a->q, r->row, a->k, r->key + j, &score));
        p[j] = exp(a->scale * score - lse);
    }
    const double relative = 2 * worst + sums + 8 * EPS + 2 * EPS * fabs(lse) + 2 * coarse;
    add_bound(&b->lse[r->row * a->heads + head], worst + sums + 2 * EPS * fabs(lse) + coarse, 0);
    delta_error = magnitudes(r, a->d_o, r->row, a->o, r->row, &delta) *
                  (root + (a->o.type == TIC_BF16 ? 2 * EPS_BF16 : 0));
    for (int64_t c = r->column; c < r->column + a->head_dim; c++) {
        for (int64_t j = 0; j < r->keys; j++) {
            const double size = p[j] * fabs(element(a->v, (r->key + j) * a->v.ld + c));
            add_bound(&b->o[first + c], (relative + sums) * size, rounding * size);
        }
        delta_error += fabs(element(a->d_o, first + c)) * bound_of(&b->o[first + c]);
    }
    for (int64_t j = 0; j < r->keys; j++) /* delta may be formed as rowsum(P o dP) too */
        delta_error += root * p[j] * magnitudes(r, a->d_o, r->row, a->v, r->key + j, &score);
    for (int64_t j = 0; j < r->keys; j++) {
        double dp;
        const double dp_error = root * magnitudes(r, a->d_o, r->row, a->v, r->key + j, &dp);
        const double size = fabs(dp - delta), weight = scale * p[j];
        const double ds = weight * (relative * size + dp_error + delta_error);
        const double own = ds + sums * weight * size; /* and of the sums over keys */
        const double cut = rounding * (weight * size + ds);
        const int64_t to = (r->key + j) * a->k.ld;
        for (int64_t c = r->column; c < r->column + a->head_dim; c++) {
            const double k = fabs(element(a->k, to + c)), q = fabs(element(a->q, first + c));
            const double d_o = fabs(element(a->d_o, first + c));
            add_bound(&b->dq[first + c], own * k, cut * k);
            add_bound(&b->dk[to + c], own * q, cut * q);
            add_bound(&b->dv[to + c], (relative + sums) * p[j] * d_o, rounding * p[j] * d_o);
        }
    }
}

static inline bounds bounds_of(const operands *x, const tic_attention_args *want, bool bf16) {
    bounds b = {no_bounds(x->n_q),
                no_bounds(x->n_q),
                no_bounds(x->n_kv),
                no_bounds(x->n_kv),
                no_bounds(x->rows_q * want->heads),
                bf16};
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

static inline void each_close(const char *variant, tic_mat got, tic_mat want, const bound *allowed,
                              int64_t n, const char *what) {
    const double relative = got.type == TIC_BF16 ? 2 * EPS_BF16 : EPS; /* both sides were rounded */
    for (int64_t i = 0; i < n; i++)
        cr_assert(check_near(element(got, i), element(want, i),
                             bound_of(&allowed[i]) + relative * fabs(element(want, i))),
                  "%s: %s[%lld]: %.9g, not %.9g +- %.3g", variant, what, (long long)i,
                  element(got, i), element(want, i), bound_of(&allowed[i]));
}

static inline void compare(const operands *x, const char *variant, const tic_attention_args *got,
                           const tic_attention_args *want, const bounds *b) {
    const int64_t lses = x->rows_q * want->heads;
    each_close(variant, got->o, want->o, b->o, x->n_q, "o");
    each_close(variant, tic_f32(got->lse, 1), tic_f32(want->lse, 1), b->lse, lses, "lse");
    each_close(variant, got->dq, want->dq, b->dq, x->n_q, "dq");
    each_close(variant, got->dk, want->dk, b->dk, x->n_kv, "dk");
    each_close(variant, got->dv, want->dv, b->dv, x->n_kv, "dv");
}

/* The next variant of attention that computes in `type`; loops as check_next. */
static inline int next_for(tic_ctx *ctx, tic_dtype type, int v) {
    do
        v = check_next(ctx, TIC_OP_ATTENTION, v);
    while (v >= 0 && !(tic_variant_get(v).precisions & 1u << type));
    return v;
}

/* Runs p by every variant that can and compares it with the reference. */
static inline void against_reference(tic_ctx *ctx, const problem *p) {
    operands x = make(p);
    tic_attention_args want = with_outputs(&x);
    both(ctx, &want, "ref");
    const bounds fine = bounds_of(&x, &want, false), coarse = bounds_of(&x, &want, true);
    for (int v = -1; (v = next_for(ctx, p->type, v)) >= 0;) {
        tic_attention_args got = with_outputs(&x);
        both(ctx, &got, tic_variant_get(v).name);
        compare(&x, tic_variant_get(v).name, &got, &want, multiplies_bf16(v) ? &coarse : &fine);
    }
}

#endif
