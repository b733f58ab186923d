/* Inside autotune/ only: what the files of the audit share. */
#ifndef TIC_AUTOTUNE_AUDIT_H
#define TIC_AUTOTUNE_AUDIT_H

#include "autotune/room.h"

/* ---- sizes (audit_sizes.c) ------------------------------------------------------------------- */

/* Small enough to be stepped, with the edges of the whole. */
tic_problem tic_audit_reduced(const tic_problem *p, int variant);
/* Fewer rows and columns of a problem that makes so many calls of product micro-kernels: some
 * tens of thousands are left. */
tic_problem tic_audit_fewer(const tic_problem *p, double calls);
/* With half the rows and columns, or half of what stands for them, down to the small one's. */
tic_problem tic_audit_halved(const tic_problem *p, const tic_problem *small);
/* Makes it one with twice the terms in each sum of its products; *rows: how many rows of operands
 * and results have so many elements. Returns how many terms more. */
int64_t tic_audit_deepen(tic_problem *p, int64_t *rows);
/* Calls of product micro-kernels in the whole problem, if they grow as its elements and sums do. */
double tic_audit_calls(const tic_problem *whole, const tic_problem *small, uint64_t calls_of_small);
/* Elements that the call reads, writes or has between, scores included. */
double tic_audit_elements(const tic_problem *p);
bool tic_audit_multiplies(tic_op op);                                   /* has products */
void tic_audit_describe(const tic_problem *p, char *text, size_t size); /* "128x3072x768" */

/* ---- the proof of a row (audit_prove.c) ------------------------------------------------------ */

typedef struct tic_audit_item { /* a row to be proven */
    const tic_problem *problem;
    int variant; /* tic_variant_find, -1: what the plan chooses */
} tic_audit_item;

typedef struct tic_prover { /* of one process, which ends with it */
    const tic_audit_options *options;
    tic_ctx *ctx;
    tic_trace *trace;
    uint64_t most; /* instructions to be stepped of a problem's calls; 0: all that must be */
} tic_prover;
tic_status tic_prover_open(tic_prover *w, const tic_audit_options *options, tic_error *err);
/* What does not hold, or why it could not be told, stands in the row. */
void tic_prover_prove(tic_prover *w, const tic_audit_item *it, tic_audit_row *out);
/* The asked one, where the operation has it: embeddings, norms of features and Adam are f32 only.
 */
tic_dtype tic_audit_precision(const tic_audit_options *options, tic_op op);

#endif
