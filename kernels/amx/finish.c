/* The epilogues of the bf16 GEMM on AMX tiles: one loop over rows, compiled for the kinds
 * that a training step has and, for every other one, with what it is told as it runs. */
#include "kernels/amx/finish.h"

#include "kernels/amx/activate.h"

typedef struct kind {
    tic_act act;
    bool slope, bias, pre, residual, accumulate;
    tic_dtype c, kept;
} kind;

typedef struct row { /* its two vectors */
    lanes x, y;
} row;

TIC_INLINE row load_row(const tic_amx_finish *f, const char *from, tic_dtype type) {
    if (type == TIC_F32)
        return (row){lanes_load((const float *)(const void *)from, f->first),
                     lanes_load((const float *)(const void *)from + 16, f->second)};
    return (row){lanes_load_bf16((const tic_bf16 *)(const void *)from, f->first),
                 lanes_load_bf16((const tic_bf16 *)(const void *)from + 16, f->second)};
}

TIC_INLINE void store_row(const tic_amx_finish *f, char *to, tic_dtype type, row v) {
    if (type == TIC_F32) {
        lanes_store((float *)(void *)to, v.x, f->first);
        lanes_store((float *)(void *)to + 16, v.y, f->second);
    } else {
        lanes_store_pair_bf16((tic_bf16 *)(void *)to, v.x, v.y, f->first, f->second);
    }
}

TIC_INLINE row finish_row(const tic_amx_finish *f, kind k, row bias, row v) {
    if (k.bias) {
        v.x += bias.x;
        v.y += bias.y;
    }
    if (k.slope) {
        const row pre = load_row(f, f->kept.data, k.kept);
        v.x *= lanes_act_slope(pre.x, k.act);
        v.y *= lanes_act_slope(pre.y, k.act);
    } else if (k.act != TIC_ACT_NONE) {
        if (k.pre)
            store_row(f, f->kept.data, k.kept, v);
        v.x = lanes_act(v.x, k.act);
        v.y = lanes_act(v.y, k.act);
    }
    if (k.residual) {
        const row other = load_row(f, f->residual.data, TIC_F32);
        v.x += other.x;
        v.y += other.y;
    }
    if (k.accumulate) {
        const row other = load_row(f, f->c.data, k.c);
        v.x = other.x + v.x;
        v.y = other.y + v.y;
    }
    return v;
}

TIC_INLINE void finish_rows(tic_amx_finish *state, kind k, int64_t rows) {
    tic_amx_finish f = *state;
    row bias = {0};
    if (k.bias)
        bias = load_row(&f, (const char *)f.bias, TIC_F32);
    for (; rows > 0 && f.left > 0; rows--) {
        const row sums = {lanes_load(f.sums, 0xffff), lanes_load(f.sums + 16, 0xffff)};
        store_row(&f, f.c.data, k.c, finish_row(&f, k, bias, sums));
        f.sums += TIC_AMX_PANEL;
        f.c.data += f.c.step;
        if (k.slope || k.pre)
            f.kept.data += f.kept.step;
        if (k.residual)
            f.residual.data += f.residual.step;
        f.left--;
    }
    state->left = f.left;
    state->sums = f.sums;
    state->c.data = f.c.data;
    state->kept.data = f.kept.data;
    state->residual.data = f.residual.data;
}

static kind kind_of(const tic_gemm_args *args, bool accumulate) {
    const tic_mat kept = tic_amx_kept(args);
    return (kind){
        .act = args->act,
        .slope = args->grad_pre.data != NULL,
        .bias = args->bias != NULL,
        .pre = args->pre.data != NULL,
        .residual = args->residual != NULL,
        .accumulate = accumulate,
        .c = args->c.type,
        .kept = kept.data != NULL ? kept.type : TIC_F32,
    };
}

static bool same(kind a, kind b) {
    return a.act == b.act && a.slope == b.slope && a.bias == b.bias && a.pre == b.pre &&
           a.residual == b.residual && a.accumulate == b.accumulate && a.c == b.c &&
           a.kept == b.kept;
}

/* ---- those of a training step ---------------------------------------------------------------- */

/* clang-format off */
#define KINDS(f)                                                                                   \
    f(product, .c = TIC_F32)                                                                       \
    f(product_16, .c = TIC_BF16)                                                                   \
    f(added, .accumulate = true)                                                                   \
    f(biased, .bias = true)                                                                        \
    f(biased_16, .bias = true, .c = TIC_BF16)                                                      \
    f(residual, .bias = true, .residual = true)                                                    \
    f(gelu, .act = TIC_ACT_GELU, .bias = true, .pre = true, .c = TIC_BF16, .kept = TIC_BF16)       \
    f(quick, .act = TIC_ACT_QUICK_GELU, .bias = true, .pre = true, .c = TIC_BF16, .kept = TIC_BF16) \
    f(gelu_slope, .act = TIC_ACT_GELU, .slope = true, .c = TIC_BF16, .kept = TIC_BF16)             \
    f(quick_slope, .act = TIC_ACT_QUICK_GELU, .slope = true, .c = TIC_BF16, .kept = TIC_BF16)
/* clang-format on */

#define FINISH(name, ...)                                                                          \
    static void finish_##name(tic_amx_finish *f, int64_t rows) {                                   \
        finish_rows(f, (kind){__VA_ARGS__}, rows);                                                 \
    }
KINDS(FINISH)

/* ---- any other one --------------------------------------------------------------------------- */

#define FINISH_ANY(name, which, sloped)                                                            \
    static void finish_any_##name(tic_amx_finish *f, int64_t rows) {                               \
        kind k = kind_of(f->args, f->accumulate);                                                  \
        k.act = which;                                                                             \
        k.slope = sloped;                                                                          \
        finish_rows(f, k, rows);                                                                   \
    }
FINISH_ANY(plain, TIC_ACT_NONE, false)
FINISH_ANY(gelu, TIC_ACT_GELU, false)
FINISH_ANY(quick, TIC_ACT_QUICK_GELU, false)
FINISH_ANY(gelu_slope, TIC_ACT_GELU, true)
FINISH_ANY(quick_slope, TIC_ACT_QUICK_GELU, true)

/* ---- which ----------------------------------------------------------------------------------- */

#define SAME(name, ...)                                                                            \
    if (same(k, (kind){__VA_ARGS__}))                                                              \
        return finish_##name;

tic_amx_finish_rows TIC_TIERED(tic_amx_finish_rows)(const tic_amx_band *band) {
    const kind k = kind_of(band->args, band->accumulate);
    KINDS(SAME)
    if (k.act == TIC_ACT_NONE)
        return finish_any_plain;
    if (k.act == TIC_ACT_GELU)
        return k.slope ? finish_any_gelu_slope : finish_any_gelu;
    return k.slope ? finish_any_quick_slope : finish_any_quick;
}
