/* Inside autotune/ only: candidates, the search. */
#ifndef TIC_AUTOTUNE_ROOM_H
#define TIC_AUTOTUNE_ROOM_H

#include "autotune/autotune.h"

/* ---- candidates (candidates.c) --------------------------------------------------------------- */

/* The caches that blocks must fit, and what the units reach. */
typedef struct tic_machine {
    size_t l1d, l2, l3;
    unsigned isa;
    int threads;
    double peak[TIC_PEAK_COUNT];     /* GMAC/s, all threads; 0: there is no such unit */
    double peak_avx2, peak_portable; /* the same of narrower FMAs */
    double bandwidth;                /* GB/s of a triad out of L2 */
} tic_machine;
tic_status tic_machine_measure(tic_machine *out, const tic_ctx *ctx, tic_error *err);
/* GMAC/s that variant i cannot exceed: its widest unit's. */
double tic_machine_limit(const tic_machine *machine, tic_variant_info variant, tic_dtype precision);

enum { TIC_CANDIDATES = 50 }; /* most that are measured of one problem */
/* What candidates are made for. `seconds` is what the default needs: a variant whose unit could not
 * be faster is left out. */
typedef struct tic_search_space {
    const tic_ctx *ctx; /* its plan decides the default */
    const tic_machine *machine;
    const tic_problem *problem;
    tic_dtype precision;
    const char *shape; /* of the plan's key */
    const void *args;
    double seconds;
    int limit; /* most that are left to be measured, the default included */
} tic_search_space;
/* All rows of the registry that take the problem, times values of their knobs; candidate 0 is the
 * default. Those whose fate is not TIC_MEASURED say why. *list is the caller's (tic_free). */
tic_status tic_candidates_make(tic_candidate **list, int *count, const tic_search_space *space,
                               tic_error *err);
/* The default and what another context would run; one when they are the same. A packing of the
 * operands, whose args the space has, is the rival's afterwards. */
tic_status tic_candidates_pair(tic_candidate **list, int *count, const tic_search_space *space,
                               tic_ctx *rival, tic_operands *operands, tic_error *err);

/* ---- the search (search.c) ------------------------------------------------------------------- */

typedef struct tic_measurer {
    /* Seconds of one run of candidate i; INFINITY: it is out. */
    tic_status (*sample)(void *user, int candidate, double *seconds, tic_error *err);
    /* Told before every round: candidates left, and why the last was dropped. May be NULL. */
    void (*round)(void *user, int left);
    void *user;
} tic_measurer;

/* How often runs are repeated: in the first round and in the last, each of those that are left and
 * the default; turns of the finals, at most TIC_MOST_TURNS. */
typedef struct tic_effort {
    int first, most, turns;
} tic_effort;
enum { TIC_MOST_TURNS = 31 };

typedef struct tic_search_result {
    int winner;  /* 0: the default stays */
    double gain; /* median over turns of default's time / winner's, less 1; 0 without winner, of a
                    duel the challenger's */
    int turns, ahead; /* of the finals, and those in which the challenger led the default */
} tic_search_result;
/* Successive halving over the candidates whose fate is TIC_MEASURED, then finals of the best three
 * and the default in turns. Fills best, samples, fate and why. */
tic_status tic_search(const tic_measurer *measurer, tic_effort effort, tic_candidate *list,
                      int count, tic_search_result *out, tic_error *err);

/* Candidates 0 and 1 in turns, as in the finals: `gain` may be negative, the winner needs no 2 %.
 */
tic_status tic_duel(const tic_measurer *measurer, tic_candidate *list, tic_search_result *out,
                    tic_error *err);

/* ---- shipped plans (autotune/defaults/, choose.c) -------------------------------------------- */

enum { TIC_SHIPPED_MODELS = 8 };
typedef struct tic_shipped {
    const char *name, *origin;
    const char *vendor; /* "": any CPU */
    int family;         /* -1: any */
    struct {
        int first, last;
    } models[TIC_SHIPPED_MODELS]; /* ends with last 0 */
    unsigned isa;                 /* mask that it needs */
    const char *const *lines;     /* of a plan; NULL after the last */
} tic_shipped;
extern const tic_shipped tic_shipped_plans[]; /* families, then instruction sets, then any */
extern const int tic_shipped_count;
bool tic_shipped_fits(const tic_shipped *shipped, const tic_cpu *cpu, unsigned isa);

/* NULL when they are equal, else in words whose plan it is; `text` tells the first difference. */
const char *tic_fingerprint_differs(const char *theirs, const char *ours,
                                    char text[TIC_FINGERPRINT_TEXT]);

#endif
