/* What gemm's tests share: one case behind guard pages, the truth and its bound, and every variant
 * in turn with blocks so small that small problems have many. */
#ifndef TESTS_KERNELS_GEMM_CASE_H
#define TESTS_KERNELS_GEMM_CASE_H

#include "check.h"

#include "kernels/drive/gemm.h"

#include <stdio.h>

/* ---- one case: operands behind guard pages, the truth and its bound -------------------------- */

typedef struct setup {
    tic_trans trans;
    tic_dtype precision, a, b, c, pre;
    int64_t m, n, k, pad; /* pad: ld beyond the columns */
    tic_act act;
    bool bias, keep_pre, grad, residual, accumulate, colsum, at_start;
} setup;

enum { OPERANDS = 8 };
typedef struct operands {
    tic_gemm_args args;
    check_guarded maps[OPERANDS];
    int used;
    float *before; /* C before the call, [m, ldc] */
} operands;

static const float sentinel = 12345;

static inline void *new_map(operands *o, int64_t elements, tic_dtype type, bool at_start) {
    o->maps[o->used] = check_guarded_new((size_t)elements * tic_dtype_size(type), at_start);
    return o->maps[o->used++].data;
}

static inline tic_mat new_mat(operands *o, const setup *s, int64_t rows, int64_t cols,
                              tic_dtype type, uint64_t seed) {
    tic_mat mat = {.type = type, .ld = cols + s->pad};
    /* the last row ends at its last column: nothing behind it exists */
    int64_t count = rows > 0 && cols > 0 ? (rows - 1) * mat.ld + cols : 0;
    mat.data = new_map(o, count, type, s->at_start);
    for (int64_t i = 0; i < count; i++) {
        float x = i % mat.ld < cols ? check_value(seed, (uint64_t)i, 1) : sentinel;
        if (type == TIC_F32)
            ((float *)mat.data)[i] = x;
        else
            ((tic_bf16 *)mat.data)[i] = tic_to_bf16(x);
    }
    return mat;
}

static inline double at(tic_mat mat, int64_t i, int64_t j) {
    int64_t x = i * mat.ld + j;
    return mat.type == TIC_F32 ? ((float *)mat.data)[x] : tic_from_bf16(((tic_bf16 *)mat.data)[x]);
}

/* The variant that is tested computes in bf16 alone: every case does. */
static bool bf16_only;

static inline operands new_operands(const setup *s) {
    operands o = {.args = {.trans = s->trans,
                           .precision = bf16_only ? TIC_BF16 : s->precision,
                           .m = s->m,
                           .n = s->n,
                           .k = s->k,
                           .act = s->act,
                           .accumulate = s->accumulate}};
    bool ta = s->trans == TIC_TN, tb = s->trans == TIC_NT;
    o.args.a = new_mat(&o, s, ta ? s->k : s->m, ta ? s->m : s->k, s->a, 1);
    o.args.b = new_mat(&o, s, tb ? s->n : s->k, tb ? s->k : s->n, s->b, 2);
    o.args.c = new_mat(&o, s, s->m, s->n, s->c, 3);
    if (s->bias)
        o.args.bias = new_mat(&o, s, 1, s->n, TIC_F32, 4).data;
    if (s->keep_pre)
        o.args.pre = new_mat(&o, s, s->m, s->n, s->pre, 5);
    if (s->grad)
        o.args.grad_pre = new_mat(&o, s, s->m, s->n, s->pre, 6);
    if (s->residual) {
        tic_mat r = new_mat(&o, s, s->m, s->n, TIC_F32, 7);
        o.args.residual = r.data;
        o.args.ld_residual = r.ld;
    }
    if (s->colsum)
        o.args.colsum = new_mat(&o, s, 1, s->m, TIC_F32, 8).data;
    o.before = check_alloc((size_t)(s->m * (s->n + s->pad)) + 1, sizeof(float));
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++)
            o.before[i * o.args.c.ld + j] = (float)at(o.args.c, i, j);
    return o;
}

static inline void free_operands(operands *o) {
    for (int i = 0; i < o->used; i++)
        check_guarded_free(&o->maps[i]);
    tic_free(o->before);
}

typedef struct value { /* a number and how far a correct f32 computation may be from it */
    double x, bound;
} value;

static const double u = 0x1p-24 * 1.01; /* half a step of f32; 1% for second-order terms */

