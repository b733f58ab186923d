/* What the files of continual/ share. JSON values are jansson's, owned as each comment says. */
#ifndef TIC_CONTINUAL_ROOM_H
#define TIC_CONTINUAL_ROOM_H

#include "continual/continual.h"
#include <jansson.h>

enum { TIC_METHODS_MAX = 64, TIC_FILE_LIMIT = 1 << 30 };
/* Coefficients that patching tries: 0, 1/10, ... 1. */
enum { TIC_PATCH_COEFFICIENTS = 11 };

/* ---- settings (experiment.c) ---------------------------------------------------------------- */

bool tic_setting_same(const tic_setting *setting, const tic_experiment *a, const tic_experiment *b);

/* ---- what was spent (spent.c) -------------------------------------------------------------- */

/* Of one step of one method. Purposes as in tic_purpose. */
typedef struct tic_spent {
    int64_t iterations, pairs;
    uint64_t nominal; /* iterations * batch * tic_nominal_train */
    uint64_t extra;   /* nominal, beside training: tic_method_charges */
    double seconds;   /* of training, or of evaluation */
    tic_macs by[TIC_PURPOSE_COUNT];
    tic_macs layer[TIC_AT_COUNT]; /* of training: forward, backward, recomputation */
    uint64_t hardware;            /* MACs by the CPU's own counters; 0: it has none */
    char order[65]; /* of the pairs trained on: tic_order_begin; "" when there were none */
} tic_spent;
/* The order of training as one hash, carried from batch to batch: SHA-256 over the text before it
 * ("" at first) and the batch's identities. */
void tic_order_begin(tic_sha256 *hash, const char *before);
void tic_order_add(tic_sha256 *hash, const tic_id *id);
void tic_order_end(tic_sha256 *hash, char order[65]);
void tic_spent_add(tic_spent *sum, const tic_spent *more);
/* Adds what `ctx` counted since `before`. */
void tic_spent_count(tic_spent *spent, const tic_ctx *ctx, const tic_counters *before);
/* {"iterations":n, "pairs":n, "nominal":n, "extra":n, "seconds":x,
 * "macs":{PURPOSE:{"logical":n,"issued":n}},"layers":{LAYER:{...}},"order":HASH,"hardware":n}, the
 * last three where there are; a new reference, NULL without memory. */
json_t *tic_spent_json(const tic_spent *spent);
json_t *tic_spent_purposes(const tic_spent *spent); /* the "macs" of it */
json_t *tic_spent_layers(const tic_spent *spent);   /* its "layers"; {} where there are none */
/* False when a key is missing, mistyped or negative, or a purpose or layer unknown. */
bool tic_spent_read(const json_t *json, tic_spent *out);

/* ---- the ledger (ledger.c) ----------------------------------------------------------------- */

/* ledger.jsonl: one event a line, {"seq":n,"prev":HASH,"time":unix seconds,"event":...}. prev is
 * the SHA-256 of the line before without its newline (zeros for the first), so that no line can be
 * changed, dropped or put in without breaking the chain. */
typedef struct tic_ledger {
    char path[TIC_PATH];
    char last[65];  /* hash of the last whole line */
    json_t *events; /* array of the events so far; owned */
} tic_ledger;
/* Reads what is there; a torn last line (a crash while appending) does not count. A broken chain is
 * TIC_EVERIFY naming the line. On success the caller closes it. */
tic_status tic_ledger_open(tic_ledger *ledger, const char *path, tic_error *err);
void tic_ledger_close(tic_ledger *ledger);
/* Appends and syncs. Takes `event` over, also on failure; NULL is TIC_ERESOURCE. */
tic_status tic_ledger_add(tic_ledger *ledger, json_t *event, tic_error *err);
/* The last event of that name; method and step may be NULL (any). Borrowed, NULL when none. */
const json_t *tic_ledger_find(const tic_ledger *ledger, const char *event, const char *method,
                              const char *step);

/* ---- TensorBoard (tensorboard.c) ----------------------------------------------------------- */

