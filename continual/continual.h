/* Continual learning: methods, experiments, schedules, budgets and the ledger, the trainer of one
 * step, the runner of an experiment, evaluation and metrics. The room's one public header. */
#ifndef TIC_CONTINUAL_H
#define TIC_CONTINUAL_H

#include "autotune/autotune.h"
#include "data/data.h"
#include "kernels/kernels.h"
#include "model/model.h"

/* ---- methods: the paper's Table 1 as rows of continual/methods.c ---------------------------- */

typedef enum tic_start { /* where a step's weights come from; the first step's are random */
                         TIC_START_RANDOM,
                         TIC_START_LAST,    /* what the method's last step left */
                         TIC_START_PATCHED, /* the same, and the step ends in patching (below) */
} tic_start;
/* Which pairs a step trains on: its own D, and of the past ones (R = --buffer times D, to the
 * nearest pair and at most what there is; shares to the pair: tic_replay_shares) */
typedef enum tic_pool {
    TIC_POOL_NEW,   /* none */
    TIC_POOL_ALL,   /* all */
    TIC_POOL_EXP,   /* R: half of it from the last step, a quarter from the one before, ... */
    TIC_POOL_EQUAL, /* R, split evenly over the past steps */
    TIC_POOL_LOW,   /* the half whose image-text alignment under the last model is lowest */
    TIC_POOL_HIGH,  /* ... highest (paper, App. B.4) */
} tic_pool;
/* How often a pair of the pool is drawn (paper, App. E.2). */
typedef enum tic_draw {
    TIC_DRAW_EPOCHS,     /* one permutation of the pool after the other */
    TIC_DRAW_LEAST_USED, /* those used least in all steps so far come first */
    TIC_DRAW_PER_STEP,   /* every step's pairs get the same number of draws, so that a pair of a
                            small step is drawn more often: by the inverse of its step's share */
} tic_draw;
typedef enum tic_penalty { /* what is added to the contrastive loss where there is a last model */
                           TIC_PENALTY_NONE,
                           /* LwF: --distill-weight times the KL of the last model's image-text
                              similarities and the new ones (tic_distill) */
                           TIC_PENALTY_LWF,
                           /* EWC: sum_i lambda/2 F_i (w_i - w_last,i)^2 (continual/ewc.c) */
                           TIC_PENALTY_EWC,
} tic_penalty;

typedef struct tic_method {
    const char *name;  /* "sequential": what --methods takes and the folder is called */
    const char *label; /* "Sequential": the paper's name */
    const char *about; /* one line */
    tic_start start;
    tic_pool pool;
    tic_draw draw;
    tic_penalty penalty;
    double lambda;  /* of EWC */
    double compute; /* shares of the budget that a step may spend; 0 stands for 1 */
    bool grows;     /* step t spends t shares (Oracle) */
} tic_method;
int tic_method_count(void);
const tic_method *tic_method_get(int i);
/* TIC_EUSAGE with the nearest name when there is none. */
tic_status tic_method_find(const tic_method **out, const char *name, tic_error *err);
/* The rows that a comma-separated list (or "all") names, in its order, each once; *count of at most
 * `limit`. TIC_EUSAGE for an unknown or repeated name, or none. */
tic_status tic_method_list(const char *names, const tic_method **out, int limit, int *count,
                           tic_error *err);

/* ---- an experiment's settings -------------------------------------------------------------- */

enum { TIC_PATH = 1024, TIC_NAMES = 512, TIC_NAME = 64 };
typedef enum tic_accounting { TIC_PAPER, TIC_STRICT } tic_accounting;
typedef enum tic_schedule { TIC_COSINE, TIC_CONST_COSINE } tic_schedule;
/* Steps with linear warm-up (paper, Table 6): those from random weights; none; all; or those from
 * random weights in full and the others a tenth of it. */