static inline value rounded(value v, tic_dtype type) {
    double unit = type == TIC_BF16 ? 0x1p-8 : u;
    v.bound += unit * (fabs(v.x) + v.bound) + 1e-44;
    return v;
}

static inline value plus(value v, double y) {
    v.x += y;
    return rounded(v, TIC_F32);
}

static inline double part(const tic_gemm_args *args, tic_mat mat, int64_t i, int64_t j) {
    double x = at(mat, i, j);
    return args->precision == TIC_BF16 ? tic_from_bf16(tic_to_bf16((float)x)) : x;
}

/* How many u a sum of n rounded products may be off, times the sum of their magnitudes: n + 1 at
 * worst (Higham), and the root of it, here with a factor 4, since roundings have either sign
 * (Higham & Mary 2019). The smaller: at n = 3,072 a dropped product or a bf16 operand would hide in
 * the first. */
static inline double roundings(int64_t n) {
    return fmin((double)n + 1, 4 * sqrt((double)n) + 2);
}

static inline value product(const tic_gemm_args *args, int64_t i, int64_t j) {
    value v = {0};
    double size = 0;
    for (int64_t p = 0; p < args->k; p++) {
        double a = args->trans == TIC_TN ? part(args, args->a, p, i) : part(args, args->a, i, p);
        double b = args->trans == TIC_NT ? part(args, args->b, j, p) : part(args, args->b, p, j);
        v.x += a * b;
        size += fabs(a * b);
    }
    v.bound = roundings(args->k) * u * size;
    return v;
}

/* |gelu'| and |quick_gelu'| are at most 1.13; the functions of vectors are within 4e-7 |x|. */
static inline value activate(value v, tic_act act) {
    double x = v.x;
    double y = act == TIC_ACT_GELU ? 0.5 * x * erfc(-x * M_SQRT1_2) : x / (1 + exp(-1.702 * x));
    return (value){y, 1.13 * v.bound + 4e-7 * fabs(x)};
}

static inline double slope(double x, tic_act act) {
    if (act == TIC_ACT_GELU)
        return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI);
    double s = 1 / (1 + exp(-1.702 * x));
    return s + 1.702 * x * s * (1 - s);
}

static inline void expect_matrix(const char *what, const setup *s, tic_mat mat, int64_t i,
                                 int64_t j, value want) {
    double got = at(mat, i, j);
    cr_assert(check_near(got, want.x, want.bound),
              "%s[%lld,%lld] of m %lld n %lld k %lld trans %d: %.9g, not %.9g +- %.3g", what,
              (long long)i, (long long)j, (long long)s->m, (long long)s->n, (long long)s->k,
              s->trans, got, want.x, want.bound);
}

static inline void expect_element(const setup *s, const operands *o, int64_t i, int64_t j) {
    const tic_gemm_args *args = &o->args;
    value v = product(args, i, j);
    if (s->bias)
        v = plus(v, args->bias[j]);
    if (s->keep_pre)
        expect_matrix("pre", s, args->pre, i, j, rounded(v, s->pre));
    if (s->grad) {
        double d = slope(at(args->grad_pre, i, j), s->act);
        v = (value){v.x * d, 1.13 * v.bound + 6e-7 * (fabs(v.x) + v.bound)};
    } else if (s->act != TIC_ACT_NONE) {
        v = activate(v, s->act);
    }
    if (s->residual)
        v = plus(v, args->residual[i * args->ld_residual + j]);
    if (s->accumulate)
        v = plus(v, o->before[i * args->c.ld + j]);
    /* + u: C accumulates block by block, its old value may be part of each rounding */
    v.bound += s->accumulate ? (double)(s->k / 16 + 2) * u * (1 + fabs(v.x)) : 0;
    expect_matrix("c", s, args->c, i, j, rounded(v, s->c));
}

static inline void expect_colsum(const setup *s, const operands *o, float before, int64_t i) {
    value v = {s->accumulate ? before : 0, 0};
    double size = fabs(v.x);
    for (int64_t p = 0; p < s->k; p++) {
        v.x += at(o->args.a, p, i);
        size += fabs(at(o->args.a, p, i));
    }
    v.bound = roundings(s->k + 1) * u * size;
    cr_assert(check_near(o->args.colsum[i], v.x, v.bound), "colsum[%lld] %g, not %g", (long long)i,
              o->args.colsum[i], v.x);
}

