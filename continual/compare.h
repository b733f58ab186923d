/* What the comparison of runs with each other and with the paper share. */
#ifndef TIC_CONTINUAL_COMPARE_H
#define TIC_CONTINUAL_COMPARE_H

#include "room.h"

enum { TIC_COMPARED_MAX = 64 };

typedef struct tic_compared { /* one run */
    const char *run;          /* borrowed */
    json_t *results, *begun;  /* owned; begun: the ledger's first event */
    tic_experiment x;
    /* Runs that differ in nothing but the seed and the methods are one group: the same experiment
     * again. No method comes twice with one seed; what is repeated so begins another group. */
    int group;
} tic_compared;
typedef struct tic_comparison {
    tic_compared *list;
    int count, groups;
} tic_comparison;
/* Opens and groups the runs. The caller closes it, also on failure. */
tic_status tic_comparison_open(tic_comparison *c, const char *const *runs, int count,
                               tic_error *err);
void tic_comparison_close(tic_comparison *c);
/* The first setting in which two runs differ, seed and methods aside; NULL: none. */
const char *tic_compared_differs(const tic_compared *a, const tic_compared *b);
/* The methods of a group, in order of appearance: {NAME: null}; a new reference. */
json_t *tic_comparison_methods(const tic_comparison *c, int group);
/* A run's results of a method, borrowed; NULL: it has none. */
const json_t *tic_compared_method(const tic_compared *run, const char *method);

#endif