/* An event file in memory, written whole and atomically. A record is u64 length, masked CRC-32C of
 * these 8 bytes, the Event protobuf, masked CRC-32C of it (little-endian). */
typedef struct tic_board {
    unsigned char *bytes;
    size_t size, capacity;
} tic_board;
typedef struct tic_scalar {
    const char *tag;
    float value;
} tic_scalar;
uint32_t tic_crc32c(const void *bytes, size_t size);
uint32_t tic_crc32c_masked(const void *bytes, size_t size);
/* The first record, file_version "brain.Event:2". */
tic_status tic_board_begin(tic_board *board, double wall_time, tic_error *err);
tic_status tic_board_add(tic_board *board, double wall_time, int64_t step,
                         const tic_scalar *scalars, int count, tic_error *err);
/* Replaces the board by the first `size` bytes of a file. */
tic_status tic_board_read(tic_board *board, const char *path, size_t size, tic_error *err);
/* Whether the file is whole records, each with the checksums of its length and contents; *records:
 * how many. TIC_EINPUT naming the byte where they end. */
tic_status tic_board_check(const char *path, int *records, tic_error *err);
void tic_board_free(tic_board *board);
double tic_wall_time(void); /* seconds since 1970 */

/* ---- progress (meter.c) -------------------------------------------------------------------- */

/* Work is counted in training pairs; a pair that is only evaluated counts as a third. */
typedef struct tic_meter {
    const tic_hooks *hooks;
    double nominal_pair;        /* MACs */
    double total, done;         /* work of the whole run; done: also by earlier processes */
    double budget, budget_done; /* nominal MACs, all methods */
    bool strict;                /* what is beside training is charged too */
    double began, began_done;   /* this process's start, and `done` then */
    double last, pairs_per_second, logical_per_second;
} tic_meter;
void tic_meter_begin(tic_meter *meter);
/* After an iteration of `pairs` pairs and `logical` MACs: updates the rates (exponential averages
 * over about 5 s), fills the event's rates, share and time left, and sends it. */
