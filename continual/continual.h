/* Continual learning: methods, experiments, schedules, budgets and the ledger, the trainer of one
 * step, the runner of an experiment, evaluation and metrics. The room's one public header. */
#ifndef TIC_CONTINUAL_H
#define TIC_CONTINUAL_H

#include "autotune/autotune.h"
#include "data/data.h"
#include "kernels/kernels.h"
#include "model/model.h"

/* ---- methods: the paper's Table 1 as rows of continual/methods.c ---------------------------- */

typedef enum tic_start { TIC_START_RANDOM, TIC_START_LAST, TIC_START_PATCHED } tic_start;
typedef enum tic_pool {               /* what a step trains on */
                        TIC_POOL_NEW, /* the step's own pairs */
                        TIC_POOL_ALL, /* all pairs so far */
} tic_pool;

typedef struct tic_method {
    const char *name;  /* "sequential": what --methods takes and the folder is called */
    const char *label; /* "Sequential": the paper's name */
    const char *about; /* one line */
    tic_start start;
    tic_pool pool;
    bool grows; /* step t spends t shares of the budget (Oracle) */
} tic_method;
int tic_method_count(void);
const tic_method *tic_method_get(int i);
/* NULL and TIC_EUSAGE with the nearest name when there is none. */
tic_status tic_method_find(const tic_method **out, const char *name, tic_error *err);

/* ---- an experiment's settings -------------------------------------------------------------- */

enum { TIC_PATH = 1024, TIC_NAMES = 512 };
typedef enum tic_accounting { TIC_PAPER, TIC_STRICT } tic_accounting;
typedef enum tic_schedule { TIC_COSINE, TIC_CONST_COSINE } tic_schedule;
typedef enum tic_precision {
    TIC_PRECISION_AUTO,
    TIC_PRECISION_F32,
    TIC_PRECISION_BF16
} tic_precision;

typedef struct tic_experiment {
    char data[TIC_PATH], out[TIC_PATH];
    char index[TIC_PATH];                  /* index file; "" means out/index.bin */
    char methods[TIC_NAMES];               /* comma-separated, or "all" */
    char model[TIC_PATH], vocab[TIC_PATH]; /* vocab "": trained on the first step's captions */
    int64_t vocab_size;                    /* of a trained one */
    double macs;                           /* nominal, whole sequence; 0: given by pairs */
    int64_t pairs;                         /* whole sequence; 0: given by macs */
    tic_accounting accounting;
    int64_t batch, warmup; /* warmup: iterations, first step only */
    double lr, beta1, beta2, eps, weight_decay;
    tic_schedule schedule;
    tic_precision precision;
    tic_granularity granularity;
    char first_step[16], steps[TIC_NAMES];
    int64_t min_step, eval_pairs;
    int64_t seed, threads, memory, max_bad; /* memory: bytes, 0: no limit */
    bool filter;
    int64_t save_every; /* seconds between state files within a step */
} tic_experiment;

/* The one table of settings: command-line flags, keys of the experiment file and `--help` all come
 * from it. */
typedef enum tic_setting_type {
    TIC_SET_TEXT,
    TIC_SET_INT,
    TIC_SET_SIZE, /* integer with K, M, G, T (powers of 1000) or Ki, Mi, Gi */
    TIC_SET_REAL, /* 3e12 */
    TIC_SET_BOOL,
    TIC_SET_CHOICE
} tic_setting_type;
typedef struct tic_setting {
    const char *name;           /* "first-step": --first-step and "first_step" */
    const char *value;          /* what --help calls it: "YEAR" */
    const char *help, *choices; /* choices: "cosine|const-cosine" */
    tic_setting_type type;
    double min, max;
    size_t offset, size; /* in tic_experiment */
} tic_setting;
int tic_setting_count(void);
const tic_setting *tic_setting_get(int i);
void tic_experiment_defaults(tic_experiment *experiment);
/* Unknown name, wrong type, out of range: TIC_EUSAGE with the nearest valid name or the range. */
tic_status tic_experiment_set(tic_experiment *experiment, const char *name, const char *value,
                              tic_error *err);
/* A json object of settings over what is already there; TIC_EINPUT naming file, line and key. */
tic_status tic_experiment_read(tic_experiment *experiment, const char *path, tic_error *err);
/* Every setting, defaults included; the caller's (tic_free). */
tic_status tic_experiment_json(const tic_experiment *experiment, char **text, tic_error *err);

/* ---- what a run will do -------------------------------------------------------------------- */

/* Learning rate at iteration s (from 0) of a step of `total` iterations (reference/openclip.md):
 * linear warm-up lr (s+1)/warmup over the first `warmup`, then lr (1+cos(pi (s-W)/(T-W)))/2. */
double tic_lr_at(tic_schedule schedule, double lr, int64_t warmup, int64_t total, int64_t s);

