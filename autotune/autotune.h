/* Tuning: this machine's peaks, its fingerprint, and plan files. The room's one public header. */
#ifndef TIC_AUTOTUNE_H
#define TIC_AUTOTUNE_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- peaks: what a share of peak is a share of --------------------------------------------- */

typedef enum tic_peak {                   /* of multiply-adds */
                        TIC_PEAK_F32,     /* FMA at the widest vectors the mask has */
                        TIC_PEAK_VDPBF16, /* pairs of bf16 into f32 */
                        TIC_PEAK_AMX,     /* tiles of bf16, loads from L1 included */
                        TIC_PEAK_COUNT
} tic_peak;
const char *tic_peak_name(tic_peak peak); /* "f32 FMA", "VDPBF16PS", "AMX bf16" */
/* Whether this CPU has it and `isa` (a context's mask) admits it. */
bool tic_peak_exists(tic_peak peak, unsigned isa);
/* GMAC/s of `threads` threads together, each in a loop of its own for about `seconds`; 0 where it
 * does not exist. Time is what the threads had of the cores, whoever else wanted them. A
 * millisecond or two before and after a sample brackets it. AMX has two speeds, the slow one while
 * the core's other hardware thread is busy, and wakes up slowly: warm it up once for at least 0.15
 * s. Nothing is added to any counter. */
double tic_peak_rate(tic_peak peak, unsigned isa, int threads, double seconds);
/* The unit that computes fastest in that precision here, measured (0.25 s for bf16): what a share
 * of peak is taken of. bf16 operands may go through FMAs too. */
tic_peak tic_peak_for(tic_dtype precision, unsigned isa, int threads);
/* Triad, a = b + s c over the three thirds of `memory`: GB/s of the best of some runs, as STREAM
 * counts them (three arrays). The caller's size decides which cache or memory is measured. */
double tic_triad_rate(float *memory, size_t bytes, int threads, double seconds);

/* ---- fingerprint, calibration, plan files --------------------------------------------------- */

enum { TIC_FINGERPRINT_TEXT = 192 };
/* One line that keys a plan: family, model and stepping, instruction sets, caches, threads, a hash
 * of the kernels' sources and the compiler: "AuthenticAMD/25/17/1 isa=avx512_bf16/7 l1d=32768 ...
 * threads=2 kernels=0a1b2c3d4e5f cc=12.2gcc". */
void tic_fingerprint(const tic_ctx *ctx, char text[TIC_FINGERPRINT_TEXT]);

/* GMAC/s that this context reaches with gemm on a problem that stays in the last-level cache, its
 * weight packed before: the best of a few runs, in about 0.3 s. Bits of results never depend on it.
 */
typedef struct tic_calibration {
    double f32, bf16;
} tic_calibration;
tic_status tic_calibrate(tic_ctx *ctx, tic_calibration *out, tic_error *err);
/* `auto`: bf16 where it is at least 1.5 times as fast as f32 (design: Precision). */
tic_dtype tic_precision_auto(const tic_calibration *calibration);

/* A plan file: a version line, the fingerprint, the plan's lines, and a last line with the SHA-256
 * of all before it. Written atomically. */
tic_status tic_plan_save(const tic_plan *plan, const char *fingerprint, const char *path,
                         tic_error *err);
/* Loads whole or not at all: damaged, cut or of another version is TIC_EINPUT naming the line; so
 * is another fingerprint unless `fingerprint` is NULL (a run resumes with its own plan wherever
 * its variants exist). On success *out is the caller's (tic_plan_free). */
tic_status tic_plan_load(tic_plan **out, const char *path, const char *fingerprint, tic_error *err);

/* ---- which plan ----------------------------------------------------------------------------- */

/* FOLDER/plan-VENDOR-FAMILY-MODEL-STEPPING-THREADSt.txt: where this machine's plan is kept. A new
 * build finds the old one's there, and refuses it with the reason. */
tic_status tic_plan_path(char *out, size_t size, const char *folder, const tic_ctx *ctx,
                         tic_error *err);
