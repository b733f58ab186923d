/* Micro-loops of attention: packing, softmax and its backward. All work on f32 scratch whose rows
 * are padded to whole vectors, so that only packing and unpacking know about edges and element
 * types. Scores stand transposed: a lane is a query, a row a key. */
#include "kernels/ops.h"
#include "kernels/vec/exp2.h"
#include "kernels/vec/lanes.h"

#include <math.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- packing -------------------------------------------------------------------------------- */

static int64_t part(int64_t left) {
    return left < VF_LANES ? left : VF_LANES;
}

ALWAYS_INLINE void pack_as(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld,
                           float *out, int64_t padded) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j += VF_LANES)
            vf_store(out + i * padded + j, vf_load_as(in, type, i * ld + j, part(d - j)));
}

static void pack(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld, float *out,
                 int64_t padded) {
    if (type == TIC_F32)
        pack_as(rows, d, in, TIC_F32, ld, out, padded);
    else
        pack_as(rows, d, in, TIC_BF16, ld, out, padded);
}

ALWAYS_INLINE void pack_transposed_as(int64_t rows, int64_t d, const void *in, tic_dtype type,
                                      int64_t ld, float *out, int64_t ld_out) {
    for (int64_t i = 0; i < rows; i += VF_LANES)
        for (int64_t j = 0; j < d; j += VF_LANES) {
            vf square[VF_LANES];
            for (int64_t r = 0; r < VF_LANES; r++)
                square[r] =
                    i + r < rows ? vf_load_as(in, type, (i + r) * ld + j, part(d - j)) : vf_set(0);
            vf_transpose(square);
            for (int64_t r = 0; r < VF_LANES; r++)
                if (j + r < d)
                    vf_store(out + (j + r) * ld_out + i, square[r]);
        }
}

static void pack_transposed(int64_t rows, int64_t d, const void *in, tic_dtype type, int64_t ld,
                            float *out, int64_t ld_out) {
    if (type == TIC_F32)
        pack_transposed_as(rows, d, in, TIC_F32, ld, out, ld_out);
    else
        pack_transposed_as(rows, d, in, TIC_BF16, ld, out, ld_out);
}

ALWAYS_INLINE void unpack_as(int64_t rows, int64_t d, const float *in, int64_t padded, void *out,
                             tic_dtype type, int64_t ld) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j += VF_LANES)
            vf_store_as(out, type, i * ld + j, vf_load(in + i * padded + j), part(d - j));
}

static void unpack(int64_t rows, int64_t d, const float *in, int64_t padded, void *out,
                   tic_dtype type, int64_t ld) {
    if (type == TIC_F32)
        unpack_as(rows, d, in, padded, out, TIC_F32, ld);
    else
        unpack_as(rows, d, in, padded, out, TIC_BF16, ld);
}

/* ---- softmax -------------------------------------------------------------------------------- */

static const float log2_e = 1.44269504f, ln_2 = 0.693147181f;

/* One vector of queries, from the q-th on. All of them see the first `full` keys, and the last one
 * the first `seen`. */
ALWAYS_INLINE void softmax_column(const tic_attention_scores *t, int64_t q, int64_t full,
                                  int64_t seen, float *s, float *lse, float *reciprocal) {
    const vf scale = vf_set(t->scale * log2_e);
    const int64_t ld = t->ld;
    vf max[4], sum = vf_set(0);
    for (int i = 0; i < 4; i++)
        max[i] = vf_set(-INFINITY);
    int64_t j = 0;
    for (; j + 4 <= full; j += 4) /* four chains; a NaN among the scores reaches the sum below */
        for (int i = 0; i < 4; i++)
            max[i] = vf_max(vf_load(s + (j + i) * ld) * scale, max[i]);
    for (; j < full; j++)
        max[0] = vf_max(vf_load(s + j * ld) * scale, max[0]);
    for (; j < seen; j++)
        max[0] = vf_max(vf_keep_after(j - t->visible - q, vf_load(s + j * ld) * scale, -INFINITY),
                        max[0]);
    const vf top = vf_max(vf_max(max[0], max[1]), vf_max(max[2], max[3]));
    for (j = 0; j < full; j++) {
        vf p = vf_exp2(vf_fma(vf_load(s + j * ld), scale, -top));
        sum += p;
        vf_store(s + j * ld, p);
    }
    for (; j < seen; j++) {
        vf p = vf_exp2(vf_fma(vf_load(s + j * ld), scale, -top));
        p = vf_keep_after(j - t->visible - q, p, 0);
        sum += p;
        vf_store(s + j * ld, p);
    }
    /* a tile of queries that goes on in the next vector reads a few keys more, and one of keys that
     * begins in the vector before a few queries */
    for (; j < tic_least(seen + TIC_ATTENTION_TILE_ROWS, t->keys); j++)
        vf_store(s + j * ld, vf_set(0));
    vf_store(lse, vf_fma(top, vf_set(ln_2), vf_log(sum)));
    vf_store(reciprocal, 1 / sum);
}

