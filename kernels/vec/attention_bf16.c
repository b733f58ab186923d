/* Micro-loops of attention whose products take bf16: copying, softmax and its backward, rounding.
 * Scores stand transposed, as in attention.c, and leave as bf16 in the two forms that products
 * want: a row a key (`natural`, [keys, ld]), and tiles of pairs of keys, 16 queries wide
 * (kernels/amx.h). The exponential is the coarse one: what it errs is a thirty-fifth of the
 * rounding after it. */
#include "kernels/ops.h"
#include "kernels/vec/exp2.h"
#include "kernels/vec/lanes.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
enum { TILE = 16, TILE_BYTES = 1024, TILE_PAIRS = 16 };

static const float log2_e = 1.44269504f, ln_2 = 0.693147181f;

/* ---- rounding ------------------------------------------------------------------------------- */

/* Both vectors in bf16, and the pairs of them, low ones in the lower halves. */
typedef struct rounded {
    vu pairs;
    vh low, high;
} rounded;

#if defined(__AVX512BF16__)
ALWAYS_INLINE rounded round_pair(vf low, vf high) {
    static const int16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    return (rounded){(vu)_mm512_permutexvar_epi16(_mm512_loadu_si512(order), both),
                     (vh)_mm512_castsi512_si256(both), (vh)_mm512_extracti64x4_epi64(both, 1)};
}
#else
ALWAYS_INLINE rounded round_pair(vf low, vf high) {
    const vu l = (vu)vf_round_bf16(low) >> 16, h = (vu)vf_round_bf16(high);
    return (rounded){l | h, __builtin_convertvector(l, vh), __builtin_convertvector(h >> 16, vh)};
}
#endif

static void store_halves(tic_bf16 *to, vh halves) {
    memcpy(to, &halves, sizeof halves);
}

/* ---- copies --------------------------------------------------------------------------------- */

static void copy(int64_t rows, int64_t padded_rows, int64_t d, int64_t padded, const tic_bf16 *in,
                 int64_t ld, tic_bf16 *out) {
    for (int64_t i = 0; i < rows; i++, in += ld, out += padded) {
        memcpy(out, in, (size_t)d * sizeof *out);
        memset(out + d, 0, (size_t)(padded - d) * sizeof *out);
    }
    memset(out, 0, (size_t)((padded_rows - rows) * padded) * sizeof *out);
}

static void round_rows(int64_t rows, int64_t d, const float *in, int64_t ld, tic_bf16 *out,
                       int64_t ld_out) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j += VF_LANES)
            vf_store_as(out, TIC_BF16, i * ld_out + j, vf_load(in + i * ld + j),
                        d - j < VF_LANES ? d - j : VF_LANES);
}

/* in is [d, rows]. A square of pairs of features by queries is turned at a time. */
static void round_transposed(int64_t rows, int64_t d, const float *in, int64_t ld,
                             const float *factor, tic_bf16 *out, int64_t ld_out) {
    for (int64_t q = 0; q < rows; q += VF_LANES)
        for (int64_t c = 0; c < d; c += 2 * VF_LANES) {
            vf square[VF_LANES];
            const vf f = factor ? vf_load(factor + q) : vf_set(1);
            for (int64_t i = 0; i < VF_LANES; i++) {
                const float *low = in + (c + 2 * i) * ld + q;
                square[i] = c + 2 * i < d
                                ? (vf)round_pair(vf_load(low) * f, vf_load(low + ld) * f).pairs
                                : vf_set(0);
            }
            vf_transpose(square);
            const int64_t count = d - c < 2 * VF_LANES ? d - c : 2 * VF_LANES;
            for (int64_t i = 0; i < VF_LANES && q + i < rows; i++) {
                tic_bf16 *to = out + (q + i) * ld_out + c;
                if (count == 2 * VF_LANES)
                    memcpy(to, &square[i], sizeof square[i]);
                else
                    memcpy(to, &square[i], (size_t)count * sizeof *to);
            }
        }
}

/* ---- softmax -------------------------------------------------------------------------------- */

/* Pair of keys (j, j + 1), queries q on, in tiles `stride` bytes apart. */
static void store_pairs(void *tiles, int64_t stride, int64_t j, int64_t q, vu pairs) {
    unsigned char *tile = (unsigned char *)tiles + q / TILE * stride;
    memcpy(tile + j / 2 * 4 * TILE + q % TILE * 4, &pairs, sizeof pairs);
}

/* x where a query of the lanes from q on sees key j, `other` elsewhere. */
ALWAYS_INLINE vf where_seen(const tic_attention_scores *t, int64_t j, int64_t q, vf x,
                            float other) {
    if (j >= t->keys)
        return vf_set(other);
    return t->causal ? vf_keep_after(j - t->visible - q, x, other) : x;
}