typedef struct tic_plan_source {   /* what a plan was put together from */
    int tuned;                     /* lines of this machine's own plan */
    char shipped[32], origin[192]; /* the shipped plan beneath them, and where it was measured */
    char refused[TIC_ERROR_TEXT];  /* why the plan at `path` was not taken; "": it was, or is not
                                      there */
} tic_plan_source;
/* The plan to begin with: what is shipped for the CPU's family, else for its instruction sets, else
 * for any machine, and over it the lines of the plan at `path` (NULL or missing: none), which is
 * taken whole or not at all. A bad plan is no error: source->refused says why a safe kernel runs.
 * options: threads and isa_limit of the context it is for. On success *out is the caller's. */
tic_status tic_plan_choose(tic_plan **out, const char *path, const tic_ctx_options *options,
                           tic_plan_source *source, tic_error *err);

/* ---- tuning --------------------------------------------------------------------------------- */

typedef enum tic_fate {
    TIC_MEASURED, /* took part; `why` tells where it was beaten, "" for the winner */
    TIC_DECLINED, /* the variant does not take the problem */
    TIC_PRUNED,   /* not worth a measurement */
    TIC_WRONG     /* its output is not the reference's: never timed */
} tic_fate;
const char *tic_fate_name(tic_fate fate); /* "measured", "declined", "pruned", "wrong" */

typedef struct tic_candidate {
    int variant;              /* place in the registry */
    int knobs[TIC_MAX_KNOBS]; /* in the order of the variant's */
    char line[112];           /* "blis-skx-32x12 kc=768 mc=96 nc=4096": as in a plan */
    tic_fate fate;
    char why[128];
    double best; /* seconds of its shortest run; INFINITY: never run */
    int samples;
    uint64_t issued; /* MACs of one run, padding included */
} tic_candidate;

/* What was found for one key of a plan. An operation that a plan decides for all shapes at once
 * has several problems under one key: a run is one call of each, times its calls in a step. */
typedef struct tic_tuned {
    char key[TIC_PROBLEM_KEY];
    char name[96];                   /* of the first problem, and how many others there are */
    const tic_candidate *candidates; /* [0] is the default */
    int count, winner;               /* 0: the default stays */
    double gain;                     /* median of default's time / winner's, less 1; with a rival
                                        candidate 1's, may be negative; 0 when count is 1 */
    int turns, ahead;                /* of the finals; 0: there were none */
    double seconds, default_seconds; /* shortest runs of winner and default */
    int calls;                       /* in a step; 0: not told */
    uint64_t macs, bytes;            /* logical, and every operand once: of a run */
    tic_peak unit;                   /* that bounds the precision here */
    double peak, bandwidth;          /* of it, GMAC/s around this problem's measurements; GB/s */
    bool shared_cores;               /* others were busy: times are processor time per thread */
} tic_tuned;

typedef struct tic_tune_progress {
    int key, keys;       /* which, from 0, of how many */
    const char *name;    /* what is being measured */
    int left;            /* candidates that are still in */
    double seconds_left; /* estimate for the whole */
} tic_tune_progress;

typedef struct tic_tune_options {
    tic_dtype precision;
    int threads; /* as in tic_ctx_options; so is isa_limit */
    unsigned isa_limit;
    const tic_plan *base;  /* what runs untuned: it decides the default. NULL: the registry */
    const tic_plan *rival; /* not NULL: its choices against `base`'s, in turns; no line is added */
    double seconds;        /* wanted; fewer candidates are tried when there is much to measure */
    const char *only;      /* one key, or a part of problems' names; NULL: all */
    /* All may be NULL. `tuned` and what it points to are borrowed. */
    void (*progress)(void *user, const tic_tune_progress *progress);
    void (*done)(void *user, const tic_tuned *tuned);
    bool (*stop)(void *user); /* asked often: TIC_EINTERRUPTED, `plan` keeps what was found */
    void *user;
} tic_tune_options;
/* Measures the problems whose keys `plan` has no line for, and adds a line for each. Every
 * candidate's output is checked against the reference before its time counts; a default that fails
 * is TIC_EVERIFY. Candidates may differ in the order of sums (kc): results depend on the plan, so a
 * run keeps its own. Operations that are not tuned are passed over. */