static void softmax(const tic_attention_scores *t, float *s, float *lse, float *reciprocal) {
    for (int64_t q = 0; q < t->queries; q += VF_LANES) {
        const int64_t full = t->causal ? tic_least(t->visible + q, t->keys) : t->keys;
        const int64_t seen =
            t->causal ? tic_least(t->visible + q + VF_LANES - 1, t->keys) : t->keys;
        softmax_column(t, q, full, seen, s + q, lse + q, reciprocal + q);
    }
}

/* As softmax_column: P, and delta = rowsum(dO o O) as rowsum(P o dP), which is the same and needs
 * no O; then dS. */
ALWAYS_INLINE void backward_column(const tic_attention_scores *t, int64_t q, int64_t full,
                                   int64_t seen, float *s, float *dp, const float *lse) {
    const vf scale = vf_set(t->scale), exponent = vf_set(t->scale * log2_e);
    const vf shift = -log2_e * vf_load(lse);
    const int64_t ld = t->ld;
    vf delta[2] = {vf_set(0), vf_set(0)};
    int64_t j = 0;
    for (; j + 2 <= full; j += 2) /* two chains */
        for (int i = 0; i < 2; i++) {
            vf p = vf_exp2(vf_fma(vf_load(s + (j + i) * ld), exponent, shift));
            delta[i] = vf_fma(p, vf_load(dp + (j + i) * ld), delta[i]);
            vf_store(s + (j + i) * ld, p);
        }
    for (; j < seen; j++) {
        const int64_t blind = j < full ? -1 : j - t->visible - q;
        vf p = vf_exp2(vf_fma(vf_load(s + j * ld), exponent, shift));
        p = vf_keep_after(blind, p, 0);
        delta[0] = vf_fma(p, vf_keep_after(blind, vf_load(dp + j * ld), 0), delta[0]);
        vf_store(s + j * ld, p);
    }
    const vf less = (delta[0] + delta[1]) * -scale;
    for (j = 0; j < full; j++)
        vf_store(dp + j * ld, vf_load(s + j * ld) * vf_fma(vf_load(dp + j * ld), scale, less));
    for (; j < seen; j++) {
        vf ds = vf_load(s + j * ld) * vf_fma(vf_load(dp + j * ld), scale, less);
        vf_store(dp + j * ld, vf_keep_after(j - t->visible - q, ds, 0));
    }
    for (; j < tic_least(seen + TIC_ATTENTION_TILE_ROWS, t->keys); j++) {
        vf_store(s + j * ld, vf_set(0));
        vf_store(dp + j * ld, vf_set(0));
    }
}

static void softmax_backward(const tic_attention_scores *t, float *s, float *dp, const float *lse) {
    for (int64_t q = 0; q < t->queries; q += VF_LANES) {
        const int64_t full = t->causal ? tic_least(t->visible + q, t->keys) : t->keys;
        const int64_t seen =
            t->causal ? tic_least(t->visible + q + VF_LANES - 1, t->keys) : t->keys;
        backward_column(t, q, full, seen, s + q, dp + q, lse + q);
    }
}

const tic_attention_micro TIC_TIERED(tic_attention_micro) = {
    &TIC_TIERED(tic_attention_products), pack, pack_transposed, unpack, softmax, softmax_backward,
};
