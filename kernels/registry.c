/* Every variant of every operation, one const row each; within an operation the best stands
 * first, "ref" last. What the columns mean: kernels/room.h. */
#include "kernels/amx.h"
#include "kernels/drive/gemm.h"
#include "kernels/drive/gemm_amx.h"
#include "kernels/ops.h"
#include "kernels/room.h"

enum { BOTH = 1 << TIC_F32 | 1 << TIC_BF16 };

/* k is summed in blocks of kc at most (tic_gemm_block), A packed mc rows and B nc columns at a
 * time. */
#define GEMM_BLOCKS(kc, mc, nc)                                                                    \
    {"kc", kc, 16, 4096}, {"mc", mc, 12, 4096}, {                                                  \
        "nc", nc, 64, 65536                                                                        \
    }
/* Of micro-kernels that take panels alone; of those that also take operands where they stand: a B
 * of up to `columns` columns, and no Aᵀ, unless a plan says so: it was 1.03 times as fast on one
 * CPU, half as fast on another. */
#define GEMM_KNOBS(kc, mc, nc) .knobs = {GEMM_BLOCKS(kc, mc, nc)}
#define GEMM_KNOBS_IN_PLACE(kc, mc, nc, columns)                                                   \
    .knobs = {GEMM_BLOCKS(kc, mc, nc), {"in_place", columns, 1, 65536}, {"a_in_place", 0, 0, 65536}}

/* `strip`: 16 rows so many times meet a panel of B. */
#define AMX_KNOBS(kc, mc, nc, strip)                                                               \
    .knobs = {{"kc", kc, 16, 4096},                                                                \
              {"mc", mc, 12, 4096},                                                                \
              {"nc", nc, 64, 65536},                                                               \
              {"strip", strip, 2, TIC_AMX_STRIP}}
#define GEMM_MICRO(table) .micro = &table, .packs = &table.format

#define VECTORISED(tier) "vectorised C at the width of " tier

/* The four rows of an operation whose driver calls one table of micro-loops a tier, and the two of
 * one whose driver needs none. KNOBS: what ends the rows of the driver. */
#define TIERED_ROW(op, isa_mask, tier, precision_mask, driver, micro_table, about, ...)            \
    {                                                                                              \
        .info = {tier, op, isa_mask, precision_mask, about}, .run = driver, .micro = &micro_table, \
        __VA_ARGS__                                                                                \
    }
#define REFERENCE_ROW(op, precision_mask, reference)                                               \
    {                                                                                              \
        .info = {"ref", op, TIC_ISA_PORTABLE, precision_mask, "the reference: sums in double"},    \
        .run = reference                                                                           \
    }