tic_status tic_tune(tic_plan *plan, const tic_problem *problems, int count,
                    const tic_tune_options *options, tic_error *err);
/* Problems that tic_tune would measure: keys that `plan` has no line for. */
int tic_tune_missing(const tic_plan *plan, const tic_problem *problems, int count,
                     tic_dtype precision);

/* ---- audit: counters against what was executed ----------------------------------------------- */

typedef struct tic_audit_row { /* a kernel and a problem */
    char problem[96], kernel[64];
    tic_op op;
    int calls;        /* in a training step; 0: not told */
    bool done, holds; /* holds: every number below is as it must be */
    char why[480];    /* what does not hold: kernel, problem, both numbers, where they part */
    /* Stepped from the first instruction to the last, at a size with all its edges. */
    char stepped_size[64];
    uint64_t stepped_issued;
    tic_executed stepped;
    /* At full speed, every call of a product micro-kernel caught: at the problem's own size
     * (`whole`), or, where there would be too many calls, at a smaller one. */
    char size[64];
    bool whole;
    uint64_t logical, issued;
    tic_executed caught;
    double seconds;
} tic_audit_row;

typedef struct tic_audit_options {
    tic_dtype precision;
    unsigned isa_limit; /* as in tic_ctx_options, as is plan */
    const tic_plan *plan;
    bool all;            /* every variant that runs here */
    const char *variant; /* NULL, or this one for every problem whose operation has it */
    const char *only;    /* NULL, or a part of problems' names, or an operation */
    int processes;       /* at once; 0: one a core */
    double seconds;      /* a problem is taken whole when stepping what must be stepped of it takes
                            no longer, at 5 million instructions a second; 0: 1 second */
    /* All may be NULL. Rows are told in their order. */
    void (*done)(void *user, const tic_audit_row *row, int i, int count);
    bool (*stop)(void *user); /* true: TIC_EINTERRUPTED */
    void *user;
} tic_audit_options;
/* Proves every row in processes of its own; issued MACs are read through PAPI's software-defined
 * events. That a row does not hold is told by the row alone, as is the death of its process. On
 * success *rows is the caller's (tic_free). TIC_EUSAGE when nothing is left to audit. */
tic_status tic_audit(tic_audit_row **rows, int *count, const tic_problem *problems,
                     int problem_count, const tic_audit_options *options, tic_error *err);

/* ---- operands of one problem: for the tuner and the benchmarks ------------------------------- */

/* Everything one call needs, filled with small multiples of 1/16: sums of their products are exact
 * in f32 in whatever order they are taken, so that candidates agree in every bit before the
 * epilogue, and a single dropped product shows. */
typedef struct tic_operands tic_operands;
/* On success *out is the caller's (tic_operands_free). */
tic_status tic_operands_new(tic_operands **out, const tic_problem *problem, tic_dtype precision,
                            tic_error *err);
void tic_operands_free(tic_operands *operands); /* NULL is allowed */
/* The operation's own struct, as tic_variant_declines wants it. */
const void *tic_operands_args(const tic_operands *operands);
/* Computes what the operation reads of another one's results (attention's backward: o and lse). */
tic_status tic_operands_prepare(tic_operands *operands, tic_ctx *ctx, tic_error *err);
/* A problem with a packed weight: packs it as the variant that `ctx` would run now reads it. To be
 * called again when the plan has changed; packings are kept. */
tic_status tic_operands_pack(tic_operands *operands, tic_ctx *ctx, tic_error *err);
tic_status tic_operands_run(tic_operands *operands, tic_ctx *ctx, tic_error *err);
/* Outputs that a call adds to become zero, so that every call from here gives the same. */
void tic_operands_reset(tic_operands *operands);
/* Takes the outputs of the call before as what is right, once the reference agrees: on all of them
 * where it is quick enough, else on a sample. TIC_EVERIFY when it does not. */
tic_status tic_operands_expect(tic_operands *operands, tic_ctx *ctx, tic_error *err);
/* Whether the outputs of the call before are what is right, every element of them; *worst is the
 * largest difference. */
bool tic_operands_agree(const tic_operands *operands, double *worst);

#ifdef __cplusplus
}
#endif
#endif
