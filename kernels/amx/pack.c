/* Packing into tiles (kernels/amx.h: tic_amx_piece). Whole tiles of 16 x 32 go through registers:
 * 32 rows of p are interleaved in pairs, or 16 rows of i are taken as they are; what then lies the
 * wrong way is a 16 x 16 matrix of pairs and is transposed. Tiles at an edge, and all of them where
 * tiles are emulated, go element by element. */
#include "kernels/amx.h"

#include "kernels/amx/lanes.h"

enum { ROWS = TIC_TILE_ROWS, K = TIC_TILE_K, PAIRS = TIC_TILE_K / 2 };

/* ---- element by element ---------------------------------------------------------------------- */

static float element(const tic_amx_piece *piece, int64_t i, int64_t p) {
    int64_t at = piece->across ? i * piece->ld + p : p * piece->ld + i;
    return piece->type == TIC_F32 ? ((const float *)piece->from)[at]
                                  : tic_from_bf16(((const tic_bf16 *)piece->from)[at]);
}

static tic_bf16 rounded(const tic_amx_piece *piece, float x) {
    if (piece->type == TIC_F32 && fabsf(x) < 0x1p-126f)
        return signbit(x) ? 0x8000 : 0;
    return tic_to_bf16(x); /* a bf16 is itself, but for a signalling NaN */
}

static void pack_edge(const tic_amx_piece *piece, int64_t step, bool pairs, tic_bf16 *to) {
    memset(to, 0, TIC_TILE_BYTES);
    int64_t first = step * K, last = first + K < piece->k ? first + K : piece->k;
    for (int64_t p = first; p < last; p++) {
        for (int i = 0; i < piece->valid; i++) {
            float x = element(piece, i, p);
            int64_t q = p - first;
            to[pairs ? q / 2 * K + 2 * i + q % 2 : i * K + q] = rounded(piece, x);
            if (piece->sums != NULL)
                piece->sums[i] += x;
        }
    }
}

/* ---- through registers ----------------------------------------------------------------------- */

#ifndef TIC_AMX_EMULATE

typedef __m512i pairs16; /* sixteen pairs of bf16 */

/* rows[i] = pair i of every column before: what unpacking leaves is gathered by quarters. */
TIC_INLINE void transpose(pairs16 r[ROWS]) {
    pairs16 t[ROWS];
    for (int i = 0; i < ROWS; i += 2) { /* 32-bit elements of two rows */
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < ROWS; i += 4) { /* of four rows: r[i + x] holds columns x, x+4, x+8, x+12 */
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int x = 0; x < 4; x++) { /* of eight rows: columns x, x+8 in even, x+4, x+12 in odd */
        for (int half = 0; half < 2; half++) {
            pairs16 low = r[8 * half + x], high = r[8 * half + 4 + x];
            t[8 * half + x] = _mm512_shuffle_i32x4(low, high, 0x88);
            t[8 * half + 4 + x] = _mm512_shuffle_i32x4(low, high, 0xdd);
        }
    }
    for (int x = 0; x < 8; x++) {
        r[x] = _mm512_shuffle_i32x4(t[x], t[8 + x], 0x88);
        r[8 + x] = _mm512_shuffle_i32x4(t[x], t[8 + x], 0xdd);
    }
}

/* 32 elements p of 16 rows i, as they lie. */
TIC_INLINE void load_rows(const tic_amx_piece *piece, tic_dtype type, int64_t p, pairs16 r[ROWS]) {
    for (int i = 0; i < ROWS; i++) {
        int64_t at = i * piece->ld + p;
        if (type == TIC_F32) {
            const float *from = (const float *)piece->from + at;
            r[i] = (pairs16)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
        } else {
            r[i] = _mm512_loadu_si512((const tic_bf16 *)piece->from + at);
        }
    }
}

/* Rows p and p + 1 of 16 columns i, interleaved; their sums. */
TIC_INLINE pairs16 load_pairs(const tic_amx_piece *piece, tic_dtype type, int64_t p, __m512 *sum) {
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    int64_t at = p * piece->ld;
    pairs16 both;
    if (type == TIC_F32) {
        const float *from = (const float *)piece->from + at;
        __m512 even = _mm512_loadu_ps(from), odd = _mm512_loadu_ps(from + piece->ld);
        both = (pairs16)_mm512_cvtne2ps_pbh(odd, even);
        *sum = _mm512_add_ps(_mm512_add_ps(*sum, even), odd);
    } else {
        const tic_bf16 *from = (const tic_bf16 *)piece->from + at;
        __m256i even = _mm256_loadu_si256((const __m256i_u *)from);
        __m256i odd = _mm256_loadu_si256((const __m256i_u *)(from + piece->ld));
        both = _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1);
    }
    pairs16 pairs = _mm512_permutexvar_epi16(order, both);
    if (type == TIC_BF16 && piece->sums != NULL) {
        const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
        *sum = _mm512_add_ps(*sum, (__m512)_mm512_slli_epi32(pairs, 16));
        *sum = _mm512_add_ps(*sum, (__m512)_mm512_and_si512(pairs, upper));
    }
    return pairs;
}

TIC_INLINE void pack_tile(const tic_amx_piece *piece, tic_dtype type, bool pairs, int64_t step,
                          unsigned char *to) {
    pairs16 r[ROWS];
    if (piece->across) {
        load_rows(piece, type, step * K, r);
    } else {
        __m512 sum = piece->sums != NULL ? _mm512_loadu_ps(piece->sums) : _mm512_setzero_ps();
        for (int q = 0; q < PAIRS; q++)
            r[q] = load_pairs(piece, type, step * K + 2 * q, &sum);
        if (piece->sums != NULL)
            _mm512_storeu_ps(piece->sums, sum);
    }
    if (piece->across == pairs)
        transpose(r);
    for (int i = 0; i < ROWS; i++)
        _mm512_store_si512(to + 64 * i, r[i]);
}

static int64_t whole_tiles(const tic_amx_piece *piece) {
    return piece->valid == ROWS ? piece->k / K : 0;
}

#else

TIC_INLINE void pack_tile(const tic_amx_piece *piece, tic_dtype type, bool pairs, int64_t step,
                          unsigned char *to) {
    (void)piece, (void)type, (void)pairs, (void)step, (void)to;
}

static int64_t whole_tiles(const tic_amx_piece *piece) {
    (void)piece;
    return 0;
}

#endif

/* ---- a piece --------------------------------------------------------------------------------- */

TIC_INLINE void pack(const tic_amx_piece *piece, bool pairs) {
    int64_t whole = whole_tiles(piece), steps = tic_amx_steps(piece->k);
    unsigned char *to = piece->to;
    for (int64_t s = 0; s < whole; s++) {
        if (piece->type == TIC_F32)
            pack_tile(piece, TIC_F32, pairs, s, to + s * piece->step_bytes);
        else
            pack_tile(piece, TIC_BF16, pairs, s, to + s * piece->step_bytes);
    }
    for (int64_t s = whole; s < steps; s++)
        pack_edge(piece, s, pairs, (tic_bf16 *)(void *)(to + s * piece->step_bytes));
}

static void pack_a(const tic_amx_piece *piece) {
    pack(piece, false);
}

static void pack_b(const tic_amx_piece *piece) {
    pack(piece, true);
}

const tic_amx_packing TIC_TIERED(tic_amx_packing) = {pack_a, pack_b};
