/* Tuning: problems are grouped by the keys of a plan's lines; for each key candidates are made,
 * checked, searched, and the winner's line is added to the plan. */
#include "autotune/room.h"

#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 256 };
static const double shortest_sample = 3e-4; /* seconds; quicker problems are run several times */
static const double hopeless = 2.5;         /* times the default's in the run that is checked */
static const double busy_enough = 0.93;     /* of the cores while nothing but a loop runs */

const char *tic_fate_name(tic_fate fate) {
    static const char *const names[] = {"measured", "declined", "pruned", "wrong"};
    return names[fate];
}

/* ---- one key -------------------------------------------------------------------------------- */

typedef struct group {
    char key[TIC_PROBLEM_KEY];
    const tic_problem **problem; /* [count] */
    int count;
    size_t capacity;
} group;

typedef struct tuning {
    const tic_tune_options *options;
    tic_plan *trial;      /* the base, and a line for the candidate that runs */
    tic_ctx *ctx, *rival; /* rival: NULL, or what decides the only challenger */
    tic_machine machine;
    tic_peak unit;
    double peak; /* around the present key */
    bool shared; /* cores, with others */
    clockid_t clock[MOST_THREADS];
    int clocks;
    group *group;
    int groups, at;
    double began, done, total; /* seconds; parts of the whole by estimate */
    tic_operands **operands;   /* of the present key, one a problem */
    tic_candidate *list;
    int repeats;
} tuning;

static bool is_tuned(tic_op op) {
    return op == TIC_OP_GEMM || op == TIC_OP_ATTENTION || op == TIC_OP_ATTENTION_BACKWARD ||
           op == TIC_OP_CONTRASTIVE || op == TIC_OP_LAYERNORM || op == TIC_OP_LAYERNORM_BACKWARD;
}

static bool has_line(const tic_plan *plan, const char *key) {
    const size_t length = strlen(key);
    for (int i = 0; i < tic_plan_lines(plan); i++) {
        const char *line = tic_plan_line(plan, i);
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return true;
    }
    return false;
}

static bool wanted(const tic_tune_options *options, const char *key, const char *name) {
    return options->only == NULL || strcmp(options->only, key) == 0 ||
           strstr(name, options->only) != NULL;
}

static void free_groups(group *groups, int count) {
    for (int i = 0; groups != NULL && i < count; i++)
        tic_free(groups[i].problem);
    tic_free(groups);
}

/* *out is freed by free_groups, also after a failure. */
static tic_status make_groups(group **out, int *groups_made, const tic_plan *plan,
                              const tic_problem *problems, int count,
                              const tic_tune_options *options, tic_error *err) {
    *groups_made = 0;
    TIC_TRY(tic_alloc(out, (size_t)count, sizeof **out, err));
    group *groups = *out;
    int made = 0;
    for (int i = 0; i < count; i++) {
        char key[TIC_PROBLEM_KEY];
        int at = 0;
        tic_problem_key(&problems[i], options->precision, key);
        if (!is_tuned(problems[i].op) || has_line(plan, key) ||
            !wanted(options, key, problems[i].name))
            continue;
        while (at < made && strcmp(groups[at].key, key) != 0)
            at++;
        if (at == made) {
            groups[made] = (group){.count = 0};
            snprintf(groups[made++].key, sizeof key, "%s", key);
            *groups_made = made;
        }
        group *g = &groups[at];
        TIC_TRY(
            tic_reserve_one(&g->problem, (size_t)g->count, &g->capacity, sizeof *g->problem, err));
        g->problem[g->count++] = &problems[i];
    }
    return TIC_OK;
}