ALWAYS_INLINE void softmax_column(const tic_attention_scores *t, int64_t q, int64_t full,
                                  int64_t seen, const float *s, float *lse, float *reciprocal,
                                  void *tiles, int64_t stride) {
    const vf scale = vf_set(t->scale * log2_e);
    const int64_t ld = t->ld;
    vf max[4], sum[2] = {vf_set(0), vf_set(0)};
    for (int i = 0; i < 4; i++)
        max[i] = vf_set(-INFINITY);
    int64_t j = 0;
    for (; j + 4 <= full; j += 4) /* four chains; a NaN among the scores reaches the sum below */
        for (int i = 0; i < 4; i++)
            max[i] = vf_max(vf_load(s + (j + i) * ld) * scale, max[i]);
    for (; j < seen; j++)
        max[0] = vf_max(where_seen(t, j, q, vf_load(s + j * ld) * scale, -INFINITY), max[0]);
    const vf top = vf_max(vf_max(max[0], max[1]), vf_max(max[2], max[3]));
    for (j = 0; j + 2 <= full; j += 2) {
        vf p0 = vf_exp2_coarse(vf_fma(vf_load(s + j * ld), scale, -top));
        vf p1 = vf_exp2_coarse(vf_fma(vf_load(s + (j + 1) * ld), scale, -top));
        sum[0] += p0;
        sum[1] += p1;
        store_pairs(tiles, stride, j, q, round_pair(p0, p1).pairs);
    }
    for (; j < seen; j += 2) {
        vf p[2];
        for (int i = 0; i < 2; i++) {
            p[i] = vf_exp2_coarse(vf_fma(vf_load(s + (j + i) * ld), scale, -top));
            p[i] = where_seen(t, j + i, q, p[i], 0);
            sum[i] += p[i];
        }
        store_pairs(tiles, stride, j, q, round_pair(p[0], p[1]).pairs);
    }
    const int64_t end = (t->keys + 2 * TILE_PAIRS - 1) / (2 * TILE_PAIRS) * (2 * TILE_PAIRS);
    for (; j < end; j += 2)
        store_pairs(tiles, stride, j, q, (vu)vf_set(0));
    const vf total = sum[0] + sum[1];
    vf_store(lse, vf_fma(top, vf_set(ln_2), vf_log(total)));
    vf_store(reciprocal, 1 / total);
}

static void softmax(const tic_attention_scores *t, const float *s, float *lse, float *reciprocal,
                    void *tiles, int64_t stride) {
    for (int64_t q = 0; q < t->queries; q += VF_LANES) {
        const int64_t full = t->causal ? tic_least(t->visible + q, t->keys) : t->keys;
        const int64_t seen =
            t->causal ? tic_least(t->visible + q + VF_LANES - 1, t->keys) : t->keys;
        softmax_column(t, q, full, seen, s + q, lse + q, reciprocal + q, tiles, stride);
    }
}

/* A pair of rows, j and j + 1, of a column of a matrix of scores in bf16. */
static void store_rows(tic_bf16 *to, int64_t ld, rounded r) {
    store_halves(to, r.low);
    store_halves(to + ld, r.high);
}

/* As softmax_column: P, and delta = rowsum(dO o O) as rowsum(P o dP), which is the same and needs
 * no O; then dS. */
ALWAYS_INLINE void backward_column(const tic_attention_scores *t, int64_t q, int64_t full,
                                   int64_t seen, float *s, const float *dp, const float *lse,
                                   tic_bf16 *p, tic_bf16 *ds, void *tiles, int64_t stride) {
    const vf scale = vf_set(t->scale), exponent = vf_set(t->scale * log2_e);
    const vf shift = -log2_e * vf_load(lse);
    const int64_t ld = t->ld,
                  end = (t->keys + 2 * TILE_PAIRS - 1) / (2 * TILE_PAIRS) * (2 * TILE_PAIRS);
    const rounded none = round_pair(vf_set(0), vf_set(0));
    vf delta[2] = {vf_set(0), vf_set(0)};
    int64_t j = 0;
    for (; j < seen; j += 2) {
        vf x[2];
        for (int i = 0; i < 2; i++) {
            vf y = vf_load(dp + (j + i) * ld);
            x[i] = vf_exp2_coarse(vf_fma(vf_load(s + (j + i) * ld), exponent, shift));
            if (j + 2 > full) {
                x[i] = where_seen(t, j + i, q, x[i], 0);
                y = where_seen(t, j + i, q, y, 0);
            }
            delta[i] = vf_fma(x[i], y, delta[i]);
            vf_store(s + (j + i) * ld, x[i]);
        }
        store_rows(p + j * ld, ld, round_pair(x[0], x[1]));
    }
    for (int64_t z = j; z < end; z += 2) {
        store_rows(p + z * ld, ld, none);
        store_rows(ds + z * ld, ld, none);
        store_pairs(tiles, stride, z, q, none.pairs);
    }
    const vf less = (delta[0] + delta[1]) * -scale;
    for (j = 0; j < seen; j += 2) {
        vf x[2];
        for (int i = 0; i < 2; i++) {
            x[i] = vf_load(s + (j + i) * ld) * vf_fma(vf_load(dp + (j + i) * ld), scale, less);
            if (j + 2 > full)
                x[i] = where_seen(t, j + i, q, x[i], 0);
        }
        const rounded r = round_pair(x[0], x[1]);
        store_rows(ds + j * ld, ld, r);
        store_pairs(tiles, stride, j, q, r.pairs);
    }
}

static void softmax_backward(const tic_attention_scores *t, float *s, const float *dp,
                             const float *lse, tic_bf16 *p, tic_bf16 *ds, void *tiles,
                             int64_t stride) {
    int64_t q = 0;
    for (; q < t->queries; q += VF_LANES) {
        const int64_t full = t->causal ? tic_least(t->visible + q, t->keys) : t->keys;
        const int64_t seen =
            t->causal ? tic_least(t->visible + q + VF_LANES - 1, t->keys) : t->keys;
        backward_column(t, q, full, seen, s + q, dp + q, lse + q, p + q, ds + q, tiles, stride);
    }
    const vh none = round_pair(vf_set(0), vf_set(0)).low;
    for (; q < (t->queries + 31) / 32 * 32; q += VF_LANES) /* queries are summed over by steps */
        for (int64_t j = 0; j < t->keys; j++) {
            store_halves(p + j * t->ld + q, none);
            store_halves(ds + j * t->ld + q, none);
        }
}

const tic_attention_bf16_micro TIC_TIERED(tic_attention_bf16_micro) = {
    copy, round_rows, round_transposed, softmax, softmax_backward,
};
