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
    uint16_t *tokens; /* of each pair of the index, 0: not counted yet */
    double padding;   /* issued / logical that the plan may need */
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
tic_status tic_verify_checkpoint(const tic_verifying *v, const tic_item *item, const char *name);
/* verify_macs.c: budget, order of the samples, MACs by purpose. */
tic_status tic_verify_padding(tic_verifying *v);
tic_status tic_verify_training(tic_verifying *v, int i, const char *name);
/* Of a step that has not ended: its saved state, where there is one. */
tic_status tic_verify_state(tic_verifying *v, int i, const char *name);
/* verify_scores.c */
tic_status tic_verify_scores(const tic_verifying *v, const tic_item *item, const char *name);
tic_status tic_verify_deep(tic_verifying *v);

#endif
