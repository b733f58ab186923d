/* Micro-loops of attention: the register-tiled product, packing, softmax and its backward. All work
 * on f32 scratch whose rows are padded to whole vectors, so that only packing and unpacking know
 * about edges and element types. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#include <math.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- product -------------------------------------------------------------------------------- */

/* Accumulators are TILE_ROWS * TILE_VECTORS registers, beside them one vector of B a column and a
 * broadcast: 24 + 4 + 1 of 32 registers, or 12 + 2 + 1 of 16. */
enum { TILE_ROWS = 6, TILE_VECTORS = VF_LANES == 16 ? 4 : 2 };

/* C[rows, vectors] = or += A B; rows and vectors are constants where this is inlined. */
ALWAYS_INLINE void tile(int rows, int vectors, int64_t k, const float *a, int64_t a_row,
                        int64_t a_step, const float *b, int64_t ldb, float *c, int64_t ldc,
                        bool accumulate) {
    vf sum[TILE_ROWS][TILE_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = accumulate ? vf_load(c + r * ldc + v * VF_LANES) : vf_set(0);
    for (int64_t p = 0; p < k; p++) {
        vf x[TILE_VECTORS];
        for (int v = 0; v < vectors; v++)
            x[v] = vf_load(b + p * ldb + v * VF_LANES);
        for (int r = 0; r < rows; r++) {
            vf y = vf_set(a[r * a_row + p * a_step]);
            for (int v = 0; v < vectors; v++)
                sum[r][v] = vf_fma(y, x[v], sum[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            vf_store(c + r * ldc + v * VF_LANES, sum[r][v]);
}

#define TILE(rows, vectors)                                                                        \
    TIC_PRODUCT static void tile_##rows##_##vectors(int64_t k, const float *a, int64_t a_row,      \
                                                    int64_t a_step, const float *b, int64_t ldb,   \
                                                    float *c, int64_t ldc, bool accumulate) {      \
        tile(rows, vectors, k, a, a_row, a_step, b, ldb, c, ldc, accumulate);                      \
    }
#define TILES(vectors)                                                                             \
    TILE(1, vectors)                                                                               \
    TILE(2, vectors) TILE(3, vectors) TILE(4, vectors) TILE(5, vectors) TILE(6, vectors)
#define TILE_NAMES(vectors)                                                                        \
    {                                                                                              \
        tile_1_##vectors, tile_2_##vectors, tile_3_##vectors, tile_4_##vectors, tile_5_##vectors,  \
            tile_6_##vectors                                                                       \
    }
typedef void tile_fn(int64_t k, const float *a, int64_t a_row, int64_t a_step, const float *b,
                     int64_t ldb, float *c, int64_t ldc, bool accumulate);
TILES(1)
TILES(2)
#if defined(__AVX512F__)
TILES(3)
TILES(4)
#endif
static tile_fn *const tiles[TILE_VECTORS][TILE_ROWS] = {
    TILE_NAMES(1),
    TILE_NAMES(2),
#if defined(__AVX512F__)
    TILE_NAMES(3),
    TILE_NAMES(4),
#endif
};

/* The size of the next of the nearly equal parts, none above `most`, that `left` is cut into. */
static int64_t next_part(int64_t left, int64_t most) {
    int64_t parts = (left + most - 1) / most;
    return (left + parts - 1) / parts;
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_step,
                    const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate) {
    for (int64_t j = 0, vectors; j < n; j += vectors * VF_LANES) {
        vectors = next_part((n - j) / VF_LANES, TILE_VECTORS);
        for (int64_t i = 0, rows; i < m; i += rows) {
            rows = next_part(m - i, TILE_ROWS);
            tiles[vectors - 1][rows - 1](k, a + i * a_row, a_row, a_step, b + j, ldb,
                                         c + i * ldc + j, ldc, accumulate);
        }
    }
}

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

#if defined(__AVX512F__)
#define INTERLEAVE_LOW(a, b)                                                                       \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b)                                                                      \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif defined(__AVX2__)
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* Transposes a square of LANES vectors in log2(LANES) perfect shuffles. */
ALWAYS_INLINE void transpose(vf square[VF_LANES]) {
    for (int stage = 1; stage < VF_LANES; stage *= 2) {
        vf shuffled[VF_LANES];
        for (int i = 0; i < VF_LANES / 2; i++) {
            shuffled[2 * i] = INTERLEAVE_LOW(square[i], square[i + VF_LANES / 2]);
            shuffled[2 * i + 1] = INTERLEAVE_HIGH(square[i], square[i + VF_LANES / 2]);
        }
        for (int i = 0; i < VF_LANES; i++)
            square[i] = shuffled[i];
    }
}

ALWAYS_INLINE void pack_transposed_as(int64_t rows, int64_t d, const void *in, tic_dtype type,
                                      int64_t ld, float *out, int64_t ld_out) {
    for (int64_t i = 0; i < rows; i += VF_LANES)
        for (int64_t j = 0; j < d; j += VF_LANES) {
            vf square[VF_LANES];
            for (int64_t r = 0; r < VF_LANES; r++)
                square[r] =
                    i + r < rows ? vf_load_as(in, type, (i + r) * ld + j, part(d - j)) : vf_set(0);
            transpose(square);
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

ALWAYS_INLINE void unpack_as(int64_t rows, int64_t d, const float *in, int64_t padded,
                             const float *factor, void *out, tic_dtype type, int64_t ld) {
    for (int64_t i = 0; i < rows; i++) {
        vf f = vf_set(factor ? factor[i] : 1);
        for (int64_t j = 0; j < d; j += VF_LANES)
            vf_store_as(out, type, i * ld + j, f * vf_load(in + i * padded + j), part(d - j));
    }
}

static void unpack(int64_t rows, int64_t d, const float *in, int64_t padded, const float *factor,
                   void *out, tic_dtype type, int64_t ld) {
    if (type == TIC_F32)
        unpack_as(rows, d, in, padded, factor, out, TIC_F32, ld);
    else
        unpack_as(rows, d, in, padded, factor, out, TIC_BF16, ld);
}

/* ---- softmax -------------------------------------------------------------------------------- */

/* x in the first n lanes, `other` in the rest; any n. */
static inline vf keep_first(int64_t n, vf x, float other) {
    static const int32_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vi lane;
    memcpy(&lane, count, sizeof lane);
    return n >= VF_LANES ? x : vf_select(lane < (int32_t)n, x, vf_set(other));
}

static void softmax(int64_t rows, int64_t n, int64_t visible, float scale, float *s, int64_t ld,
                    float *lse, float *reciprocal) {
    for (int64_t r = 0; r < rows; r++, s += ld) {
        int64_t seen = visible + r < n ? visible + r : n;
        vf max = vf_set(-INFINITY), sum = vf_set(0);
        for (int64_t j = 0; j < seen; j += VF_LANES)
            max = vf_max(keep_first(seen - j, vf_load(s + j) * scale, -INFINITY), max);
        float top = vf_max_of(max); /* a NaN among the scores reaches the sum below */
        for (int64_t j = 0; j < seen; j += VF_LANES) {
            vf p = vf_exp(vf_fma(vf_load(s + j), vf_set(scale), vf_set(-top)));
            p = keep_first(seen - j, p, 0);
            sum += p;
            vf_store(s + j, p);
        }
        for (int64_t j = (seen + VF_LANES - 1) / VF_LANES * VF_LANES; j < n; j += VF_LANES)
            vf_store(s + j, vf_set(0));
        float total = vf_sum(sum);
        lse[r] = top + logf(total);
        reciprocal[r] = 1 / total;
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

static void softmax_backward(int64_t rows, int64_t n, int64_t visible, float scale, float *s,
                             float *dp, int64_t ld, const float *lse, const float *delta) {
    for (int64_t r = 0; r < rows; r++, s += ld, dp += ld) {
        int64_t seen = visible + r < n ? visible + r : n;
        for (int64_t j = 0; j < seen; j += VF_LANES) {
            vf p = vf_exp(vf_fma(vf_load(s + j), vf_set(scale), vf_set(-lse[r])));
            p = keep_first(seen - j, p, 0);
            vf ds = p * ((vf_load(dp + j) - delta[r]) * scale);
            vf_store(s + j, p);
            vf_store(dp + j, keep_first(seen - j, ds, 0));
        }
        for (int64_t j = (seen + VF_LANES - 1) / VF_LANES * VF_LANES; j < n; j += VF_LANES) {
            vf_store(s + j, vf_set(0));
            vf_store(dp + j, vf_set(0));
        }
    }
}

const tic_attention_micro TIC_TIERED(tic_attention_micro) = {
    VF_LANES, product, pack, pack_transposed, unpack, softmax, dots, softmax_backward,
};
