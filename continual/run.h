/* What the files of the runner share: the steps to be done and their places. */
#ifndef TIC_CONTINUAL_RUN_H
#define TIC_CONTINUAL_RUN_H

#include "room.h"

/* One step of one method. */
typedef struct tic_item {
    const tic_method *method;
    int step;
    tic_charges charges;
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
/* ---- run_list.c: an item's name, places and start ---- */
const char *tic_item_step(const tic_session *s, const tic_item *item);
/* RUN/METHOD/STEP */
tic_status tic_item_folder(const tic_session *s, const tic_item *item, char out[TIC_PATH],
                           tic_error *err);
/* METHOD/events.out.tfevents.NNNN.STEP: TensorBoard reads a folder's files in the order of names.
 */
tic_status tic_item_board(const tic_session *s, const tic_item *item, char out[TIC_PATH],
                          tic_error *err);
bool tic_item_anew(const tic_item *item); /* from random weights */
/* Where its weights come from: `from` of `ticlip train`, the last step's folder (in `buffer`), or
 * NULL: random ones. */
tic_status tic_item_start(const tic_session *s, const tic_item *item, char buffer[TIC_PATH],
                          const char **from, tic_error *err);
int64_t tic_item_warmup(const tic_experiment *x, bool anew); /* iterations */
/* LwF has a teacher: from the second step on, and in a first one that goes on from given weights.
 */
bool tic_item_taught(const tic_item *item);
/* tic_method_charges, and of such a first step its teacher's. */
tic_charges tic_item_charges(const tic_session *s, const tic_item *item);
/* Iterations of the method before items[i], for TensorBoard's axis. */
int64_t tic_iterations_before(const tic_item *items, int i);

/* ---- run_train.c ---- */
/* Trains items[i], or goes on with it; the session's model then holds its weights. */
tic_status tic_item_train(tic_session *s, const tic_item *items, int i, tic_error *err);
/* A step that an earlier item computed: its checkpoints are read and written again (f32, so the
 * same bytes), and the method is charged as if it had trained. */
tic_status tic_item_take_over(tic_session *s, const tic_item *from, const tic_item *item,
                              tic_error *err);

/* ---- run_pool.c ---- */
bool tic_item_selects(const tic_item *item); /* its pool is one by alignment */
/* What items[i] trains on (tic_step_pool); `items` holds the method's earlier steps too. A pool by
 * alignment asks the model in `from`; *before is what that cost. *pool is the caller's (tic_free).
 */
tic_status tic_item_pool(tic_session *s, const tic_item *items, int i, const char *from,
                         tic_spent *before, uint32_t **pool, size_t *size, tic_error *err);
/* Pool of the step before, for EWC's Fisher pass; *pool is the caller's (tic_free). How much a step
 * draws may decide its pool, and only its own item knows that; one step alone (`ticlip train`) has
 * none before it, and takes that for as long as itself. */
tic_status tic_item_fisher_pool(tic_session *s, const tic_item *items, int i, uint32_t **pool,
                                size_t *size, tic_error *err);
/* SHA-256 over the identities of the pool's pairs, in order. */
void tic_pool_hash(const tic_session *s, const uint32_t *pool, size_t size, char hex[65]);

/* Tokens of a caption, SOT and EOT included: the mean over some of the index. */
tic_status tic_mean_tokens(tic_session *s, double *out, tic_error *err);
/* Evaluation of one model, in training pairs of equal cost (see tic_meter). */
int64_t tic_evaluation_pairs(const tic_tasks *tasks);
/* The vocabulary, vocab.txt.gz, of the run that a checkpoint lies in; it need not exist. */
tic_status tic_checkpoint_vocab(const char *checkpoint, char out[TIC_PATH], tic_error *err);
/* TIC_EUSAGE naming a setting that decides the held-out pairs and is another than in the run that
 * the checkpoint lies in. */
tic_status tic_checkpoint_same_pairs(const char *checkpoint, const tic_experiment *experiment,
                                     tic_error *err);
tic_status tic_file_sha256(const char *path, char hex[65], tic_error *err);

#endif
