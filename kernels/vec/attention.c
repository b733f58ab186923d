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

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

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
    /* a tile of queries that goes on in the next vector reads a few keys more */
    for (; j < least(seen + TIC_ATTENTION_TILE_ROWS, t->keys); j++)
        vf_store(s + j * ld, vf_set(0));
    vf_store(lse, vf_fma(top, vf_set(ln_2), vf_log(sum)));
    vf_store(reciprocal, 1 / sum);
}

static void softmax(const tic_attention_scores *t, float *s, float *lse, float *reciprocal) {
    for (int64_t q = 0; q < t->queries; q += VF_LANES) {
        const int64_t full = t->causal ? least(t->visible + q, t->keys) : t->keys;
        const int64_t seen = t->causal ? least(t->visible + q + VF_LANES - 1, t->keys) : t->keys;
        softmax_column(t, q, full, seen, s + q, lse + q, reciprocal + q);
    }
}

ALWAYS_INLINE void dots_as(int64_t rows, int64_t d, const void *a, int64_t ld_a, const void *b,
                           int64_t ld_b, tic_dtype type, float *delta) {
    for (int64_t i = 0; i < rows; i++) {
        vf sum = vf_set(0);
        for (int64_t j = 0; j < d; j += VF_LANES)
            sum = vf_fma(vf_load_as(a, type, i * ld_a + j, part(d - j)),
                         vf_load_as(b, type, i * ld_b + j, part(d - j)), sum);
        delta[i] = vf_sum(sum);
    }
}

static void dots(int64_t rows, int64_t d, const void *a, int64_t ld_a, const void *b, int64_t ld_b,
                 tic_dtype type, float *delta) {
    if (type == TIC_F32)
        dots_as(rows, d, a, ld_a, b, ld_b, TIC_F32, delta);
    else
        dots_as(rows, d, a, ld_a, b, ld_b, TIC_BF16, delta);
}

/* Of the queries of a row, those from the first vector with one that sees the key are computed, and
 * some before are zero: a tile of keys or queries that crosses the diagonal reads that far. */
static void softmax_backward(const tic_attention_scores *t, float *s, float *dp, float *lse,
                             float *delta) {
    const vf scale = vf_set(t->scale), exponent = vf_set(t->scale * log2_e);
    for (int64_t q = 0; q < t->queries; q += VF_LANES) {
        vf_store(lse + q, -log2_e * vf_load(lse + q));
        vf_store(delta + q, -t->scale * vf_load(delta + q));
    }
    for (int64_t j = 0; j < t->keys; j++, s += t->ld, dp += t->ld) {
        const int64_t blind = t->causal ? j - t->visible : -1; /* the last query not to see it */
        int64_t q = blind < 0 ? 0 : (blind + 1) / VF_LANES * VF_LANES;
        for (int64_t z = q; z > 0 && z > q - TIC_ATTENTION_TILE_ROWS && z <= t->queries;) {
            z -= VF_LANES;
            vf_store(s + z, vf_set(0));
            vf_store(dp + z, vf_set(0));
        }
        if (q <= blind && q < t->queries) {
            vf p = vf_exp2(vf_fma(vf_load(s + q), exponent, vf_load(lse + q)));
            vf ds = p * vf_fma(vf_load(dp + q), scale, vf_load(delta + q));
            vf_store(s + q, vf_keep_after(blind - q, p, 0));
            vf_store(dp + q, vf_keep_after(blind - q, ds, 0));
            q += VF_LANES;
        }
        for (; q < t->queries; q += VF_LANES) {
            vf p = vf_exp2(vf_fma(vf_load(s + q), exponent, vf_load(lse + q)));
            vf_store(dp + q, p * vf_fma(vf_load(dp + q), scale, vf_load(delta + q)));
            vf_store(s + q, p);
        }
    }
}

const tic_attention_micro TIC_TIERED(tic_attention_micro) = {
    &TIC_TIERED(tic_attention_products),
    pack,
    pack_transposed,
    unpack,
    softmax,
    dots,
    softmax_backward,
};