typedef enum tic_warmup_in {
    TIC_WARMUP_FIRST,
    TIC_WARMUP_NONE,
    TIC_WARMUP_ALL,
    TIC_WARMUP_TENTH
} tic_warmup_in;
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
    int64_t batch, warmup; /* warmup: iterations, of steps that start from random weights */
    double lr, beta1, beta2, eps, weight_decay;
    double lr_decay; /* factor on lr, once a step that goes on from a model */
    tic_warmup_in warmup_in;
    tic_schedule schedule;
    bool carry;          /* what a step's whole batches leave of its share goes to the next */
    bool keep_optimizer; /* moments carry over from step to step */
    double buffer, replay_share, distill_weight;
    int64_t fisher_pairs;
    tic_precision precision;
    char granularity[16];  /* "year", "quarter", "month", "iid:5" */
    char first_step[16];   /* pools all before its end; "none"; "auto": tic_first_step */
    char steps[TIC_NAMES]; /* not "": the last month or year of each, instead of granularity */
    int64_t min_step, eval_pairs;
    int64_t seed, threads, memory, max_bad; /* memory: bytes, 0: no limit */
    bool filter;
    char time_field[TIC_NAME]; /* json field of a pair's time; "": tic_index_options */
    char keywords[TIC_NAMES];  /* comma-separated: subsets of captions that hold one */
    char label_field[TIC_NAME],
        label_tree[TIC_NAME]; /* of the pairs' json; "": DATA/classes.json */
    int64_t save_every; /* seconds between state files within a step; 0: after every iteration */
    /* Not a setting: the plan file of a new run (tic_plan_choose), "": what is shipped. A run keeps
     * its plan, and goes on with it. */
    char plan[TIC_PATH];
} tic_experiment;

/* The one table of settings: command-line flags, keys of the experiment file and `--help` all come
 * from it. */