int tic_tune_missing(const tic_plan *plan, const tic_problem *problems, int count,
                     tic_dtype precision) {
    const tic_tune_options options = {.precision = precision};
    group *groups = NULL;
    int missing = 0;
    const tic_status status = make_groups(&groups, &missing, plan, problems, count, &options, NULL);
    free_groups(groups, missing);
    return status == TIC_OK ? missing : count;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* Where others take the cores away, the wall clock tells of them. Then it is the processor time of
 * the threads that counts, shared out evenly over them, whoever got the work; a bad balance between
 * them does not show in it. Each thread's own clock is read: the process's lags behind its threads.
 */
typedef struct stamp {
    double wall, used[MOST_THREADS];
} stamp;

static double read_clock(clockid_t clock) {
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* OpenMP's threads stay the same from one parallel region to the next. */
static void find_clocks(tuning *t) {
    const int threads = t->machine.threads;
#pragma omp parallel num_threads(threads)
    {
        const int i = omp_get_thread_num();
        if (i < MOST_THREADS && pthread_getcpuclockid(pthread_self(), &t->clock[i]) != 0)
            t->clock[i] = CLOCK_THREAD_CPUTIME_ID;
    }
    t->clocks = threads < MOST_THREADS ? threads : MOST_THREADS;
}

static void take_stamp(const tuning *t, stamp *now) {
    for (int i = 0; i < t->clocks; i++)
        now->used[i] = read_clock(t->clock[i]);
    now->wall = tic_now();
}

/* Processor time since then, of all threads. */
static double used_since(const tuning *t, const stamp *then) {
    double sum = 0;
    for (int i = 0; i < t->clocks; i++)
        sum += read_clock(t->clock[i]) - then->used[i];
    return sum;
}

static double since(const tuning *t, const stamp *then) {
    if (!t->shared)
        return tic_now() - then->wall;
    return used_since(t, then) / t->clocks;
}

/* Seconds for the loop that brackets a key's measurements: longer than a scheduler's slice. */
static const double bracket = 0.012;

static void look_around(tuning *t) {
    stamp before;
    take_stamp(t, &before);
    t->peak = tic_peak_rate(t->unit, t->machine.isa, t->machine.threads, bracket);
    const double wall = tic_now() - before.wall;
    t->shared = used_since(t, &before) < busy_enough * wall * t->clocks;
}

/* ---- work ----------------------------------------------------------------------------------- */

static int times_of(const group *g, int i) {
    return g->count > 1 && g->problem[i]->calls > 1 ? g->problem[i]->calls : 1;
}

/* Of one run: logical MACs, and the bytes of every operand once. */
static void demand_of(const tuning *t, uint64_t *macs, uint64_t *bytes) {
    const group *g = &t->group[t->at];
    *macs = *bytes = 0;
    for (int i = 0; i < g->count; i++) {
        tic_demand one = tic_demand_of(g->problem[i]->op, tic_operands_args(t->operands[i]));
        *macs += one.macs * (uint64_t)times_of(g, i);
        *bytes += one.bytes * (uint64_t)times_of(g, i);
    }
}

/* MACs and elements before there are operands: to share the time out. */
static void rough_work(const tic_problem *p, double *macs, double *elements) {
    const double m = (double)p->m, n = (double)p->n, k = (double)p->k;
    const double queries = p->pooled ? m : m * p->length, width = (double)p->heads * p->head_dim;
    *macs = p->op == TIC_OP_GEMM          ? m * n * k
            : p->op == TIC_OP_CONTRASTIVE ? 3 * m * m * n
                                          : 4 * queries * p->length * width;
    *elements = p->op == TIC_OP_GEMM ? m * k + k * n + m * n : 2 * m * n + 4 * queries * width;
}

/* Seconds of one run by the roofline. */
static double expected(const tuning *t, const group *g) {
    double seconds = shortest_sample;
    for (int i = 0; i < g->count; i++) {
        double macs, elements;
        rough_work(g->problem[i], &macs, &elements);
        seconds += times_of(g, i) * (macs / (0.5e9 * t->machine.peak[TIC_PEAK_F32]) +
                                     4 * elements / (1e9 * t->machine.bandwidth));
    }
    return seconds;
}

/* ---- a candidate's run ---------------------------------------------------------------------- */

static tic_status take_line(tic_plan *plan, const char *key, const char *line, tic_error *err) {
    char text[TIC_PROBLEM_KEY + 120];
    snprintf(text, sizeof text, "%s %s", key, line);
    return tic_plan_add(plan, text, err);
}

/* The candidate's line is the plan's from here on, and weights are packed as it reads them. */
static tic_status take_candidate(tuning *t, const tic_candidate *c, tic_error *err) {
    const group *g = &t->group[t->at];
    TIC_TRY(take_line(t->trial, g->key, c->line, err));
    for (int i = 0; i < g->count; i++)
        TIC_TRY(tic_operands_pack(t->operands[i], t->ctx, err));
    return TIC_OK;
}

/* One call of each problem, weighted by its calls in a step. */
static tic_status run_once(tuning *t, double *seconds, tic_error *err) {
    const group *g = &t->group[t->at];
    *seconds = 0;
    for (int i = 0; i < g->count; i++) {
        stamp before;
        take_stamp(t, &before);
        TIC_TRY(tic_operands_run(t->operands[i], t->ctx, err));
        *seconds += since(t, &before) * times_of(g, i);
    }
    return TIC_OK;
}

static tic_status stopped(const tuning *t, tic_error *err) {
    if (t->options->stop != NULL && t->options->stop(t->options->user))
        return tic_fail(err, TIC_EINTERRUPTED, "tuning was interrupted");
    return TIC_OK;
}

static tic_status sample(void *user, int candidate, double *seconds, tic_error *err) {
    tuning *t = user;
    double shortest = INFINITY, one;
    TIC_TRY(stopped(t, err));
    TIC_TRY(take_candidate(t, &t->list[candidate], err));
    for (int i = 0; i < t->repeats; i++) {
        TIC_TRY(run_once(t, &one, err));
        shortest = one < shortest ? one : shortest;
    }
    *seconds = shortest;
    return TIC_OK;
}

static uint64_t issued(const tic_ctx *ctx) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    return tic_counters_sum(&counters).issued;
}

/* The run whose output is checked: it also books scratch and loads code. */
static tic_status first_run(tuning *t, tic_candidate *c, double *seconds, tic_error *err) {
    const group *g = &t->group[t->at];
    uint64_t before = issued(t->ctx);
    TIC_TRY(take_candidate(t, c, err));
    for (int i = 0; i < g->count; i++)
        tic_operands_reset(t->operands[i]);
    TIC_TRY(run_once(t, seconds, err));
    c->issued = issued(t->ctx) - before;
    const tic_op op = g->problem[0]->op;
    const char *name = tic_variant_get(c->variant).name;
    if (strcmp(tic_ctx_ran(t->ctx, op), name) != 0)
        return tic_fail(err, TIC_EINTERNAL, "%s: %s ran instead of %s", g->key,
                        tic_ctx_ran(t->ctx, op), name);
    return TIC_OK;
}

static tic_status check(tuning *t, tic_candidate *c, double default_seconds, tic_error *err) {
    double seconds, worst;
    TIC_TRY(first_run(t, c, &seconds, err));
    for (int i = 0; i < t->group[t->at].count && c->fate == TIC_MEASURED; i++) {
        if (tic_operands_agree(t->operands[i], &worst))
            continue;
        c->fate = TIC_WRONG;
        snprintf(c->why, sizeof c->why, "its output is off by %.3g", worst);
    }
    if (c->fate == TIC_MEASURED && seconds > hopeless * default_seconds) {
        c->fate = TIC_PRUNED;
        snprintf(c->why, sizeof c->why, "its first run took %.1f times the default's best",
                 seconds / default_seconds);
    }
    return TIC_OK;
}

/* ---- a key from begin to end ----------------------------------------------------------------- */

static void tell(tuning *t, int left) {
    const tic_tune_options *options = t->options;
    if (options->progress == NULL)
        return;
    const double spent = tic_now() - t->began, share = t->done / t->total;
    const double left_by_share = share > 0.02 ? spent * (1 - share) / share : options->seconds;
    const tic_tune_progress p = {t->at, t->groups, t->group[t->at].problem[0]->name, left,
                                 left_by_share};
    options->progress(options->user, &p);
}

static void on_round(void *user, int left) {
    tell(user, left);
}

/* What a key's search may cost, in runs, as is typical: with time some eleven of each candidate and
 * 130 of the default and the finals. In few steps: a second tuning should try the same candidates.
 */
typedef struct allowance {
    int candidates; /* the default included */
    tic_effort effort;
    double runs; /* the least step is taken whatever is left */
} allowance;

/* Shared evenly over what is still to be run. */
static const allowance *allowance_of(const tuning *t, double scale) {
    static const allowance steps[] = {
        {TIC_CANDIDATES, {3, 8, TIC_MOST_TURNS}, 11 * TIC_CANDIDATES + 130},
        {35, {3, 8, TIC_MOST_TURNS}, 515},
        {25, {3, 8, TIC_MOST_TURNS}, 405},
        {17, {3, 8, TIC_MOST_TURNS}, 317},
        {12, {3, 8, TIC_MOST_TURNS}, 262},
        {12, {2, 4, 21}, 140},
        {8, {2, 4, 15}, 90},
        {6, {2, 4, 11}, 60},
    };
    const double left = t->options->seconds - (tic_now() - t->began);
    const double runs = left / ((t->total - t->done) * scale);
    size_t i = 0;
    while (i + 1 < sizeof steps / sizeof steps[0] && runs < steps[i].runs)
        i++;
    return &steps[i];
}

static tic_status make_operands(tuning *t, tic_error *err) {
    const group *g = &t->group[t->at];
    TIC_TRY(tic_alloc(&t->operands, (size_t)g->count, sizeof *t->operands, err));
    for (int i = 0; i < g->count; i++) {
        TIC_TRY(tic_operands_new(&t->operands[i], g->problem[i], t->options->precision, err));
        TIC_TRY(tic_operands_prepare(t->operands[i], t->ctx, err));
        TIC_TRY(tic_operands_pack(t->operands[i], t->ctx, err));
    }
    return TIC_OK;
}

static void free_operands(tuning *t) {
    for (int i = 0; t->operands != NULL && i < t->group[t->at].count; i++)
        tic_operands_free(t->operands[i]);
    tic_free(t->operands);
    t->operands = NULL;
    tic_free(t->list);
    t->list = NULL;
}

/* The default's first runs: its output is what the others are held against. */
static tic_status try_default(tuning *t, double *seconds, tic_error *err) {
    const group *g = &t->group[t->at];
    for (int i = 0; i < g->count; i++)
        tic_operands_reset(t->operands[i]);
    TIC_TRY(run_once(t, seconds, err));
    for (int i = 0; i < g->count; i++)
        TIC_TRY(tic_operands_expect(t->operands[i], t->ctx, err));
    for (int i = 0; i < 2; i++) {
        double again;
        TIC_TRY(run_once(t, &again, err));
        *seconds = again < *seconds ? again : *seconds;
    }
    return TIC_OK;
}

static void describe(const tuning *t, tic_tuned *out) {
    const group *g = &t->group[t->at];
    demand_of(t, &out->macs, &out->bytes);
    snprintf(out->key, sizeof out->key, "%s", g->key);
    if (g->count == 1)
        snprintf(out->name, sizeof out->name, "%s", g->problem[0]->name);
    else
        snprintf(out->name, sizeof out->name, "%.70s, and %d others", g->problem[0]->name,
                 g->count - 1);
    out->calls = g->problem[0]->calls;
    out->unit = t->unit;
    out->peak = t->peak;
    out->bandwidth = t->machine.bandwidth;
    out->shared_cores = t->shared;
}

/* What candidates are made for, when the default needs so many seconds (0: not known). */
static tic_search_space space_of(const tuning *t, double seconds, int limit) {
    const group *g = &t->group[t->at];
    return (tic_search_space){.ctx = t->ctx,
                              .machine = &t->machine,
                              .problem = g->problem[0],
                              .precision = t->options->precision,
                              .shape = tic_key_shape(g->key),
                              .args = tic_operands_args(t->operands[0]),
                              .seconds = g->count == 1 ? seconds : 0,
                              .limit = limit};
}

static void set_repeats(tuning *t, double seconds) {
    t->repeats = seconds > shortest_sample ? 1 : (int)(shortest_sample / seconds) + 1;
}

static void take_result(const tuning *t, const tic_search_result *result, tic_tuned *out) {
    out->candidates = t->list;
    out->winner = result->winner;
    out->gain = result->gain;
    out->turns = result->turns;
    out->ahead = result->ahead;
    out->seconds = t->list[result->winner].best;
    out->default_seconds = t->list[0].best;
}

static tic_status search_key(tuning *t, tic_plan *plan, tic_tuned *out, tic_error *err) {
    const group *g = &t->group[t->at];
    const tic_measurer measurer = {sample, on_round, t};
    tic_search_result result;
    double first;
    TIC_TRY(try_default(t, &first, err));
    set_repeats(t, first);
    const allowance *allowed = allowance_of(t, fmax(first, shortest_sample) / expected(t, g));
    const tic_search_space space = space_of(t, first, allowed->candidates);
    TIC_TRY(tic_candidates_make(&t->list, &out->count, &space, err));
    for (int i = 0; i < out->count; i++)
        if (t->list[i].fate == TIC_MEASURED) {
            TIC_TRY(stopped(t, err));
            TIC_TRY(check(t, &t->list[i], i == 0 ? INFINITY : first, err));
        }
    if (t->list[0].fate != TIC_MEASURED)
        return tic_fail(err, TIC_EVERIFY, "%s: the default kernel gives another result twice: %s",
                        g->key, t->list[0].why);
    TIC_TRY(tic_search(&measurer, allowed->effort, t->list, out->count, &result, err));
    take_result(t, &result, out);
    /* backward passes of what follows are prepared with the winner */
    TIC_TRY(take_line(t->trial, g->key, t->list[result.winner].line, err));
    return take_line(plan, g->key, t->list[result.winner].line, err);
}

/* The plan's choice and the rival's, if they differ; the plan's runs on. */
static tic_status duel_key(tuning *t, tic_tuned *out, tic_error *err) {
    const group *g = &t->group[t->at];
    const tic_measurer measurer = {sample, on_round, t};
    const tic_search_space space = space_of(t, 0, 2);
    tic_search_result result = {.winner = 0};
    double first;
    TIC_TRY(tic_candidates_pair(&t->list, &out->count, &space, t->rival, t->operands[0], err));
    if (out->count == 2) {
        TIC_TRY(take_candidate(t, &t->list[0], err));
        TIC_TRY(try_default(t, &first, err));
        set_repeats(t, first);
        TIC_TRY(check(t, &t->list[1], INFINITY, err));
        if (t->list[1].fate != TIC_MEASURED)
            return tic_fail(err, TIC_EVERIFY, "%s: %s of the other plan: %s", g->key,
                            t->list[1].line, t->list[1].why);
        TIC_TRY(tic_duel(&measurer, t->list, &result, err));
    }
    take_result(t, &result, out);
    return take_candidate(t, &t->list[0], err);
}

static tic_status tune_key(tuning *t, tic_plan *plan, tic_error *err) {
    tic_tuned out = {.winner = 0};
    double before = t->peak;
    tell(t, 0);
    look_around(t);
    tic_status status = make_operands(t, err);
    if (status == TIC_OK)
        status = t->rival != NULL ? duel_key(t, &out, err) : search_key(t, plan, &out, err);
    if (status == TIC_OK) {
        before = t->peak;
        look_around(t);
        t->peak = fmax(before, t->peak);
        describe(t, &out);
        t->done += expected(t, &t->group[t->at]);
        if (t->options->done != NULL)
            t->options->done(t->options->user, &out);
    }
    free_operands(t);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static tic_status open_tuning(tuning *t, tic_error *err) {
    const tic_tune_options *options = t->options;
    TIC_TRY(tic_plan_new(&t->trial, err));
    for (int i = 0; options->base != NULL && i < tic_plan_lines(options->base); i++)
        TIC_TRY(tic_plan_add(t->trial, tic_plan_line(options->base, i), err));
    const tic_ctx_options ctx = {
        .threads = options->threads, .isa_limit = options->isa_limit, .plan = t->trial};
    TIC_TRY(tic_ctx_new(&t->ctx, &ctx, err));
    tic_ctx_options other = ctx;
    other.plan = options->rival;
    if (options->rival != NULL)
        TIC_TRY(tic_ctx_new(&t->rival, &other, err));
    tic_ctx_purpose(t->ctx, TIC_FOR_TUNING);
    TIC_TRY(tic_machine_measure(&t->machine, t->ctx, err));
    find_clocks(t);
    t->unit = tic_peak_for(options->precision, t->machine.isa, t->machine.threads);
    return TIC_OK;
}

tic_status tic_tune(tic_plan *plan, const tic_problem *problems, int count,
                    const tic_tune_options *options, tic_error *err) {
    tuning t = {.options = options, .began = tic_now()};
    tic_status status = make_groups(&t.group, &t.groups, plan, problems, count, options, err);
    if (status == TIC_OK && t.groups > 0)
        status = open_tuning(&t, err);
    for (int i = 0; i < t.groups && status == TIC_OK; i++)
        t.total += expected(&t, &t.group[i]);
    for (t.at = 0; t.at < t.groups && status == TIC_OK; t.at++)
        status = tune_key(&t, plan, err);
    tic_ctx_free(t.ctx);
    tic_ctx_free(t.rival);
    tic_plan_free(t.trial);
    free_groups(t.group, t.groups);
    return status;
}
