/* The sizes at which an audit proves a problem. */
#include "autotune/audit.h"

#include <math.h>
#include <stdio.h>

enum { MOST_CALLS = 60000 }; /* of product micro-kernels that are caught in one problem */

/* One tile and what is left over by whole tiles, at least 1. */
static int64_t tile_and_edge(int64_t size, int tile) {
    return size <= tile ? size : tile + (size % tile != 0 ? size % tile : tile);
}

/* Small enough to be stepped, with the edges of the whole. */
tic_problem tic_audit_reduced(const tic_problem *p, int variant) {
    tic_problem small = *p;
    int rows = 3, columns = 5;
    size_t element;
    switch (p->op) {
    case TIC_OP_GEMM:
        (void)tic_variant_tile(variant, &rows, &columns, &element);
        small.m = tile_and_edge(p->m, rows);
        small.n = tile_and_edge(p->n, columns);
        /* beyond what is shallow, where Aᵀ may be read in place */
        small.k = tic_least(p->k, (p->trans == TIC_TN && p->a == TIC_F32 ? 130 : 34) + p->k % 2);
        return small;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        small.m = 1;
        small.heads = 1;
        small.length = (int)tic_least(p->length, 19);
        return small;
    case TIC_OP_CONTRASTIVE:
    case TIC_OP_DISTILL:
        small.m = tic_least(p->m, 37);
        small.n = tic_least(p->n, 20);
        small.k = tic_least(p->k, 20);
        return small;
    case TIC_OP_ADAMW:
        small.n = tic_least(p->n, 1000);
        return small;
    case TIC_OP_PATCHIFY:
        small.m = 1;
        small.n = p->k; /* one patch */
        return small;
    case TIC_OP_EMBEDDING:
    case TIC_OP_EMBEDDING_BACKWARD:
        small.m = tic_least(p->m, 2);
        small.length = (int)tic_least(p->length, 5);
        small.n = tic_least(p->n, 72);
        return small;
    default:
        small.m = tic_least(p->m, 3);
        return small;
    }
}

/* Fewer rows and columns, so that about MOST_CALLS calls of kernels for one element are made. */
tic_problem tic_audit_fewer(const tic_problem *p, double calls) {
    tic_problem fewer = *p;
    const double keep = MOST_CALLS / calls;
    if (keep >= 1)
        return fewer;
    if (p->op == TIC_OP_GEMM || p->op == TIC_OP_CONTRASTIVE || p->op == TIC_OP_DISTILL) {
        fewer.m = (int64_t)((double)p->m * sqrt(keep)) + 1;
        fewer.n = p->op == TIC_OP_GEMM ? (int64_t)((double)p->n * sqrt(keep)) + 1 : p->n;
    } else {
        fewer.m = 1;
        fewer.heads = 1;
        if ((double)p->m * p->heads * keep < 1)
            fewer.length = (int)(p->length * sqrt((double)p->m * p->heads * keep)) + 1;
    }
    return fewer;
}

void tic_audit_describe(const tic_problem *p, char *text, size_t size) {
    if (p->op == TIC_OP_GEMM)
        snprintf(text, size, "%lldx%lldx%lld", (long long)p->m, (long long)p->n, (long long)p->k);
    else if (p->op == TIC_OP_ATTENTION || p->op == TIC_OP_ATTENTION_BACKWARD)
        snprintf(text, size, "%lldx%dx%dx%d", (long long)p->m, p->heads, p->length, p->head_dim);
    else if (p->op == TIC_OP_ADAMW)
        snprintf(text, size, "%lld", (long long)p->n);
    else if (p->op == TIC_OP_EMBEDDING || p->op == TIC_OP_EMBEDDING_BACKWARD)
        snprintf(text, size, "%lldx%dx%lld", (long long)p->m, p->length, (long long)p->n);
    else
        snprintf(text, size, "%lldx%lld", (long long)p->m, (long long)p->n);
}

/* Elements that the call reads, writes or has between, scores included. */
double tic_audit_elements(const tic_problem *p) {
    const double m = (double)p->m, n = (double)p->n, k = (double)p->k, length = p->length;
    switch (p->op) {
    case TIC_OP_GEMM:
        return m * n + m * k + n * k;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        return m * p->heads * length * (length + 8.0 * p->head_dim);
    case TIC_OP_CONTRASTIVE:
    case TIC_OP_DISTILL:
        return m * (2 * m + 6 * n + 2 * k);
    case TIC_OP_ADAMW:
        return n;
    case TIC_OP_PATCHIFY:
        return 3 * m * n * n;
    case TIC_OP_EMBEDDING:
    case TIC_OP_EMBEDDING_BACKWARD:
        return m * length * n;
    default:
        return m * n;
    }
}

/* The problem with twice the terms in each sum of its products; *rows: how many rows of operands
 * and results have so many elements. Returns how many terms more. */
int64_t tic_audit_deepen(tic_problem *p, int64_t *rows) {
    int64_t more;
    switch (p->op) {
    case TIC_OP_GEMM:
        *rows = p->m + p->n;
        more = p->k;
        p->k += more;
        return more;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        *rows = p->m * p->heads * tic_round_up(p->length, 16); /* some pad to tiles */
        more = p->head_dim;
        p->head_dim += (int)more;
        return more;
    default: /* the losses */
        *rows = p->m;
        more = p->n;
        p->n += more;
        return more;
    }
}

/* Calls of product micro-kernels in the whole problem, if they grow as its elements and sums do. */
double tic_audit_calls(const tic_problem *whole, const tic_problem *small,
                       uint64_t calls_of_small) {
    double growth = (double)whole->m / (double)small->m;
    if (whole->op == TIC_OP_GEMM)
        growth *= (double)whole->n / (double)small->n;
    else if (whole->op == TIC_OP_CONTRASTIVE || whole->op == TIC_OP_DISTILL)
        growth *= growth * (double)whole->n / (double)small->n;
    else
        growth *= (double)whole->heads / small->heads * (double)whole->length / small->length *
                  (double)whole->length / small->length;
    return growth * (double)calls_of_small;
}

bool tic_audit_multiplies(tic_op op) {
    return op == TIC_OP_GEMM || op == TIC_OP_ATTENTION || op == TIC_OP_ATTENTION_BACKWARD ||
           op == TIC_OP_CONTRASTIVE || op == TIC_OP_DISTILL;
}

/* With half the rows and columns, or half of what stands for them. */
tic_problem tic_audit_halved(const tic_problem *p, const tic_problem *small) {
    tic_problem half = *p;
    half.m = p->m / 2 > small->m ? p->m / 2 : small->m;
    if (p->op == TIC_OP_GEMM)
        half.n = p->n / 2 > small->n ? p->n / 2 : small->n;
    else if (p->op != TIC_OP_CONTRASTIVE && p->op != TIC_OP_DISTILL) {
        half.heads = p->heads / 2 > small->heads ? p->heads / 2 : small->heads;
        if (half.m == p->m && half.heads == p->heads)
            half.length = p->length / 2 > small->length ? p->length / 2 : small->length;
    }
    return half;
}