/* What stands between the rows of C is as it was. */
static inline void expect_padding(const setup *s, tic_mat mat) {
    double left = mat.type == TIC_F32 ? sentinel : tic_from_bf16(tic_to_bf16(sentinel));
    for (int64_t i = 0; i + 1 < s->m; i++)
        for (int64_t j = s->n; j < mat.ld; j++)
            cr_assert(at(mat, i, j) == left, "written beside row %lld", (long long)i);
}

static inline void check_case(tic_ctx *ctx, const setup *s) {
    operands o = new_operands(s);
    float *sums = check_alloc((size_t)s->m, sizeof *sums);
    if (s->colsum)
        memcpy(sums, o.args.colsum, (size_t)s->m * sizeof *sums);
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++)
            expect_element(s, &o, i, j);
    for (int64_t i = 0; s->colsum && i < s->m; i++)
        expect_colsum(s, &o, sums[i], i);
    expect_padding(s, o.args.c);
    tic_free(sums);
    free_operands(&o);
}

/* ---- which variants, with which knobs -------------------------------------------------------- */

enum { SMALL_KC = 16 };

/* Its tile; NULL: it has none. */
static const tic_gemm_micro *micro_of(const tic_variant *variant) {
    return variant->micro;
}

/* A context whose plan runs `variant` with these knobs; NULL when it cannot run here. */
static inline tic_ctx *with_knobs(const tic_variant *variant, const char *knobs, int threads,
                                  tic_plan **plan) {
    tic_ctx *ctx = NULL;
    tic_ctx_options options = {.threads = threads};
    CHECK_OK(tic_plan_new(plan, err));
    for (int p = TIC_F32; p <= TIC_BF16; p++) {
        char line[128];
        if (!(variant->info.precisions & 1u << p))
            continue;
        snprintf(line, sizeof line, "gemm/%s/any %s%s", tic_dtype_name((tic_dtype)p),
                 variant->info.name, micro_of(variant) != NULL ? knobs : "");
        CHECK_OK(tic_plan_add(*plan, line, err));
    }
    options.plan = *plan;
    tic_error why = {0};
    if (tic_ctx_new(&ctx, &options, &why) != TIC_OK)
        fprintf(stderr, "not run here: %s\n", why.text);
    return ctx;
}

/* Small blocks, so that small problems have many. */
static inline tic_ctx *small_blocks(const tic_variant *variant, int threads, tic_plan **plan) {
    return with_knobs(variant, " kc=16 mc=24 nc=64", threads, plan);
}

/* C, and the column sums behind it, of one call by so many threads; with `packs` its weight is
 * packed before, where the variant reads a packing. No pad; C is f32. */
static inline void run_gemm(const tic_variant *variant, const char *knobs, int threads, bool packs,
                            const setup *s, float *out) {
    tic_plan *plan;
    tic_ctx *ctx = with_knobs(variant, knobs, threads, &plan);
    operands o = new_operands(s);
    tic_packed packed = tic_gemm_packing(ctx, &o.args);
    cr_assert(!packs || variant->packs == NULL || packed.bytes > 0);
    if (packs && packed.bytes > 0) {
        packed.data = check_alloc(packed.bytes, 1);
        tic_gemm_pack(&packed, o.args.b);
        o.args.packed_b = &packed;
    }
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    memcpy(out, o.args.c.data, (size_t)(s->m * s->n) * sizeof *out);
    if (s->colsum)
        memcpy(out + s->m * s->n, o.args.colsum, (size_t)s->m * sizeof *out);
    tic_free(packed.data);
    free_operands(&o);
    tic_ctx_free(ctx);
    tic_plan_free(plan);
}

static inline void for_each_variant(void (*check)(tic_ctx *ctx, const tic_variant *variant),
                                    int threads) {
    int ran = 0;
    for (int i = 0; i < tic_registry_size; i++) {
        const tic_variant *variant = &tic_registry[i];
        if (variant->info.op != TIC_OP_GEMM)
            continue;
        tic_plan *plan;
        tic_ctx *ctx = small_blocks(variant, threads, &plan);
        bf16_only = !(variant->info.precisions & 1u << TIC_F32);
        if (ctx != NULL) {
            check(ctx, variant);
            cr_assert_str_eq(tic_ctx_ran(ctx, TIC_OP_GEMM), variant->info.name);
            ran++;
        }
        tic_ctx_free(ctx);
        tic_plan_free(plan);
    }
    bf16_only = false;
    cr_assert(ran >= 2); /* portable and ref run everywhere */
}

#endif
