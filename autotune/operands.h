/* Inside autotune/ only: what operands.c (making, running, checking) and operands_more.c (the
 * operations that are benchmarked and not tuned) share. */
#ifndef TIC_AUTOTUNE_OPERANDS_H
#define TIC_AUTOTUNE_OPERANDS_H

#include "autotune/autotune.h"

enum { TIC_MOST_OUTPUTS = 4, TIC_MOST_PACKINGS = 20, TIC_MOST_PIECES = 40 };

typedef struct tic_output { /* what a call writes */
    tic_mat mat;
    int64_t rows, cols;
    bool added;                /* to what is there */
    double absolute, relative; /* difference allowed between two right answers */
    float *right;              /* [rows, cols] */
} tic_output;

struct tic_operands {
    tic_problem problem;
    tic_dtype precision;
    union {
        tic_gemm_args gemm;
        tic_attention_args attention;
        tic_contrastive_args contrastive;
        tic_layernorm_args layernorm;
        tic_distill_args distill;
        tic_patchify_args patchify;
        tic_embedding_args embedding;
        tic_l2norm_args l2norm;
        tic_adamw_args adamw;
    } args;
    tic_output out[TIC_MOST_OUTPUTS];
    int outputs;
    tic_packed packing[TIC_MOST_PACKINGS]; /* gemm with a packed weight: one a format */
    int packings;
    int64_t rows;        /* attention: of a query matrix */
    float *fresh, *used; /* adamw: its gradient, and the one that a call sets to zero */
    void *piece[TIC_MOST_PIECES];
    int pieces;
    uint32_t seed;
    tic_error failed; /* the first allocation that did not succeed */
};

/* Zeros; NULL, and the failure kept, without memory. */
void *tic_operand_zeros(tic_operands *o, int64_t count, size_t size);
/* Multiples of scale / 16 in [-scale / 2, scale / 2). */
tic_mat tic_operand_filled(tic_operands *o, int64_t rows, int64_t cols, tic_dtype type,
                           float scale);
/* An output that calls write, or with `added` add to. */
tic_mat tic_operand_result(tic_operands *o, int64_t rows, int64_t cols, tic_dtype type, bool added,
                           double absolute, double relative);
/* Rows of length 1. */
float *tic_operand_unit_rows(tic_operands *o, int64_t rows, int64_t d);
/* 0, length, 2 length, ... */
int32_t *tic_operand_offsets(tic_operands *o, int64_t sequences, int length);
/* One step of the type, relative; 0 for f32. */
double tic_operand_step(tic_dtype type);

/* ---- operands_more.c ------------------------------------------------------------------------- */

/* False where the operation is not one of its own. */
bool tic_operands_make_more(tic_operands *o);
tic_status tic_operands_run_more(tic_operands *o, tic_ctx *ctx, tic_error *err);

/* ---- operands_loss.c ------------------------------------------------------------------------- */

/* A contrastive loss too large for the reference: gradients of some pictures and texts from gemm's
 * products and sums in double, in place. */
tic_status tic_operands_loss_sample(tic_operands *o, tic_ctx *ctx, tic_error *err);

#endif
