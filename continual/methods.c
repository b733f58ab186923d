/* The methods as a table that reads like the paper's Table 1 (reference/tic-clip.md). A method is a
 * row: where a step starts, what it trains on and how often it draws it, what it adds to the loss,
 * what it may spend. */
#include "room.h"
#include <string.h>

static const tic_method methods[] = {
    {.name = "sequential",
     .label = "Sequential",
     .about = "goes on from the last model with the new pairs alone",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW},
    {.name = "cumulative-all",
     .label = "Cumulative-All",
     .about = "goes on from the last model with all pairs so far",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_ALL},
    {.name = "cumulative-exp",
     .label = "Cumulative-Exp",
     .about = "goes on with the new pairs and a buffer in which older shares halve every step",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_EXP},
    {.name = "cumulative-equal",
     .label = "Cumulative-Equal",
     .about = "goes on with the new pairs and a buffer split evenly over the past steps",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_EQUAL},
    {.name = "patching",
     .label = "Patching",
     .about = "Sequential, interpolated after each step with the patched model before it",
     .start = TIC_START_PATCHED,
     .pool = TIC_POOL_NEW},
    {.name = "lwf",
     .label = "LwF",
     .about = "Sequential, held to the last model's image-text similarities",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW,
     .penalty = TIC_PENALTY_LWF},
    {.name = "ewc-1",
     .label = "EWC (1)",
     .about = "Sequential, held to the last weights by their Fisher information, lambda 1",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW,
     .penalty = TIC_PENALTY_EWC,
     .lambda = 1},
    {.name = "ewc-10",
     .label = "EWC (10)",
     .about = "the same, lambda 10",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW,
     .penalty = TIC_PENALTY_EWC,
     .lambda = 10},
    {.name = "ewc-100",
     .label = "EWC (100)",
     .about = "the same, lambda 100",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW,
     .penalty = TIC_PENALTY_EWC,
     .lambda = 100},
    {.name = "ewc-400",
     .label = "EWC (400)",
     .about = "the same, lambda 400",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW,
     .penalty = TIC_PENALTY_EWC,
     .lambda = 400},
    {.name = "restart",
     .label = "Restart",
     .about = "trains anew on all pairs so far, with the budget of one step",
     .start = TIC_START_RANDOM,
     .pool = TIC_POOL_ALL},
    {.name = "cumulative-all-star",
     .label = "Cumulative-All*",
     .about = "Cumulative-All with 1.3 times the budget",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_ALL,
     .compute = 1.3},
    {.name = "oracle",
     .label = "Oracle",
     .about = "trains anew on all pairs so far, with a budget that grows by a share a step",
     .start = TIC_START_RANDOM,
     .pool = TIC_POOL_ALL,
     .grows = true},

    /* Ablations. */
    {.name = "cumulative-count",
     .label = "Cumulative-All, count-based",
     .about = "Cumulative-All that draws the pairs used least so far (App. E.2)",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_ALL,
     .draw = TIC_DRAW_LEAST_USED},
    {.name = "cumulative-even",
     .label = "Cumulative-All, oversampled",
     .about = "Cumulative-All that draws from every step equally often (App. E.2)",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_ALL,
     .draw = TIC_DRAW_PER_STEP},
    {.name = "cumulative-low",
     .label = "Cumulative-Low",
     .about = "the new pairs and the half of the past least aligned under the last model (B.4)",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_LOW},
    {.name = "cumulative-high",
     .label = "Cumulative-High",
     .about = "the new pairs and the half of the past most aligned under the last model (B.4)",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_HIGH},
    {.name = "sequential-half",
     .label = "Sequential, half compute",
     .about = "Sequential with half the budget (Table 10)",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW,
     .compute = 0.5},
    {.name = "cumulative-all-half",
     .label = "Cumulative-All, half compute",
     .about = "Cumulative-All with half the budget (Table 10)",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_ALL,
     .compute = 0.5},
    {.name = "lwf-equal",
     .label = "LwF with replay",
     .about = "LwF on the pairs of Cumulative-Equal",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_EQUAL,
     .penalty = TIC_PENALTY_LWF},
    {.name = "ewc-equal",
     .label = "EWC with replay",
     .about = "EWC, lambda 100, on the pairs of Cumulative-Equal",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_EQUAL,
     .penalty = TIC_PENALTY_EWC,
     .lambda = 100},
};

int tic_method_count(void) {
    return (int)(sizeof methods / sizeof methods[0]);
}

const tic_method *tic_method_get(int i) {
    return &methods[i];
}

static const char *method_name(const void *list, int i) {
    return ((const tic_method *)list)[i].name;
}

tic_status tic_method_find(const tic_method **out, const char *name, tic_error *err) {
    *out = NULL;
    for (int i = 0; i < tic_method_count(); i++)
        if (strcmp(methods[i].name, name) == 0) {
            *out = &methods[i];
            return TIC_OK;
        }
    const char *nearest = tic_nearest(name, method_name, methods, tic_method_count());
    if (nearest != NULL)
        return tic_fail(err, TIC_EUSAGE, "unknown method \"%s\"; did you mean \"%s\"?", name,
                        nearest);
    return tic_fail(err, TIC_EUSAGE, "unknown method \"%s\"; the first is \"%s\", or take \"all\"",
                    name, methods[0].name);
}

static tic_status add_method(const char *name, const tic_method **out, int limit, int *count,
                             tic_error *err) {
    const tic_method *method;
    TIC_TRY(tic_method_find(&method, name, err));
    for (int i = 0; i < *count; i++)
        if (out[i] == method)
            return tic_fail(err, TIC_EUSAGE, "method \"%s\" is named twice", name);
    if (*count == limit)
        return tic_fail(err, TIC_EUSAGE, "more than %d methods", limit);
    out[(*count)++] = method;
    return TIC_OK;
}

tic_status tic_method_list(const char *names, const tic_method **out, int limit, int *count,
                           tic_error *err) {
    *count = 0;
    if (strcmp(names, "all") == 0) {
        for (int i = 0; i < tic_method_count(); i++)
            TIC_TRY(add_method(methods[i].name, out, limit, count, err));
        return TIC_OK;
    }
    for (const char *at = names;; at++) {
        char name[64];
        size_t length = strcspn(at, ",");
        if (length >= sizeof name)
            return tic_fail(err, TIC_EUSAGE, "unknown method \"%.60s...\"", at);
        memcpy(name, at, length);
        name[length] = '\0';
        TIC_TRY(add_method(name, out, limit, count, err));
        at += length;
        if (*at == '\0')
            return TIC_OK;
    }
}