typedef struct tic_step_budget {
    uint64_t macs;        /* nominal, the step's share */
    int64_t iterations;   /* the most whole batches that fit it */
    uint64_t spent, left; /* nominal: iterations * batch * per pair; what remains */
} tic_step_budget;
tic_status tic_budget_step(const tic_experiment *experiment, const tic_config *config,
                           const tic_method *method, int steps, int step, tic_step_budget *out,
                           tic_error *err);

/* ---- evaluation ---------------------------------------------------------------------------- */

/* Recall@k over features: the share of queries whose positive is among the k nearest. Retrieval of
 * pairs: row i of both belongs together. A tie counts against the model. */
typedef struct tic_recall {
    double image_to_text, text_to_image, mean;
} tic_recall;
tic_status tic_recall_at(tic_ctx *ctx, const float *image, const float *text, int64_t n, int64_t d,
                         int k, tic_recall *out, tic_error *err);

/* E[i][j]: model after step i on step j (steps x steps, NaN where not computed). In-domain: mean of
 * the diagonal; backward: mean over j < i; forward: mean over j > i (reference/tic-clip.md). */
typedef struct tic_summary {
    double in_domain, backward, forward, stderr_;
} tic_summary;
tic_summary tic_summarise(const double *e, int steps, int64_t pairs_each);

typedef struct tic_score { /* one task's score of one model */
    char task[96];   /* "retrieval", "classification", "classification/SUBTREE", "retrieval/DOMAIN",
                        "static/NAME" */
    char metric[32]; /* "mean_recall@1", "acc1" */
    int step;        /* evaluated step, -1 for static tasks */
    double value;
    int64_t pairs;
} tic_score;
typedef struct tic_scores {
    tic_score *list;
    size_t count, capacity;
} tic_scores;
void tic_scores_free(tic_scores *scores);

/* What a model is evaluated on, loaded once and shared by all models of a run. */
typedef struct tic_tasks tic_tasks;
/* Held-out pairs of every step, classification from classes.json on them, subsets by the json's
 * `domain`, and DATA/eval/NAME folders. Borrows index, steps and vocab. */
tic_status tic_tasks_load(tic_tasks **out, const char *data, tic_index *index,
                          const tic_steps *steps, const tic_vocab *vocab, int image_size,
                          int context, int threads, tic_error *err);
void tic_tasks_free(tic_tasks *tasks);
/* Appends to *scores, the caller's. MACs go to TIC_FOR_EVALUATION. */
tic_status tic_evaluate(tic_model *model, const tic_tasks *tasks, tic_scores *scores,
                        tic_error *err);

/* ---- a run --------------------------------------------------------------------------------- */

typedef enum tic_event_kind {
    TIC_EVENT_NOTE,      /* text: one line for the log */
    TIC_EVENT_PREPARE,   /* text, done, total: indexing, vocabulary, loading */
    TIC_EVENT_ITERATION, /* the fields below */
    TIC_EVENT_STEP_DONE, /* a step is trained and evaluated */
} tic_event_kind;
typedef struct tic_event {
    tic_event_kind kind;
    const char *text;
    uint64_t done, total;
    const char *method, *step; /* names */
    int64_t iteration, iterations;
    double loss, lr, norm, scale;
    double pairs_per_second, nominal_gmacs, logical_gmacs; /* per second, lately */
    double share;        /* of the run's whole nominal budget, all methods */
    double seconds_left; /* of the whole run; negative: unknown yet */
    double in_domain;    /* STEP_DONE: retrieval on the step's own held-out pairs */
} tic_event;
typedef struct tic_hooks {
    void (*event)(void *user, const tic_event *event);
    bool (*stop)(void *user); /* asked every iteration: finish it, save, TIC_EINTERRUPTED */
    void *user;
} tic_hooks;

/* What it will cost, before it starts: printed by `ticlip run`, which stops here with --dry-run. */
typedef struct tic_forecast {
    int64_t parameters, micro_batch;
    size_t memory;
    uint64_t nominal_pair, logical_pair; /* training MACs a pair; logical at the mean caption */
    double mean_tokens;
    int steps, methods;
    int64_t pairs_total, iterations_total;
    double nominal_total, logical_total, gmacs, seconds; /* gmacs: measured on this machine */
    char precision[8], text[256];
} tic_forecast;
tic_status tic_run_forecast(const tic_experiment *experiment, const tic_hooks *hooks,
                            tic_forecast *out, tic_error *err);

/* Runs or continues experiment->out (formats: docs/formats.md). A folder begun with other settings
 * is TIC_EINPUT naming the first that differs; one that another process works on TIC_ERESOURCE. */
tic_status tic_run(const tic_experiment *experiment, const tic_hooks *hooks, tic_error *err);

/* One step from one checkpoint (`ticlip train`): trains experiment's model on `step`'s data as the
 * method says, starting from `from` (a checkpoint folder, NULL: random). */
tic_status tic_train_one(const tic_experiment *experiment, const char *method, const char *step,
                         const char *from, const tic_hooks *hooks, tic_error *err);

/* results.json of a run folder, as text; the caller's (tic_free). */
tic_status tic_results_read(const char *run, char **json, tic_error *err);

#endif
