/* Reference of attention, forward and backward: one query row at a time, sums in double. */
#include "kernels/ops.h"
#include "kernels/ref/dot.h"

#include <math.h>

typedef struct row { /* one query row of one head */
    const tic_attention_args *a;
    int64_t query, key; /* its row in q, and its sequence's first row in k */
    int64_t column;     /* of the head */
    int64_t visible;    /* keys it sees */
    int head;
} row;

/* Row i of x, the head's columns. */
static tic_line line(const row *r, tic_mat x, int64_t i) {
    return tic_line_along(x, i, r->column);
}

static double dot(const row *r, tic_mat x, int64_t i, tic_mat y, int64_t j) {
    return tic_line_dot(r->a->head_dim, line(r, x, i), line(r, y, j));
}

/* sum_j p[j] x[key + j, c] over the keys that the row sees */
static double weighted(const row *r, const double *p, tic_mat x, int64_t c) {
    return tic_line_dot(r->visible, tic_line_f64(p, 1), tic_line_down(x, r->key, c));
}

/* rowsum(dO ∘ O): elementwise, not a product */
static double delta_of(const row *r) {
    double sum = 0;
    for (int64_t c = r->column; c < r->column + r->a->head_dim; c++)
        sum += (double)tic_mat_get(r->a->d_o, r->query, c) * tic_mat_get(r->a->o, r->query, c);
    return sum;
}

/* p[j] = softmax of the row's scores; returns their log-sum-exp. */
static double softmax(const row *r, double *p) {
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < r->visible; j++) {
        p[j] = r->a->scale * dot(r, r->a->q, r->query, r->a->k, r->key + j);
        max = p[j] > max || isnan(p[j]) ? p[j] : max;
    }
    for (int64_t j = 0; j < r->visible; j++)
        sum += p[j] = exp(p[j] - max);
    for (int64_t j = 0; j < r->visible; j++)
        p[j] /= sum;
    return max + log(sum);
}

static void forward_row(const row *r, double *p, double *unused) {
    const tic_attention_args *a = r->a;
    (void)unused;
    double lse = softmax(r, p);
    if (a->lse)
        a->lse[r->query * a->heads + r->head] = (float)lse;
    for (int64_t c = r->column; c < r->column + a->head_dim; c++)
        tic_mat_put(a->o, r->query, c, (float)weighted(r, p, a->v, c));
}

/* Answers forward_row. `sums` holds the head's dk and dv, [keys][2][head_dim]. P is recomputed from
 * the lse that forward kept, as every variant does. */
static void backward_row(const row *r, double *p, double *sums) {
    const tic_attention_args *a = r->a;
    const int64_t d = a->head_dim;
    double lse = a->lse[r->query * a->heads + r->head];
    double delta = delta_of(r);
    for (int64_t j = 0; j < r->visible; j++) {
        double pj = exp(a->scale * dot(r, a->q, r->query, a->k, r->key + j) - lse);
        p[j] = a->scale * pj * (dot(r, a->d_o, r->query, a->v, r->key + j) - delta); /* dS */
        double *dk = sums + j * 2 * d, *dv = dk + d;
        tic_line_add(d, p[j], line(r, a->q, r->query), dk);
        tic_line_add(d, pj, line(r, a->d_o, r->query), dv);
    }
    for (int64_t c = r->column; c < r->column + d; c++)
        tic_mat_put(a->dq, r->query, c, (float)weighted(r, p, a->k, c));
}

static void write_sums(const row *r, int64_t keys, double *sums) {
    const int64_t d = r->a->head_dim;
    for (int64_t j = 0; j < keys; j++)
        for (int64_t c = 0; c < d; c++) {
            tic_mat_put(r->a->dk, r->key + j, r->column + c, (float)sums[j * 2 * d + c]);
            tic_mat_put(r->a->dv, r->key + j, r->column + c, (float)sums[j * 2 * d + d + c]);
        }
}

static tic_status each_row(tic_ctx *ctx, const tic_attention_args *a, bool backward,
                           tic_error *err) {
    int64_t longest = 0;
    uint64_t pairs = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t keys = a->kv_offsets[s + 1] - a->kv_offsets[s];
        longest = keys > longest ? keys : longest;
    }
    const int64_t d = a->head_dim;
    double *p; /* [longest], and behind it dk and dv of one head */
    TIC_TRY(tic_alloc(&p, (size_t)(longest * (1 + 2 * d)), sizeof *p, err));
    double *sums = p + longest;
    for (int64_t s = 0; s < a->sequences; s++)
        for (int h = 0; h < a->heads; h++) {
            int64_t queries = a->q_offsets[s + 1] - a->q_offsets[s];
            int64_t keys = a->kv_offsets[s + 1] - a->kv_offsets[s];
            row r = {a, 0, a->kv_offsets[s], h * d, 0, h};
            for (int64_t i = 0; i < keys * 2 * d; i++)
                sums[i] = 0;
            for (int64_t i = 0; i < queries; i++) {
                r.query = a->q_offsets[s] + i;
                r.visible = a->causal ? i + 1 + keys - queries : keys;
                (backward ? backward_row : forward_row)(&r, p, sums);
                pairs += (uint64_t)r.visible;
            }
            if (backward)
                write_sums(&r, keys, sums);
        }
    tic_free(p);
    tic_count_issued(ctx, 0, backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION,
                     pairs * (uint64_t)d * (backward ? 5 : 2));
    return TIC_OK;
}

TIC_RUN(tic_attention_ref) {
    (void)variant, (void)knobs;
    return each_row(ctx, args, false, err);
}

TIC_RUN(tic_attention_backward_ref) {
    (void)variant, (void)knobs;
    return each_row(ctx, args, true, err);
}