#define TIERED(op, precisions, name, table, ...)                                                   \
    TIERED_ROW(op, TIC_ISA_AVX2 | TIC_ISA_AVX512, "avx512", precisions, name##_drive,              \
               table##_avx512, VECTORISED("avx512"), __VA_ARGS__),                                 \
        TIERED_ROW(op, TIC_ISA_AVX2, "avx2", precisions, name##_drive, table##_avx2,               \
                   VECTORISED("avx2"), __VA_ARGS__),                                               \
        TIERED_ROW(op, TIC_ISA_PORTABLE, "portable", precisions, name##_drive, table##_portable,   \
                   VECTORISED("portable"), __VA_ARGS__),                                           \
        REFERENCE_ROW(op, precisions, name##_ref)
#define UNTIERED(op, precisions, name)                                                             \
    {                                                                                              \
        .info = {"portable", op, TIC_ISA_PORTABLE, precisions, "threads around plain C"},          \
        .run = name##_drive,                                                                       \
    },                                                                                             \
        REFERENCE_ROW(op, precisions, name##_ref)

#define NO_KNOBS .knobs = {{.name = NULL}}
/* `rows` of queries are done at a time; of sequences of `copy` keys and more operands are copied;
 * where there are `ahead` keys and more, the next operands are asked for while these are used. */
#define ATTENTION_KNOBS(rows, copy, ahead)                                                         \
    .knobs = {{"rows", rows, 4, TIC_ATTENTION_ROWS},                                               \
              {"copy", copy, 1, 65536},                                                            \
              {"ahead", ahead, 1, 65536}}

/* Generated products (kernels/gen/contrastive.py) and the loops of a tier around them. */
static const tic_scores_micro scores_amx = {&tic_scores_products_amx, &tic_scores_vec_avx512};
static const tic_scores_micro scores_amx_emulated = {&tic_scores_products_amx_emulated,
                                                     &tic_scores_vec_portable};
static const tic_scores_micro scores_avx512 = {&tic_scores_products_avx512, &tic_scores_vec_avx512};
static const tic_scores_micro scores_avx512_bf16 = {&tic_scores_products_avx512_bf16,
                                                    &tic_scores_vec_avx512};
static const tic_scores_micro scores_avx2 = {&tic_scores_products_avx2, &tic_scores_vec_avx2};
static const tic_scores_micro scores_portable = {&tic_scores_products_portable,
                                                 &tic_scores_vec_portable};
#define SCORES_ROW(name, op, isa_mask, precision_mask, driver, micro_table, size, about)           \
    {                                                                                              \
        .info = {name, op, isa_mask, precision_mask, about}, .run = driver##_drive,                \
        .micro = &micro_table, .knobs = {{"block", size, 32, TIC_SCORES_COLUMNS}},                 \
    }
/* Scores are worked on in blocks of `block` rows and columns, a multiple of 32. */
#define SCORES(op, driver)                                                                         \
    SCORES_ROW("amx", op, TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16 | TIC_ISA_AMX_BF16,  \
               1 << TIC_BF16, driver, scores_amx, 256, "tiles of 32x32 by TDPBF16PS"),             \
        SCORES_ROW("avx512", op, TIC_ISA_AVX2 | TIC_ISA_AVX512, BOTH, driver, scores_avx512, 320,  \
                   "tiles of 14x32 by FMA; bf16 is rounded to"),                                   \
        SCORES_ROW("avx2", op, TIC_ISA_AVX2, BOTH, driver, scores_avx2, 192,                       \
                   "tiles of 6x16 by FMA; bf16 is rounded to"),                                    \
        SCORES_ROW("avx512-bf16", op, TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16,         \
                   1 << TIC_BF16, driver, scores_avx512_bf16, 320, "tiles of 14x32 by VDPBF16PS"), \
        SCORES_ROW("portable", op, TIC_ISA_PORTABLE, BOTH, driver, scores_portable, 192,           \
                   "tiles of 4x8 in compiled vectors of 4"),                                       \
        SCORES_ROW("amx-emulated", op, TIC_ISA_PORTABLE, 1 << TIC_BF16, driver,                    \
                   scores_amx_emulated, 256, "amx in plain C, to the same bits of products"),      \
        REFERENCE_ROW(op, BOTH, driver##_ref)

static const tic_attention_bf16 attention_amx = {&tic_attention_bf16_micro_avx512_bf16,
                                                 &tic_amx_packing_amx, &tic_amx_products_amx, NULL};
static const tic_attention_bf16 attention_bf16 = {&tic_attention_bf16_micro_avx512_bf16,
                                                  &tic_amx_packing_amx, NULL,
                                                  &tic_attention_pairs_avx512_bf16};
static const tic_attention_bf16 attention_emulated = {&tic_attention_bf16_micro_portable,
                                                      &tic_amx_packing_amx_emulated,
                                                      &tic_amx_products_amx_emulated, NULL};
#define ATTENTION_BF16_ROW(name, op, isa_mask, driver, table, rows, about)                         \
    {                                                                                              \
        .info = {name, op, isa_mask, 1 << TIC_BF16, about}, .run = driver##_drive,                 \
        .micro = &table,                                                                           \
        .knobs = {{"rows", rows, 32, TIC_ATTENTION_ROWS}, {"ahead", 33, 1, 65536}},                \
    }
#define TILES_BY_FMA "generated tiles by FMA; bf16 is widened"
#define ATTENTION(op, driver, f32, f32_rows, bf16_rows)                                            \
    ATTENTION_BF16_ROW("amx", op,                                                                  \
                       TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16 | TIC_ISA_AMX_BF16,     \
                       driver, attention_amx, bf16_rows, "tiles of AMX, P and dS in bf16"),        \
        ATTENTION_BF16_ROW("avx512-bf16", op, TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16, \
                           driver, attention_bf16, bf16_rows,                                      \
                           "tiles by VDPBF16PS, P and dS in bf16"),                                \
        TIERED_ROW(op, TIC_ISA_AVX2 | TIC_ISA_AVX512, "avx512", BOTH, f32##_drive,                 \
                   tic_attention_micro_avx512, TILES_BY_FMA, ATTENTION_KNOBS(f32_rows, 33, 33)),   \
        TIERED_ROW(op, TIC_ISA_AVX2, "avx2", BOTH, f32##_drive, tic_attention_micro_avx2,          \
                   TILES_BY_FMA, ATTENTION_KNOBS(f32_rows, 600, 33)),                              \
        TIERED_ROW(op, TIC_ISA_PORTABLE, "portable", BOTH, f32##_drive,                            \
                   tic_attention_micro_portable, "tiles in compiled vectors of 4",                 \
                   ATTENTION_KNOBS(f32_rows, 33, 33)),                                             \
        ATTENTION_BF16_ROW("amx-emulated", op, TIC_ISA_PORTABLE, driver, attention_emulated,       \
                           bf16_rows, "amx in plain C, to the same bits of products"),             \
        REFERENCE_ROW(op, BOTH, f32##_ref)

const tic_variant tic_registry[] = {
    {
        .info = {"amx-32x32", TIC_OP_GEMM,
                 TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16 | TIC_ISA_AMX_BF16,
                 1 << TIC_BF16, "tiles of 16x16 by TDPBF16PS, four or six at a time"},
        .run = tic_gemm_tiles,
        GEMM_MICRO(tic_gemm_tiles_micro),
        AMX_KNOBS(384, 192, 512, 2),
    },
    {
        .info = {"avx512-14x32", TIC_OP_GEMM, TIC_ISA_AVX2 | TIC_ISA_AVX512, BOTH,
                 "generated: 28 sums in zmm registers"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_f32_avx512_14x32),
        GEMM_KNOBS_IN_PLACE(768, 112, 4096, 384),
    },
    {
        .info = {"avx512-9x48", TIC_OP_GEMM, TIC_ISA_AVX2 | TIC_ISA_AVX512, BOTH,
                 "generated: 27 sums in zmm registers"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_f32_avx512_9x48),
        GEMM_KNOBS_IN_PLACE(512, 108, 4096, 384),
    },
    {
        .info = {"avx512-6x64", TIC_OP_GEMM, TIC_ISA_AVX2 | TIC_ISA_AVX512, BOTH,
                 "generated: 24 sums in zmm registers"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_f32_avx512_6x64),
        GEMM_KNOBS_IN_PLACE(384, 96, 4096, 384),
    },
    {
        .info = {"blis-skx-32x12", TIC_OP_GEMM, TIC_ISA_AVX2 | TIC_ISA_AVX512, BOTH,
                 "BLIS's AVX-512 micro-kernel of Skylake"},
        .unavailable = tic_gemm_blis_unavailable,
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_blis_skx),
        GEMM_KNOBS(768, 96, 4096),
    },
    {
        .info = {"avx512bf16-14x32", TIC_OP_GEMM,
                 TIC_ISA_AVX2 | TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16, 1 << TIC_BF16,
                 "generated: pairs of bf16 through VDPBF16PS"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_pairs_avx512bf16_14x32),
        GEMM_KNOBS(2048, 56, 4096),
    },
    {
        .info = {"avx2-6x16", TIC_OP_GEMM, TIC_ISA_AVX2, BOTH,
                 "generated: 12 sums in ymm registers"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_f32_avx2_6x16),
        GEMM_KNOBS_IN_PLACE(768, 72, 4096, 384),
    },
    {
        .info = {"avx2-4x24", TIC_OP_GEMM, TIC_ISA_AVX2, BOTH,
                 "generated: 12 sums in ymm registers"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_f32_avx2_4x24),
        GEMM_KNOBS_IN_PLACE(768, 72, 4096, 384),
    },
    {
        .info = {"blis-haswell-6x16", TIC_OP_GEMM, TIC_ISA_AVX2, BOTH,
                 "BLIS's AVX2 micro-kernel of Haswell, its Zen one too"},
        .unavailable = tic_gemm_blis_unavailable,
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_blis_haswell),
        GEMM_KNOBS(384, 144, 4096),
    },
    {
        .info = {"vector-avx512-6x32", TIC_OP_GEMM, TIC_ISA_AVX2 | TIC_ISA_AVX512, BOTH,
                 "compiled vectors of 16"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_micro_avx512),
        GEMM_KNOBS(384, 144, 4096),
    },
    {
        .info = {"vector-avx2-6x16", TIC_OP_GEMM, TIC_ISA_AVX2, BOTH, "compiled vectors of 8"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_micro_avx2),
        GEMM_KNOBS(384, 144, 4096),
    },
    {
        .info = {"portable", TIC_OP_GEMM, TIC_ISA_PORTABLE, BOTH, "compiled vectors of 4"},
        .run = tic_gemm_blocked,
        GEMM_MICRO(tic_gemm_micro_portable),
        GEMM_KNOBS(384, 144, 4096),
    },
    {
        .info = {"amx-emulated-32x32", TIC_OP_GEMM, TIC_ISA_PORTABLE, 1 << TIC_BF16,
                 "amx-32x32 with its tiles in plain C: the same bits, for tests"},
        .run = tic_gemm_tiles_emulated,
        GEMM_MICRO(tic_gemm_tiles_micro),
        AMX_KNOBS(384, 192, 512, 2),
    },
    {
        .info = {"ref", TIC_OP_GEMM, TIC_ISA_PORTABLE, BOTH, "the reference: sums in double"},
        .run = tic_gemm_ref,
    },
    ATTENTION(TIC_OP_ATTENTION, tic_attention_bf16, tic_attention, 48, 32),
    ATTENTION(TIC_OP_ATTENTION_BACKWARD, tic_attention_bf16_backward, tic_attention_backward, 32,
              32),
    SCORES(TIC_OP_CONTRASTIVE, tic_contrastive),
    SCORES(TIC_OP_DISTILL, tic_distill),
    TIERED(TIC_OP_LAYERNORM, BOTH, tic_layernorm, tic_layernorm_micro, NO_KNOBS),
    TIERED(TIC_OP_LAYERNORM_BACKWARD, BOTH, tic_layernorm_backward, tic_layernorm_micro, NO_KNOBS),
    UNTIERED(TIC_OP_PATCHIFY, BOTH, tic_patchify),
    UNTIERED(TIC_OP_EMBEDDING, 1 << TIC_F32, tic_embedding),
    UNTIERED(TIC_OP_EMBEDDING_BACKWARD, BOTH, tic_embedding_backward),
    TIERED(TIC_OP_L2NORM, 1 << TIC_F32, tic_l2norm, tic_l2norm_micro, NO_KNOBS),
    TIERED(TIC_OP_L2NORM_BACKWARD, 1 << TIC_F32, tic_l2norm_backward, tic_l2norm_micro, NO_KNOBS),
    TIERED(TIC_OP_ADAMW, 1 << TIC_F32, tic_adamw, tic_adamw_micro, NO_KNOBS),
};

const int tic_registry_size = sizeof tic_registry / sizeof tic_registry[0];