void tic_meter_iteration(tic_meter *meter, tic_event *event, int64_t pairs, uint64_t logical);
/* Nominal MACs beside training that were just spent: time, and with strict accounting budget. */
void tic_meter_extra(tic_meter *meter, uint64_t macs);
void tic_meter_evaluated(tic_meter *meter, int64_t pairs);
double tic_meter_seconds_left(const tic_meter *meter); /* negative: unknown yet */
void tic_note(const tic_hooks *hooks, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A tic_progress_fn whose user is a tic_hooks (or NULL). */
void tic_prepare_progress(void *hooks, const char *what, uint64_t done, uint64_t total);
bool tic_asked_to_stop(const tic_hooks *hooks);
bool tic_prepare_stop(void *hooks); /* the same as a tic_stop_fn */

/* ---- evaluation sets in memory (tasks.c), scored by evaluate.c ------------------------------ */

typedef struct tic_texts { /* packed token ids of n captions */
    int64_t n;
    int32_t *ids, *offsets;
    size_t room; /* ids that fit */
} tic_texts;
typedef struct tic_held_out { /* one step's */
    int64_t n;
    uint8_t *pixels; /* [n, size, size, 3] */
    tic_texts texts;
    int32_t *label;    /* [n] class, -1: none */
    int32_t *domain;   /* [n], -1: none */
    uint32_t *keyword; /* [n] bit k: the caption holds tasks->keyword[k] */
} tic_held_out;
typedef struct tic_static {
    tic_evalset *set;
    tic_texts texts; /* prompts class by class (template after template), or captions */
} tic_static;
enum { TIC_DOMAINS = 16, TIC_SUBTREES = 64, TIC_KEYWORDS = 16 };
struct tic_tasks {
    int steps, image_size;
    tic_held_out *step;
    tic_classes *classes; /* NULL: none */
    tic_texts prompts;
    int subtrees, *class_subtree;      /* of each class, -1: none */
    const char *subtree[TIC_SUBTREES]; /* borrowed from classes */
    int domains;
    char domain[TIC_DOMAINS][64];
    int keywords;
    char keyword[TIC_KEYWORDS][64];
    int statics;
    tic_static *fixed;
    int64_t pictures, captions; /* encoded in one evaluation */
};
/* "a,b,c" into at most TIC_KEYWORDS texts; TIC_EUSAGE for more, and for an empty or a long one. */
tic_status tic_keywords_split(const char *list, char (*out)[64], int *count, tic_error *err);
tic_status tic_score_add(tic_scores *scores, const char *task, const char *metric, int step,
                         double value, int64_t pairs, tic_error *err);

/* Hits among nq queries [nq,d] over nc candidates [nc,d]: query q's positives are the candidates
 * whose group equals its own; it hits when fewer than k other candidates score at least as high as
 * its best positive. Groups NULL: row numbers. A query without a positive does not hit. */
tic_status tic_recall_hits(tic_ctx *ctx, const float *query, const int32_t *query_group, int64_t nq,
                           const float *candidate, const int32_t *candidate_group, int64_t nc,
                           int64_t d, int k, int64_t *hits, tic_error *err);

/* ---- what a run works with (session.c) ----------------------------------------------------- */

typedef struct tic_session {
    const tic_experiment *x; /* borrowed, as are the hooks */
    const tic_hooks *hooks;
    tic_index *index;
    tic_steps steps;
    tic_vocab *vocab;
    tic_config config; /* vocab_size is the vocabulary's */
    tic_plan *plan;
    tic_plan_source source; /* of a new run's plan */
    tic_ctx *ctx;
    tic_dtype precision;
    int64_t micro_batch;
    tic_pmu *pmu; /* NULL: the CPU has no counters that PAPI sees */
    tic_model *model;
    tic_model *teacher; /* LwF's, built when its first step begins */
    tic_tasks *tasks;
    tic_ledger ledger;
    tic_meter meter;
    bool one_step; /* `ticlip train` */
    bool given;    /* its --from: the first step, too, has a last model */
} tic_session;
/* Each opens one part; tic_session_close frees whatever is there. */
tic_status tic_session_data(tic_session *s, tic_error *err); /* index and steps */
/* The shards indexed anew, whatever is saved; *out is the caller's. */
tic_status tic_session_index_again(const tic_session *s, tic_index **out, tic_error *err);
/* `saved` if the file exists, else the settings' vocabulary, else one trained on the captions of
 * the first step (later steps' words are not looked at in advance). Sets config.vocab_size. */
tic_status tic_session_vocab(tic_session *s, const char *saved, tic_error *err);
/* Plan (from the file `saved` if it exists, else as x->plan and the machine choose) and context. */
tic_status tic_session_context(tic_session *s, const char *saved, tic_error *err);
/* The CPU's own counters, where there are any; failing to open them is a note. */
void tic_session_pmu(tic_session *s);
/* precision as the settings say; `auto` measures. */
tic_status tic_session_precision(tic_session *s, tic_error *err);
/* What methods need beside the model where there is a last model: LwF a teacher, which stays; EWC
 * and patching, in turn, two flat arrays of weights. */
typedef struct tic_needs {
    bool teacher;
    size_t copies; /* bytes */
} tic_needs;
tic_status tic_session_needs(const tic_session *s, tic_needs *out, tic_error *err);
/* The largest micro-batch that fits the memory limit beside those, all of the batch without one.
 * TIC_ERESOURCE when none fits. */
tic_status tic_session_micro_batch(tic_session *s, tic_error *err);
tic_status tic_session_tower(tic_session *s, bool train, tic_error *err); /* the model */
/* What is evaluated; without pictures only tic_evaluation_asks can use it. */
tic_status tic_session_tasks(tic_session *s, bool pictures, tic_error *err);
/* Model and tasks, with pictures. */
tic_status tic_session_model(tic_session *s, bool train, tic_error *err);
/* Data, vocabulary, plan, precision and model of a checkpoint, its weights loaded: what lies two
 * folders above it counts where the settings leave it open (tic_evaluate_checkpoint). */
tic_status tic_session_checkpoint(tic_session *s, const char *checkpoint, bool tasks,
                                  tic_error *err);
void tic_session_close(tic_session *s);
tic_status tic_session_path(const tic_session *s, char out[TIC_PATH], const char *name,
                            tic_error *err); /* RUN/name */

/* ---- one step of one method (trainer.c) ---------------------------------------------------- */

typedef struct tic_job {
    const char *method, *step; /* names */
    const tic_method *rule;
    char folder[TIC_PATH]; /* RUN/METHOD/STEP */
    char board[TIC_PATH];  /* its TensorBoard file */
    const char *from;      /* weights to start from; NULL: random */
    const uint32_t *pool;  /* borrowed */
    size_t pool_size;
    const uint32_t *fisher_pool; /* EWC: the step before's pairs, borrowed */
    size_t fisher_pool_size;
    int64_t fisher_pairs;
    int step_index;
    int64_t iterations, warmup;
    double lr;               /* peak */
    tic_spent before;        /* by phases before training */
    int64_t first_iteration; /* of the method, for TensorBoard's axis */
} tic_job;
/* The penalty of the rule, where there is a last model to be held to. */
tic_penalty tic_job_penalty(const tic_job *job);
/* The seed of the sample order and crops of a step: another for each. */
uint64_t tic_stream_seed(int64_t seed, int step_index);
/* Trains, or goes on from folder/state.safetensors, and leaves the trained weights in s->model and
 * in folder/open_clip_model.safetensors. The state file stays until tic_job_done. */
tic_status tic_train_job(tic_session *s, const tic_job *job, tic_spent *spent, tic_error *err);
void tic_job_done(const tic_job *job); /* removes what only an unfinished step needs */
/* The checkpoint that a following step starts from: folder/trunk where the schedule left one, else
 * folder. */
tic_status tic_job_handover(const char *folder, char out[TIC_PATH], tic_error *err);

/* ---- phases before training (phase.c) ------------------------------------------------------ */

/* In METHOD/STEP/. The first is removed when the step is done; the second stays, since the step's
 * pool follows from it. */
#define TIC_FISHER_FILE "fisher.safetensors"
#define TIC_ALIGNMENT_FILE "alignment.safetensors"
/* Beside the weights a step leaves, with --keep-optimizer. */
#define TIC_OPTIMIZER_FILE "optimizer.safetensors"
/* `count` floats and what they cost, written atomically. */
tic_status tic_phase_write(const char *path, const float *values, size_t count,
                           const tic_spent *spent, tic_error *err);
/* TIC_EINPUT when the file is damaged or has another number of floats. */
tic_status tic_phase_read(const char *path, float *values, size_t count, tic_spent *spent,
                          tic_error *err);

/* ---- EWC (ewc.c) --------------------------------------------------------------------------- */

typedef struct tic_ewc {
    float *fisher, *anchor; /* [size], as the model's flat arrays */
    int64_t size;
    double lambda;
} tic_ewc;
/* Loads the last model's weights (job->from) into the session's model, keeps them as the anchor,
 * and measures the Fisher information, or reads what an earlier process measured; *spent is what
 * that cost. The caller frees *ewc, also on failure. */
tic_status tic_ewc_prepare(tic_session *s, const tic_job *job, tic_ewc *ewc, tic_spent *spent,
                           tic_error *err);
void tic_ewc_free(tic_ewc *ewc);
/* Adds the penalty's gradient; returns the penalty. */
double tic_ewc_add(const tic_ewc *ewc, const float *weights, float *gradient);

/* ---- LwF's teacher (teacher.c) -------------------------------------------------------------- */

typedef struct tic_teacher {
    float *image, *text; /* [batch, embed_dim] of the last batch */
} tic_teacher;
/* The session's teacher takes job->from's weights. The caller frees *teacher, also on failure. */
tic_status tic_teacher_prepare(tic_session *s, const tic_job *job, tic_teacher *teacher,
                               tic_error *err);
void tic_teacher_free(tic_teacher *teacher);
/* Features of the batch, and the loss options that distil from them. */
tic_status tic_teacher_look(tic_session *s, tic_teacher *teacher, const tic_batch *batch,
                            tic_loss_options *options, tic_error *err);

/* ---- features of pairs (features.c) ---------------------------------------------------------- */

/* Takes the features of pairs[at .. at + n), [n, embed_dim] each; text NULL when not asked for. */
typedef tic_status (*tic_features_fn)(void *user, size_t at, int64_t n, const float *image,
                                      const float *text, tic_error *err);
/* Encodes the pairs at these places of the index, in order, with the session's model; what the MACs
 * are for is the caller's to say. `doing` ("scoring past pairs") goes to the hooks and into
 * TIC_EINTERRUPTED. */
tic_status tic_session_features(tic_session *s, const uint32_t *pairs, size_t count, bool texts,
                                const char *doing, tic_features_fn take, void *user,
                                tic_error *err);
/* A tic_features_fn whose user is a tic_cosines: of picture and caption. */
typedef struct tic_cosines {
    float *out;
    int64_t d;
} tic_cosines;
tic_status tic_take_cosines(void *cosines, size_t at, int64_t n, const float *image,
                            const float *text, tic_error *err);

/* ---- selection (selection.c) ---------------------------------------------------------------- */

/* Cosines of picture and caption under the model in `from`, of all training pairs of the steps
 * before `step`, in order; read from `folder` when an earlier process left them there. *alignment
 * is the caller's (tic_free); *spent is what it cost. */
tic_status tic_select_alignment(tic_session *s, int step, const char *from, const char *folder,
                                float **alignment, tic_spent *spent, tic_error *err);

/* ---- patching (patching.c) ------------------------------------------------------------------ */

/* The session's model, just trained, becomes (1 - c) before + c trained with the coefficient c of
 * 0, 1/10, ... 1 that maximises the mean retrieval on the held-out pairs of the steps before
 * `step`; the largest of equals. Adds to *spent. */
tic_status tic_patch(tic_session *s, const char *before, int step, double *coefficient,
                     tic_spent *spent, tic_error *err);
/* Mean of mean_recall@1 over the held-out pairs of the first `steps` steps; what the MACs are for
 * is the caller's to say. */
tic_status tic_mean_retrieval(tic_model *model, int64_t batch, const tic_tasks *tasks, int steps,
                              double *mean, tic_error *err);
uint64_t tic_retrieval_macs(const tic_config *config, const tic_tasks *tasks,
                            int steps); /* logical, of one such mean */

/* ---- results (results.c) ------------------------------------------------------------------- */

/* results.json from the ledger alone: a new document, NULL without memory. */
tic_status tic_results_make(const tic_ledger *ledger, json_t **out, tic_error *err);
/* From its first `lines` lines. */
tic_status tic_results_made_of(const tic_ledger *ledger, size_t lines, json_t **out,
                               tic_error *err);
tic_status tic_results_write(const tic_ledger *ledger, const char *path, tic_error *err);
/* The chain cannot show that its end is missing or another: results.json holds the ledger's length
 * and last hash when it was written. TIC_EVERIFY when the ledger is shorter than that or has
 * another line there; without the file, or what it tells of the ledger, there is nothing to check.
 */
tic_status tic_results_check(const tic_ledger *ledger, const char *path, tic_error *err);
/* json_dumps into memory of ours. */
tic_status tic_json_text(const json_t *json, size_t flags, char **text, tic_error *err);
json_t *tic_json_number(double value); /* null when not finite */
/* A text of an object, borrowed; "" where there is none. */
const char *tic_json_string(const json_t *object, const char *key);
/* [{"task","metric","step","value","pairs"}, ...]; a new reference. */
json_t *tic_scores_json(const tic_scores *scores);

/* ---- several seeds (spread.c) --------------------------------------------------------------- */

/* The mean of samples and the standard error of that mean, sqrt(sum (x - mean)^2 / (n (n - 1)));
 * NaN with one sample. A sample that is NaN makes both so. */
typedef struct tic_spread {
    double mean, error;
} tic_spread;
tic_spread tic_spread_of(const double *samples, int count);
/* {"mean": x, "stderr": x}, null where not finite; a new reference. */
json_t *tic_spread_json(const double *samples, int count);

#endif
