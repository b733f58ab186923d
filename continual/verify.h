/* What the files of `ticlip verify` share. */
#ifndef TIC_CONTINUAL_VERIFY_H
#define TIC_CONTINUAL_VERIFY_H

#include "run.h"

typedef struct tic_verifying {
    tic_session s;
    tic_experiment x;
    const tic_verify_options *options;
    const json_t *begun; /* the ledger's first line */
    tic_item *items;
    int count;
    uint16_t *tokens;    /* of each pair of the index, 0: not counted yet */
    double padding;      /* issued / logical that the plan may need */
    tic_scores asked;    /* of an evaluation (tic_evaluation_asks) */
    uint64_t evaluation; /* its logical MACs */
    tic_error *err;
} tic_verifying;

/* Tells a claim that holds. */
void tic_claim(const tic_verifying *v, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* TIC_EVERIFY: the claim does not hold. */
tic_status tic_broken(const tic_verifying *v, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* verify_files.c: ledger, settings, results, vocabulary, plan, checkpoints. */
tic_status tic_verify_ledger(tic_verifying *v);
tic_status tic_verify_settings(tic_verifying *v);
tic_status tic_verify_results(tic_verifying *v);
tic_status tic_verify_file(const tic_verifying *v, const char *name, const char *file,
                           const char *hash);
/* RUN/index.bin, where the settings name no other index. */
tic_status tic_verify_index(const tic_verifying *v);
tic_status tic_verify_checkpoint(const tic_verifying *v, const tic_item *item, const char *name);
/* What is there of TensorBoard's files. */
tic_status tic_verify_boards(const tic_verifying *v, const tic_item *item, const char *name);
/* verify_course.c: kinds, steps and order of the ledger's lines. */
tic_status tic_verify_course(const tic_verifying *v);
/* verify_macs.c: budget, order of the samples, MACs by purpose. */
typedef struct tic_walked { /* of a step, walked from its first pair to its last */
    uint64_t text_forward, text_backward;
    uint64_t forward_at[TIC_SITES], backward_at[TIC_SITES]; /* of the text tower, layer by layer */
    char order[65];
} tic_walked;
tic_status tic_verify_padding(tic_verifying *v);
/* `item`'s stream over its iterations, added to *out. */
tic_status tic_verify_walk(tic_verifying *v, const tic_item *item, const uint32_t *pool,
                           size_t size, tic_walked *out);
/* Adds what the text tower needs forward for the captions of these pairs. */
tic_status tic_verify_captions(tic_verifying *v, const uint32_t *pairs, size_t count,
                               uint64_t *forward);
/* The ledger's `spent` is one, with nothing beside. */
tic_status tic_verify_spent(const tic_verifying *v, const char *name, const json_t *told,
                            tic_spent *spent);
tic_status tic_verify_purpose(const tic_verifying *v, const char *name, tic_purpose purpose,
                              const tic_spent *spent, uint64_t logical);
tic_status tic_verify_training(tic_verifying *v, int i, const char *name);
/* `item` is items[i], or as much of it as is done: its pool, start and `order` are what the
 * settings give; *walked is filled. */
tic_status tic_verify_order(tic_verifying *v, int i, const tic_item *item, const char *name,
                            const char *order, tic_walked *walked);
/* MACs by purpose and layer are what the pairs walked over need. */
tic_status tic_verify_shapes(tic_verifying *v, const tic_item *item, const char *name,
                             const tic_spent *spent, const tic_walked *walked);
/* A path's end, of whole names: a run may have been moved since its folders were named. */
bool tic_path_ends(const char *path, const char *end);
/* verify_phases.c: what items[i] spent beside training; ended: patching too. */
tic_status tic_verify_phases(tic_verifying *v, int i, const char *name, const tic_spent *spent,
                             bool ended);
/* verify_state.c. Of a step that has not ended: its saved state, where there is one. */
tic_status tic_verify_state(tic_verifying *v, int i, const char *name);
/* verify_scores.c: first what is asked, which the others hold evaluations against. */
tic_status tic_verify_asked(tic_verifying *v);
tic_status tic_verify_scores(const tic_verifying *v, const tic_item *item, const char *name);
tic_status tic_verify_deep(tic_verifying *v);

#endif