typedef enum tic_setting_type {
    TIC_SET_TEXT,
    TIC_SET_INT,
    TIC_SET_SIZE, /* integer, with suffixes */
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
/* A decimal number such as "1500" or "3e12", with `suffixes` also "2k" (K, M, G, T, P: powers of
 * 1000) or "512Mi" (Ki, Mi, Gi, Ti). False for anything else, infinities and NaN. */
bool tic_number_parse(const char *text, bool suffixes, double *out);
int tic_setting_count(void);
const tic_setting *tic_setting_get(int i);
void tic_experiment_defaults(tic_experiment *experiment);
/* Names are taken with dashes or underscores. Unknown name, wrong type, out of range: TIC_EUSAGE
 * with the nearest valid name or the range, and nothing changes. A positive `macs` sets `pairs` to
 * 0 and the other way round: the last one given is the budget. */
tic_status tic_experiment_set(tic_experiment *experiment, const char *name, const char *value,
                              tic_error *err);
/* A json object of settings over what is already there; TIC_EINPUT naming file, line and key. On
 * failure *experiment is unchanged. */
tic_status tic_experiment_read(tic_experiment *experiment, const char *path, tic_error *err);
/* Every setting, defaults included; the caller's (tic_free). */
tic_status tic_experiment_json(const tic_experiment *experiment, char **text, tic_error *err);
/* What cannot be told setting by setting: data and out are given, so is a budget, the methods
 * exist. TIC_EUSAGE. */
tic_status tic_experiment_check(const tic_experiment *experiment, tic_error *err);
/* Whether steps are drawn at random and have no time of their own (granularity iid:K). */
bool tic_experiment_iid(const tic_experiment *experiment);
/* Where the settings that decide results differ: the first one's name, or NULL. Places (data, out,
 * index), threads and save_every may change between the parts of a run. */
const char *tic_experiment_differs(const tic_experiment *a, const tic_experiment *b);

/* The steps of an index as the settings ask for. first_step "auto" pools all to the end of 2016, as
 * TiC-DataComp does, when there are pairs both before and after that moment, else nothing; with
 * `steps` there is no first step. *out is the caller's (tic_steps_free). */
tic_status tic_experiment_steps(const tic_experiment *experiment, const tic_index *index,
                                tic_steps *out, tic_error *err);

/* ---- what a run will do -------------------------------------------------------------------- */

/* Learning rate at iteration s (from 0) of a step of `total` iterations (reference/openclip.md):
 * linear warm-up lr (s+1)/warmup over the first `warmup` (W), then
 *   cosine        lr (1+cos(pi (s-W)/(T-W)))/2
 *   const-cosine  lr until tic_branch_at (D), then lr (1+cos(pi (s-D)/(T-D)))/2 */
double tic_lr_at(tic_schedule schedule, double lr, int64_t warmup, int64_t total, int64_t s);
/* Const-cosine (paper, App. B.5): the iteration at which the decay branch of a fifth of the
 * iterations begins; the next step continues from the weights before it. `total` for cosine. */
int64_t tic_branch_at(tic_schedule schedule, int64_t total);

/* What a step costs beside training, in nominal MACs: the teacher's forward pass of LwF, EWC's
 * Fisher pass, the scoring of past pairs, the search of patching. `per_pair` of training, and
 * `fixed` once. */
typedef struct tic_charges {
    uint64_t per_pair, fixed;
} tic_charges;
/* Of step `step` of a whole run (from 0; the first has none); exact: the ledger's `extra` is the
 * same number. */
tic_charges tic_method_charges(const tic_experiment *experiment, const tic_config *config,
                               const tic_method *method, const tic_steps *steps, int step);
/* Pairs of EWC's Fisher pass before `step`: whole batches, at most --fisher-pairs and, but for the
 * one batch it takes at least, the pairs of the step before. */
int64_t tic_fisher_pairs(const tic_experiment *experiment, const tic_steps *steps, int step);

typedef struct tic_step_budget {
    uint64_t macs;      /* nominal: the step's share, or shares where the method grows */
    int64_t iterations; /* the most whole batches that fit it */
    uint64_t extra;     /* nominal: charges beside training */
    uint64_t spent;     /* nominal, charged to the budget: iterations * batch * per pair, and with
                           strict accounting `extra` */
    uint64_t left;      /* what remains of macs */
} tic_step_budget;
/* `step` counts from 0. The sequence's budget is divided by `steps`, rounded down. Accounting
 * `paper` lets the charges cost extra; `strict` takes them from the same share, so that fewer
 * iterations are left. Budgets of 2^63 MACs or more, or a share that does not pay for one batch:
 * TIC_EUSAGE. */
tic_status tic_budget_step(const tic_experiment *experiment, const tic_config *config,
                           const tic_method *method, const tic_charges *charges, int steps,
                           int step, tic_step_budget *out, tic_error *err);

/* ---- replay -------------------------------------------------------------------------------- */

/* Splits a replay buffer of `pairs` over `count` past steps that have have[i] training pairs each,
 * by TIC_POOL_EXP or TIC_POOL_EQUAL: quotas are rounded by largest remainders (of equal ones the
 * later step's goes up), no share is larger than its step, and what a small step cannot give the
 * others do. The shares sum to `pairs`, or to all there is. */
void tic_replay_shares(tic_pool pool, size_t pairs, int count, const size_t *have, size_t *shares);

/* What one step of one method draws its batches from. */
typedef struct tic_pool_ask {
    const tic_pair *pairs; /* the index's */
    const tic_steps *steps;
    const tic_method *method;
    int step;
    double buffer;       /* replay buffer, in the step's own pairs */
    double replay_share; /* of all draws, for past pairs; 0: as many as they are */
    uint64_t seed;
    const int64_t *draws;   /* [step + 1]: pairs that each step draws, batch * iterations */
    const float *alignment; /* TIC_POOL_LOW and HIGH: of the past steps' training pairs, in order */
} tic_pool_ask;
/* Places in the index, rising; *pool is the caller's (tic_free). Where pairs are not drawn equally
 * often, the pool has draws[step] places, a pair as often as it is drawn. A past step's pairs are
 * taken by the smallest keyed hash of their identity: uniformly, and a smaller share is a part of a
 * larger one. A buffer follows the size of the present step: when steps grow, pairs that it left
 * out may come back. Source: reference/tic-clip.md, Methods. */
tic_status tic_step_pool(const tic_pool_ask *ask, uint32_t **pool, size_t *size, tic_error *err);

/* With --carry: what the step before left over is added to the budget, and spent on further whole
 * batches. */
void tic_budget_carry(const tic_experiment *experiment, const tic_config *config,
                      const tic_charges *charges, uint64_t carried, tic_step_budget *budget);

/* ---- evaluation ---------------------------------------------------------------------------- */

/* Recall@k over features [n,d]: the share of queries whose positive is among the k nearest, row i
 * of both belonging together. A tie counts against the model, NaN too. Scores exist only in strips
 * of rows. */
typedef struct tic_recall {
    double image_to_text, text_to_image, mean;
} tic_recall;
tic_status tic_recall_at(tic_ctx *ctx, const float *image, const float *text, int64_t n, int64_t d,
                         int k, tic_recall *out, tic_error *err);

/* E[i][j]: model after step i on step j (steps x steps, NaN where not computed, which is left out).
 * In-domain: mean of the diagonal; backward: mean over j < i; forward: mean over j > i
 * (reference/tic-clip.md); NaN when there is nothing to average.
 *
 * Standard errors are of the evaluation sets' sizes, n = pairs[j] in column j, not of seeds. A
 * cell's is s_ij = sqrt(p (1 - p) / n) with p = (n E_ij + 1) / (n + 2): binomial, a score of 0 or 1
 * not being certain; for the mean of two directions an upper bound, reached when they agree pair by
 * pair. Cells of one column share their pairs and are taken as fully
 * correlated (again an upper bound), columns as independent: for a mean over N cells se =
 * sqrt(sum_j (sum_{i in column j} s_ij)^2) / N. */
typedef struct tic_summary {
    double in_domain, backward, forward;
    double in_domain_stderr, backward_stderr, forward_stderr;
    /* Appendix F: the same triangles of E[i][j] - E[i][i], how much worse (negative) or better the
     * model is there than on its own step. */
    double backward_relative, forward_relative;
} tic_summary;
tic_summary tic_summarise(const double *e, int steps, const int64_t *pairs);

typedef struct tic_score { /* one task's score of one model */
    char task[96];   /* "retrieval", "classification", "classification/SUBTREE", "retrieval/DOMAIN",
                        "static/NAME" */
    char metric[32]; /* "mean_recall@1", "acc1" */
    int step;        /* evaluated step, -1 for static tasks */
    double value;
    int64_t pairs; /* queries: pairs of a retrieval task, pictures of a classification task */
} tic_score;
typedef struct tic_scores {
    tic_score *list;
    size_t count, capacity;
} tic_scores;
void tic_scores_free(tic_scores *scores);

/* What a model is evaluated on, loaded once and shared by all models of a run. */
typedef struct tic_tasks tic_tasks;
typedef struct tic_tasks_options {
    int image_size, context, threads;
    const char *keywords;    /* comma-separated, at most 16; "" or NULL: none */
    const char *label_field; /* json field whose values are the classes; "" or NULL: classes.json */
    const char *label_tree;  /* with it: json field whose value is the class's subtree */
    bool no_pictures; /* of held-out pairs: enough for tic_evaluation_asks, not for tic_evaluate */
} tic_tasks_options;
/* Held-out pairs of every step; classification on them, with the classes of DATA/classes.json or
 * the values of a json field; subsets by the json field `domain` (the 16 most frequent values), by
 * words that captions hold (whole words, ASCII letters in either case) and by the classes'
 * subtrees; and the folders DATA/eval/NAME. A picture of a subtree is still classified among all
 * classes. `data` may be NULL:
 * then there are only the held-out pairs. Borrows nothing after it returns, but reads `index`.
 * Pictures are kept in memory: pairs * image_size^2 * 3 bytes. On success *out is the caller's. */
tic_status tic_tasks_load(tic_tasks **out, const char *data, tic_index *index,
                          const tic_steps *steps, const tic_vocab *vocab,
                          const tic_tasks_options *options, tic_error *err);
void tic_tasks_free(tic_tasks *tasks); /* NULL is allowed */
typedef struct tic_hooks tic_hooks;
/* Appends to *scores, the caller's also on failure. `batch` is at most the model's. MACs go to
 * TIC_FOR_EVALUATION. A subset of a step with fewer than two pairs gets no score. The hooks (NULL:
 * none) are asked whether to stop between steps and static sets: TIC_EINTERRUPTED. */
tic_status tic_evaluate(tic_model *model, int64_t batch, const tic_tasks *tasks,
                        const tic_hooks *hooks, tic_scores *scores, tic_error *err);
/* What tic_evaluate would give and need, without a model: the same scores in the same order, each
 * `value` the number that a score times it is whole by (the queries of both directions; of static
 * retrieval 2 x pictures x captions, as the mean of two shares), and the logical MACs of all.
 * *asked is the caller's also on failure. */
tic_status tic_evaluation_asks(const tic_config *config, const tic_tasks *tasks, tic_scores *asked,
                               uint64_t *logical, tic_error *err);

/* The settings of the run that a checkpoint lies in (RUN/METHOD/STEP, or trunk in it). Those that
 * decide which pairs a step holds out are seed, eval_pairs, the steps' (granularity, first_step,
 * steps, min_step, time_field) and filter: with others the checkpoint would be scored on pairs that
 * it was trained on. *experiment takes these over, and what the tasks are made of (max_bad,
 * keywords, label_field, label_tree); *batch (NULL: not asked) the run's. Where there is no run,
 * nothing changes; TIC_EINPUT when its experiment.json is damaged. */
tic_status tic_checkpoint_settings(const char *checkpoint, tic_experiment *experiment,
                                   int64_t *batch, tic_error *err);

/* Any checkpoint on the data of an experiment (`ticlip eval`): the settings used are data, index or
 * out, those of tic_checkpoint_settings, batch, threads, precision and vocab. Vocab and, for
 * precision `auto`, precision are the run's (vocab.txt.gz, its results) where the checkpoint lies
 * in one, as the plan is (plan.txt). A setting that decides the held-out pairs and is not the
 * run's: TIC_EUSAGE naming it. *json is a document
 * {"schema":1,"checkpoint":...,"steps":[...],"tasks":{TASK:{"metric","pairs":[...],
 * "per_step":[...]}, "static/NAME":{"metric","pairs","value"}}}, the caller's (tic_free). */
tic_status tic_evaluate_checkpoint(const tic_experiment *experiment, const char *checkpoint,
                                   const tic_hooks *hooks, char **json, tic_error *err);

/* ---- a run --------------------------------------------------------------------------------- */

typedef enum tic_event_kind {
    TIC_EVENT_NOTE,      /* text: one line for the log */
    TIC_EVENT_PREPARE,   /* text, done, total: indexing, vocabulary, loading, evaluating */
    TIC_EVENT_ITERATION, /* the fields below */
    TIC_EVENT_STEP_DONE, /* a step is trained and evaluated */
} tic_event_kind;
typedef struct tic_event {
    tic_event_kind kind;
    const char *text;
    uint64_t done, total;
    const char *method, *step; /* names */
    int64_t iteration, iterations;
    double loss, contrastive, lr, norm, scale;             /* loss: with the method's penalty */
    double pairs_per_second, nominal_gmacs, logical_gmacs; /* per second, lately */
    double share;        /* of the run's whole nominal budget, all methods */
    double seconds_left; /* of the whole run; negative: unknown yet */
    double in_domain;    /* STEP_DONE: retrieval on the step's own held-out pairs */
} tic_event;
struct tic_hooks {
    void (*event)(void *user, const tic_event *event);
    /* Asked after every iteration (it is finished and saved), while shards are indexed, and between
     * the parts of an evaluation: true ends in TIC_EINTERRUPTED, and the same call continues. */
    bool (*stop)(void *user);
    /* Asked when a new run has settled what it will compute, captions having `tokens` tokens in the
     * mean: may write or extend the plan at experiment->plan, which is read again afterwards. */
    tic_status (*tune)(void *user, const tic_config *config, const tic_model_options *options,
                       int tokens, tic_error *err);
    void *user;
};

/* What it will cost, before it starts: printed by `ticlip run`, which stops here with --dry-run. */
typedef struct tic_forecast {
    int64_t parameters, micro_batch;
    size_t memory;
    uint64_t nominal_pair, logical_pair; /* training MACs a pair; logical at the mean caption */
    double mean_tokens;
    int steps, methods;
    int64_t pairs_total, iterations_total;
    int64_t iterations_least, iterations_most; /* of a step, over all methods and steps */
    double nominal_total, logical_total;       /* training, all methods and steps */
    double extra_total;                        /* nominal, beside training (tic_charges) */
    /* Logical, a second, of whole iterations measured on this machine just now, waiting for
     * pictures and the optimizer included; 0, unmeasured, when nothing is left to do. */
    double gmacs;
    /* Of what is not done yet: loading the evaluation sets, training and saving; evaluating. */
    double seconds, evaluation_seconds;
    char precision[8];
} tic_forecast;
/* Reads or makes the index (kept in the run's folder) and the vocabulary, and measures for a few
 * seconds what is left to do. Starts no run; refuses as tic_run does. */
tic_status tic_run_forecast(const tic_experiment *experiment, const tic_hooks *hooks,
                            tic_forecast *out, tic_error *err);

/* Runs or continues experiment->out (formats: docs/formats.md). A folder begun with other settings
 * is TIC_EINPUT naming the first that differs, as is one whose data changed; one that another
 * process works on TIC_ERESOURCE. A gradient that is not finite is TIC_EVERIFY: the batch's pairs
 * are in the ledger, and nothing is saved after it. */
tic_status tic_run(const tic_experiment *experiment, const tic_hooks *hooks, tic_error *err);

/* One step from one checkpoint (`ticlip train`), in a run folder of its own: trains on the data of
 * `step` (NULL: the last) as the method says, starting from `from` (a checkpoint folder, whose
 * config it keeps; NULL: random weights), and evaluates. The budget is this one step's. Without
 * `vocab` it is that of the run `from` lies in; a setting that decides the held-out pairs and is
 * not that run's is TIC_EUSAGE naming it (tic_checkpoint_settings). With `from` LwF has its teacher
 * in the first step too; a method that needs earlier steps' pairs (EWC, patching, replay) is
 * TIC_EUSAGE there. Resumes like tic_run. */
tic_status tic_train_one(const tic_experiment *experiment, const char *method, const char *step,
                         const char *from, const tic_hooks *hooks, tic_error *err);

/* results.json of a run folder, as text; the caller's (tic_free). */
tic_status tic_results_read(const char *run, char **json, tic_error *err);

/* ---- verification ---------------------------------------------------------------------------- */

typedef struct tic_verify_options {
    const char *run;  /* as given to tic_verify */
    const char *data; /* where the data are now; NULL: where they were */
    int64_t threads;
    int deep;        /* evaluations that are computed again */
    uint64_t sample; /* which: a seed */
    const tic_hooks *hooks;
    /* Told of every claim that holds, in order; may be NULL. */
    void (*claim)(void *user, const char *name, const char *text);
    void *user;
} tic_verify_options;
/* Rechecks a run's folder: the ledger's chain, settings, results, vocabulary, plan, data, and of
 * every step its budget, the pairs it was trained on in their order, logical MACs by purpose from
 * the captions' tokens, issued ones within the plan's padding, the checkpoint's hashes, the scores'
 * arithmetic. TIC_EVERIFY naming what does not hold first; writes nothing but an index. */
tic_status tic_verify(const char *run, const tic_verify_options *options, tic_error *err);

/* ---- comparison ------------------------------------------------------------------------------ */

/* Results of several runs, for a ranking. Runs that differ in nothing but seed and methods are one
 * experiment: its rows are means over the seeds, with the standard error of that mean by their
 * spread (null with one seed). Runs whose budgets, data or evaluation sets (the seeds draw them)
 * differ are TIC_EVERIFY naming in what; so is a run that is not finished (naming method and step),
 * or whose settings or results do not follow from its ledger. *json is {"schema":1,"runs":[{"run",
 * "runs","seeds","method","task","mean","in_domain","backward","forward","stderrs":{...},"budget",
 * "nominal","tasks":{TASK:{MEASURE:{"mean","stderr"}}}}...]}, best mean first; the caller's
 * (tic_free). */
tic_status tic_compare(const char *const *runs, int count, char **json, tic_error *err);

/* The paper's Table 2 (reference/tic-clip.md): one row a method of one benchmark. Of the whole
 * sequence in nominal MACs; scores in per cent, NaN where the paper has none. */
typedef struct tic_paper_row {
    const char *method;
    double macs, imagenet, shifts, flickr30k, statics, backward, in_domain, forward;
} tic_paper_row;
typedef struct tic_paper {
    const char *name, *label; /* "tic-yfcc", "TiC-YFCC" */
    const char *retrieval;    /* the method whose retrieval the others' is divided by: oracle, or
                                 cumulative-all-star where Oracle's was not measured (XL) */
    const tic_paper_row *rows;
    int count;
} tic_paper;
int tic_paper_count(void);
const tic_paper *tic_paper_get(int i);
/* TIC_EUSAGE with the nearest name when there is none. */
tic_status tic_paper_find(const tic_paper **out, const char *name, tic_error *err);

/* Each method of one experiment (runs that differ in seed and methods only, else TIC_EVERIFY)
 * divided by Oracle seed by seed, beside the same quotients of the paper: MACs (with what a method
 * does beside training), mean of the last model's static tasks, and retrieval. *json is
 * {"schema":1,"paper","label","of":{"macs","static","retrieval"},"runs","seeds","methods":[{
 * "method","label","ours":{"macs","static","backward","in_domain","forward": each {"mean","stderr"}
 * },"paper":{the same keys: x}}...]}, null for what is not there; the caller's (tic_free). Refuses
 * unfinished and altered runs as tic_compare does. */
tic_status tic_compare_paper(const char *const *runs, int count, const char *paper, char **json,
                             tic_error *err);
/* The paper's numbers alone, of one benchmark or "all": {"schema":1,"papers":{NAME:{"label",
 * "methods":{METHOD:{"macs","imagenet","shifts","flickr30k","static","backward","in_domain",
 * "forward"}}}}}. */
tic_status tic_paper_json(const char *paper, char **json, tic_error *err);

#include "continual/analysis.h" /* what the data do over time */

#endif
