/* What the files of the runner share: the steps to be done and their places. */
#ifndef TIC_CONTINUAL_RUN_H
#define TIC_CONTINUAL_RUN_H

#include "room.h"

/* One step of one method. */
typedef struct tic_item {
    const tic_method *method;
    int step;
    tic_step_budget budget;
    int same_as;      /* an earlier item whose training is the same computation, -1: none */
    const char *from; /* given weights (`ticlip train`); NULL: as the method says */
} tic_item;

/* Runs `work` in a session on RUN, which is made and locked against other processes, and closes the
 * session. */
typedef tic_status (*tic_run_work)(tic_session *s, void *user, tic_error *err);
tic_status tic_in_run(tic_session *s, tic_run_work work, void *user, tic_error *err);
/* Looks at s->x->out, writing nothing but the index: opens ledger, model configuration, data and
 * steps; a run that was begun must have been begun with the same settings. */
tic_status tic_run_look(tic_session *s, tic_error *err);
/* Then: vocabulary, plan, context, precision and micro-batch, chosen anew or the begun run's own.
 * Writes nothing. */
tic_status tic_run_settle(tic_session *s, tic_error *err);
/* Then: writes what a new run is, or that it goes on, and opens the model and the tasks. */
tic_status tic_run_open(tic_session *s, tic_error *err);
/* Whether the ledger has the item's training, its evaluation: the event, NULL when not. */
const json_t *tic_item_ended(const tic_session *s, const tic_item *item);
const json_t *tic_item_evaluated(const tic_session *s, const tic_item *item);
/* Trains and evaluates the items in order, leaving out what the ledger has. */
tic_status tic_run_items(tic_session *s, const tic_item *items, int count, tic_error *err);
/* All steps of all methods; *items is the caller's (tic_free). */
tic_status tic_run_list(const tic_session *s, tic_item **items, int *count, tic_error *err);
/* Evaluation of one model, in training pairs of equal cost (see tic_meter). */
int64_t tic_evaluation_pairs(const tic_tasks *tasks);
/* vocab.txt.gz two folders above a checkpoint: where a run keeps it. */
tic_status tic_checkpoint_vocab(const char *checkpoint, char out[TIC_PATH], tic_error *err);
tic_status tic_file_sha256(const char *path, char hex[65], tic_error *err);

#endif
