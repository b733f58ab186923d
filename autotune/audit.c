/* An audit: for every kernel and problem the counters against what was executed, in processes of
 * their own.
 *
 * A problem is proven twice. Cut down to a few tiles it is stepped from the first instruction to
 * the last: nothing is executed that the counter did not tell. Once more with twice the terms a
 * sum: no product hides among elementwise work, which grows with rows then and not with results.
 * Then, as large as it is, it runs at
 * full speed while every call of a product micro-kernel is caught: the loops make as many calls,
 * with the arguments, that the counter tells. */
#include "autotune/room.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_CALLS = 60000,    /* of product micro-kernels that are caught in one problem */
    ELEMENTWISE_MOST = 96, /* multiplications for an element of operands, results or scores:
                              several exponentials and a GELU */
    DEPTH_MOST = 2,        /* the same for each row and each term more in its sums: scaling rows
                              once or twice; a hidden product takes as many as it has columns */
    PROCESSES = 64,
};

typedef struct item { /* a row to be proven */
    const tic_problem *problem;
    int variant; /* tic_variant_find, -1: what the plan chooses */
} item;

typedef struct shared {           /* between the processes */
    int next, working[PROCESSES]; /* items: the next to be taken; 1 + the one a process is at */
    tic_audit_row rows[];
} shared;

typedef struct worker {
    const tic_audit_options *options;
    tic_ctx *ctx;
    tic_trace *trace;
    uint64_t most; /* instructions to be stepped of a problem's calls; 0: all that must be */
} worker;

/* ---- sizes ----------------------------------------------------------------------------------- */

/* One tile and what is left over by whole tiles, at least 1. */
static int64_t tile_and_edge(int64_t size, int tile) {
    return size <= tile ? size : tile + (size % tile != 0 ? size % tile : tile);
}

/* Small enough to be stepped, with the edges of the whole. */
static tic_problem reduced(const tic_problem *p, int variant) {
    tic_problem small = *p;
    int rows = 3, columns = 5;
    size_t element;
    switch (p->op) {
    case TIC_OP_GEMM:
        (void)tic_variant_tile(variant, &rows, &columns, &element);
        small.m = tile_and_edge(p->m, rows);
        small.n = tile_and_edge(p->n, columns);
        small.k = tic_least(p->k, 34 + p->k % 2);
        return small;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        small.m = 1;
        small.heads = 1;
        small.length = (int)tic_least(p->length, 19);
        return small;
    case TIC_OP_CONTRASTIVE:
    case TIC_OP_DISTILL:
        small.m = tic_least(p->m, 37);
        small.n = tic_least(p->n, 20);
        small.k = tic_least(p->k, 20);
        return small;
    case TIC_OP_ADAMW:
        small.n = tic_least(p->n, 1000);
        return small;
    case TIC_OP_PATCHIFY:
        small.m = 1;
        small.n = p->k; /* one patch */
        return small;
    case TIC_OP_EMBEDDING:
    case TIC_OP_EMBEDDING_BACKWARD:
        small.m = tic_least(p->m, 2);
        small.length = (int)tic_least(p->length, 5);
        small.n = tic_least(p->n, 72);
        return small;
    default:
        small.m = tic_least(p->m, 3);
        return small;
    }
}

/* Fewer rows and columns, so that about MOST_CALLS calls of kernels for one element are made. */
static tic_problem catchable(const tic_problem *p, double calls) {
    tic_problem fewer = *p;
    const double keep = MOST_CALLS / calls;
    if (keep >= 1)
        return fewer;
    if (p->op == TIC_OP_GEMM || p->op == TIC_OP_CONTRASTIVE || p->op == TIC_OP_DISTILL) {
        fewer.m = (int64_t)((double)p->m * sqrt(keep)) + 1;
        fewer.n = p->op == TIC_OP_GEMM ? (int64_t)((double)p->n * sqrt(keep)) + 1 : p->n;
    } else {
        fewer.m = 1;
        fewer.heads = 1;
        if ((double)p->m * p->heads * keep < 1)
            fewer.length = (int)(p->length * sqrt((double)p->m * p->heads * keep)) + 1;
    }
    return fewer;
}

static void describe(const tic_problem *p, char *text, size_t size) {
    if (p->op == TIC_OP_GEMM)
        snprintf(text, size, "%lldx%lldx%lld", (long long)p->m, (long long)p->n, (long long)p->k);
    else if (p->op == TIC_OP_ATTENTION || p->op == TIC_OP_ATTENTION_BACKWARD)
        snprintf(text, size, "%lldx%dx%dx%d", (long long)p->m, p->heads, p->length, p->head_dim);
    else if (p->op == TIC_OP_ADAMW)
        snprintf(text, size, "%lld", (long long)p->n);
    else if (p->op == TIC_OP_EMBEDDING || p->op == TIC_OP_EMBEDDING_BACKWARD)
        snprintf(text, size, "%lldx%dx%lld", (long long)p->m, p->length, (long long)p->n);
    else
        snprintf(text, size, "%lldx%lld", (long long)p->m, (long long)p->n);
}

/* Elements that the call reads, writes or has between, scores included. */
static double elements(const tic_problem *p) {
    const double m = (double)p->m, n = (double)p->n, k = (double)p->k, length = p->length;
    switch (p->op) {
    case TIC_OP_GEMM:
        return m * n + m * k + n * k;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        return m * p->heads * length * (length + 8.0 * p->head_dim);
    case TIC_OP_CONTRASTIVE:
    case TIC_OP_DISTILL:
        return m * (2 * m + 6 * n + 2 * k);
    case TIC_OP_ADAMW:
        return n;
    case TIC_OP_PATCHIFY:
        return 3 * m * n * n;
    case TIC_OP_EMBEDDING:
    case TIC_OP_EMBEDDING_BACKWARD:
        return m * length * n;
    default:
        return m * n;
    }
}

/* The asked one, where the operation has it: embeddings, norms of features and Adam are f32 only.
 */
static tic_dtype precision_of(const tic_audit_options *options, tic_op op) {
    for (int v = 0; v < tic_variant_count(); v++)
        if (tic_variant_get(v).op == op && tic_variant_get(v).precisions & 1u << options->precision)
            return options->precision;
    return TIC_F32;
}

/* ---- one problem, one way -------------------------------------------------------------------- */

typedef struct run {
    worker *w;
    tic_operands *operands;
    const tic_problem *problem;
} run;

static tic_status call(void *user, tic_error *err) {
    const run *r = user;
    return tic_operands_run(r->operands, r->w->ctx, err);
}

static tic_status issued_now(int64_t *out, tic_error *err) {
    return tic_papi_read("MACS_ISSUED", out, err); /* as any tool would */
}

static tic_status open_run(run *r, worker *w, const tic_problem *problem, tic_error *err) {
    *r = (run){.w = w, .problem = problem};
    TIC_TRY(tic_operands_new(&r->operands, problem, precision_of(w->options, problem->op), err));
    tic_status status = tic_operands_prepare(r->operands, w->ctx, err);
    if (status == TIC_OK)
        status = call(r, err); /* books the scratch */
    if (status != TIC_OK)
        tic_operands_free(r->operands);
    return status;
}

static void differ(tic_audit_row *row, const char *size, uint64_t issued, uint64_t executed,
                   const tic_parting *parting) {
    int used =
        snprintf(row->why, sizeof row->why, "%s, %s %s: issued %llu, executed %llu", row->kernel,
                 row->problem, size, (unsigned long long)issued, (unsigned long long)executed);
    if (parting->teller != NULL && used > 0 && (size_t)used < sizeof row->why)
        snprintf(row->why + used, sizeof row->why - (size_t)used,
                 "; they part in %s, after %s: %llu executed, %llu counted", parting->teller,
                 parting->worker, (unsigned long long)parting->executed,
                 (unsigned long long)parting->told);
}

static void judge_step(tic_audit_row *row, const tic_problem *small, uint64_t logical,
                       const tic_executed *executed, const tic_parting *parting) {
    row->stepped = *executed;
    row->stepped.misplaced_in = NULL; /* of another process */
    if (tic_executed_macs(executed) != row->stepped_issued)
        differ(row, row->stepped_size, row->stepped_issued, tic_executed_macs(executed), parting);
    else if (executed->misplaced > 0)
        snprintf(row->why, sizeof row->why,
                 "%s, %s %s: %llu MACs of bf16 outside of products, in %s", row->kernel,
                 row->problem, row->stepped_size, (unsigned long long)executed->misplaced,
                 executed->misplaced_in);
    else if (row->stepped_issued < logical) /* what the shape needs was not done in products */
        snprintf(row->why, sizeof row->why,
                 "%s, %s %s: %llu MACs in products, the shape needs %llu: multiplications outside "
                 "of products",
                 row->kernel, row->problem, row->stepped_size,
                 (unsigned long long)row->stepped_issued, (unsigned long long)logical);
    else if ((double)executed->elementwise > ELEMENTWISE_MOST * (elements(small) + 64))
        snprintf(row->why, sizeof row->why,
                 "%s, %s %s: %llu multiplications outside of products are more than %d an element",
                 row->kernel, row->problem, row->stepped_size,
                 (unsigned long long)executed->elementwise, ELEMENTWISE_MOST);
}

static uint64_t logical_now(const tic_ctx *ctx) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    return tic_counters_sum(&counters).logical;
}

typedef struct stepped {
    uint64_t issued, logical;
    tic_executed executed;
    tic_parting parting;
} stepped;

static tic_status step(worker *w, const tic_problem *problem, stepped *out, tic_error *err) {
    run r;
    int64_t before, after = 0;
    TIC_TRY(open_run(&r, w, problem, err));
    const uint64_t logical = logical_now(w->ctx);
    tic_status status = issued_now(&before, err);
    if (status == TIC_OK)
        status = tic_trace_step(w->trace, call, &r, &out->executed, &out->parting, err);
    if (status == TIC_OK)
        status = issued_now(&after, err);
    tic_operands_free(r.operands);
    out->issued = (uint64_t)(after - before);
    out->logical = logical_now(w->ctx) - logical;
    return status;
}

static tic_status step_small(worker *w, const tic_problem *small, tic_audit_row *row,
                             tic_error *err) {
    stepped s;
    TIC_TRY(step(w, small, &s, err));
    row->stepped_issued = s.issued;
    judge_step(row, small, s.logical, &s.executed, &s.parting);
    return TIC_OK;
}

/* The problem with twice the terms in each sum of its products; *rows: how many rows of operands
 * and results have so many elements. Returns how many terms more. */
static int64_t deepen(tic_problem *p, int64_t *rows) {
    int64_t more;
    switch (p->op) {
    case TIC_OP_GEMM:
        *rows = p->m + p->n;
        more = p->k;
        p->k += more;
        return more;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        *rows = p->m * p->heads * tic_round_up(p->length, 16); /* some pad to tiles */
        more = p->head_dim;
        p->head_dim += (int)more;
        return more;
    default: /* the losses */
        *rows = p->m;
        more = p->n;
        p->n += more;
        return more;
    }
}

static tic_status step_deeper(worker *w, const tic_problem *small, tic_audit_row *row,
                              tic_error *err) {
    tic_problem deep = *small;
    int64_t rows;
    const double terms = (double)deepen(&deep, &rows);
    stepped s;
    TIC_TRY(step(w, &deep, &s, err));
    const double grown = (double)s.executed.elementwise - (double)row->stepped.elementwise;
    if (row->why[0] == '\0' && !(grown <= DEPTH_MOST * (double)rows * terms))
        snprintf(row->why, sizeof row->why,
                 "%s, %s %s: with sums of %.0f terms more, %.0f multiplications more outside of "
                 "products: more than %d a row and term",
                 row->kernel, row->problem, row->stepped_size, terms, grown, DEPTH_MOST);
    return TIC_OK;
}

static tic_status catch_all(worker *w, const tic_problem *problem, tic_audit_row *row,
                            tic_error *err) {
    run r;
    tic_executed executed = {0};
    int64_t before, after = 0;
    TIC_TRY(open_run(&r, w, problem, err));
    const uint64_t logical = logical_now(w->ctx);
    tic_status status = issued_now(&before, err);
    if (status == TIC_OK)
        status = tic_trace_catch(w->trace, call, &r, w->most, &executed, err);
    if (status == TIC_OK)
        status = issued_now(&after, err);
    row->logical = logical_now(w->ctx) - logical;
    tic_operands_free(r.operands);
    TIC_TRY(status);
    row->issued = (uint64_t)(after - before);
    row->certified = tic_executed_macs(&executed);
    row->caught = executed;
    if (row->certified != row->issued && row->why[0] == '\0')
        differ(row, row->size, row->issued, row->certified, &(tic_parting){.teller = NULL});
    return TIC_OK;
}

/* ---- an item --------------------------------------------------------------------------------- */

static tic_status choose(worker *w, const item *it, tic_audit_row *row, int *variant,
                         tic_error *err) {
    const tic_op op = it->problem->op;
    const tic_dtype precision = precision_of(w->options, op);
    int knobs[TIC_MAX_KNOBS];
    char key[TIC_PROBLEM_KEY];
    tic_operands *o;
    *variant = it->variant;
    for (int i = 0; i < TIC_OP_COUNT; i++)
        TIC_TRY(tic_ctx_force(w->ctx, (tic_op)i, NULL, err));
    if (it->variant >= 0) {
        snprintf(row->kernel, sizeof row->kernel, "%s", tic_variant_get(it->variant).name);
        return tic_ctx_force(w->ctx, op, row->kernel, err);
    }
    tic_problem_key(it->problem, precision, key);
    TIC_TRY(tic_operands_new(&o, it->problem, precision, err));
    tic_status status = tic_ctx_choice(w->ctx, op, precision, tic_key_shape(key),
                                       tic_operands_args(o), variant, knobs, err);
    tic_operands_free(o);
    TIC_TRY(status);
    snprintf(row->kernel, sizeof row->kernel, "%s", tic_variant_get(*variant).name);
    return TIC_OK;
}

/* Calls of product micro-kernels in the whole problem, if they grow as its elements and sums do. */
static double calls_expected(const tic_problem *whole, const tic_problem *small,
                             uint64_t calls_of_small) {
    double growth = (double)whole->m / (double)small->m;
    if (whole->op == TIC_OP_GEMM)
        growth *= (double)whole->n / (double)small->n;
    else if (whole->op == TIC_OP_CONTRASTIVE || whole->op == TIC_OP_DISTILL)
        growth *= growth * (double)whole->n / (double)small->n;
    else
        growth *= (double)whole->heads / small->heads * (double)whole->length / small->length *
                  (double)whole->length / small->length;
    return growth * (double)calls_of_small;
}

static bool multiplies(tic_op op) {
    return op == TIC_OP_GEMM || op == TIC_OP_ATTENTION || op == TIC_OP_ATTENTION_BACKWARD ||
           op == TIC_OP_CONTRASTIVE || op == TIC_OP_DISTILL;
}

/* Kernels that need many instructions a MAC (references, emulated tiles) would take minutes to
 * step a whole micro-kernel of the problem: k stays small too. */
static tic_problem to_catch(const tic_problem *whole, const tic_problem *small,
                            const tic_audit_row *row) {
    enum { SLOW = 12, MOST_STEPS = 1 << 19 };
    const uint64_t macs = tic_executed_macs(&row->stepped);
    tic_problem problem = catchable(whole, calls_expected(whole, small, row->stepped.calls));
    if (macs == 0 || row->stepped.instructions < SLOW * macs)
        return problem;
    const double one_call = (double)row->stepped.instructions / (double)row->stepped.calls;
    const double longer = (double)whole->k / (double)(small->k > 0 ? small->k : 1);
    if (whole->op == TIC_OP_GEMM && one_call * longer > MOST_STEPS)
        problem.k = small->k;
    return problem;
}

/* Some virtual machines lose a trap now and then; the trace says so, and the call is made again. */
static tic_status persist(tic_status (*way)(worker *w, const tic_problem *problem,
                                            tic_audit_row *row, tic_error *err),
                          worker *w, const tic_problem *problem, tic_audit_row *row,
                          tic_error *err) {
    enum { TRIES = 5 };
    tic_status status = way(w, problem, row, err);
    for (int i = 1; i < TRIES && status == TIC_EINTERNAL; i++)
        status = way(w, problem, row, err);
    return status;
}

/* With half the rows and columns, or half of what stands for them. */
static tic_problem halved(const tic_problem *p, const tic_problem *small) {
    tic_problem half = *p;
    half.m = p->m / 2 > small->m ? p->m / 2 : small->m;
    if (p->op == TIC_OP_GEMM)
        half.n = p->n / 2 > small->n ? p->n / 2 : small->n;
    else if (p->op != TIC_OP_CONTRASTIVE && p->op != TIC_OP_DISTILL) {
        half.heads = p->heads / 2 > small->heads ? p->heads / 2 : small->heads;
        if (half.m == p->m && half.heads == p->heads)
            half.length = p->length / 2 > small->length ? p->length / 2 : small->length;
    }
    return half;
}

/* Catches the problem's calls, or those of a smaller one that does not take too long. */
static tic_status catch_in_time(worker *w, tic_problem *problem, const tic_problem *small,
                                tic_audit_row *row, tic_error *err) {
    enum { A_SECOND = 5000000 };
    const double seconds = w->options->seconds > 0 ? w->options->seconds : 1;
    w->most = (uint64_t)(seconds * A_SECOND);
    tic_status status = persist(catch_all, w, problem, row, err);
    while (status == TIC_ERESOURCE) {
        const tic_problem half = halved(problem, small);
        const bool smallest = memcmp(&half, problem, sizeof half) == 0;
        if (smallest)
            w->most = 0;
        *problem = half;
        describe(problem, row->size, sizeof row->size);
        status = persist(catch_all, w, problem, row, err);
        if (smallest)
            break;
    }
    return status;
}

static tic_status prove(worker *w, const item *it, tic_audit_row *row, tic_error *err) {
    int variant;
    TIC_TRY(choose(w, it, row, &variant, err));
    const tic_problem small = reduced(it->problem, variant);
    describe(&small, row->stepped_size, sizeof row->stepped_size);
    describe(it->problem, row->whole_size, sizeof row->whole_size);
    TIC_TRY(persist(step_small, w, &small, row, err));
    tic_problem large = *it->problem;
    if (multiplies(large.op)) {
        TIC_TRY(persist(step_deeper, w, &small, row, err));
        large = to_catch(it->problem, &small, row);
    } else /* nothing to catch; a smaller one shows as much */
        large = small;
    describe(&large, row->size, sizeof row->size);
    TIC_TRY(catch_in_time(w, &large, &small, row, err));
    row->whole = strcmp(row->size, row->whole_size) == 0;
    row->holds = row->why[0] == '\0';
    return TIC_OK;
}

/* ---- processes ------------------------------------------------------------------------------- */

static tic_status open_worker(worker *w, const tic_audit_options *options, tic_error *err) {
    const tic_ctx_options ctx = {
        .threads = 1, .isa_limit = options->isa_limit, .plan = options->plan};
    *w = (worker){.options = options};
    TIC_TRY(tic_ctx_new(&w->ctx, &ctx, err));
    TIC_TRY(tic_papi_export(w->ctx, err));
    return tic_trace_new(&w->trace, w->ctx, err);
}

static void prove_next(worker *w, const item *it, tic_audit_row *out) {
    tic_error err = {TIC_OK, ""};
    tic_audit_row row = *out;
    const double begun = tic_now();
    tic_status status = prove(w, it, &row, &err);
    row.seconds = tic_now() - begun;
    if (status != TIC_OK)
        snprintf(row.why, sizeof row.why, "%s, %s: %.300s", row.kernel, row.problem, err.text);
    *out = row;
}

/* The life of a process: takes items until there are no more. */
static void work(shared *all, const item *items, int count, int number,
                 const tic_audit_options *options) {
    worker w;
    tic_error err = {TIC_OK, ""};
    tic_status status = open_worker(&w, options, &err);
    for (int i; (i = __atomic_fetch_add(&all->next, 1, __ATOMIC_SEQ_CST)) < count;) {
        __atomic_store_n(&all->working[number], i + 1, __ATOMIC_SEQ_CST);
        if (status == TIC_OK)
            prove_next(&w, &items[i], &all->rows[i]);
        else
            snprintf(all->rows[i].why, sizeof all->rows[i].why, "%.400s", err.text);
        __atomic_store_n(&all->rows[i].done, true, __ATOMIC_SEQ_CST);
        __atomic_store_n(&all->working[number], 0, __ATOMIC_SEQ_CST);
    }
    _exit(0);
}

static pid_t start(shared *all, const item *items, int count, int number,
                   const tic_audit_options *options) {
    const pid_t child = fork();
    if (child == 0)
        work(all, items, count, number, options);
    return child;
}

/* A process ended: what it was at is lost if it did not say so itself. True: start another. */
static bool bury(shared *all, int number, int status) {
    const int at = __atomic_load_n(&all->working[number], __ATOMIC_SEQ_CST) - 1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    if (at >= 0) {
        tic_audit_row row = all->rows[at];
        snprintf(row.why, sizeof row.why, "%s, %s: the process that ran it died (%s %d)",
                 row.kernel, row.problem, WIFSIGNALED(status) ? "signal" : "exit status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        all->working[number] = 0;
        row.done = true;
        all->rows[at] = row;
    }
    return at >= 0; /* one that dies before it has taken anything would die again */
}

static void tell(shared *all, int count, int *told, const tic_audit_options *options) {
    for (; *told < count && __atomic_load_n(&all->rows[*told].done, __ATOMIC_SEQ_CST); ++*told)
        if (options->done != NULL)
            options->done(options->user, &all->rows[*told], *told, count);
}

static void stop_all(const pid_t *children, int processes) {
    for (int p = 0; p < processes; p++)
        if (children[p] > 0) {
            kill(children[p], SIGKILL);
            waitpid(children[p], NULL, 0);
        }
}

/* Watches over the processes until all rows are done. */
static tic_status watch(shared *all, const item *items, int count, int processes,
                        const tic_audit_options *options, tic_error *err) {
    pid_t children[PROCESSES];
    int told = 0, alive = 0;
    for (int p = 0; p < processes; p++) {
        children[p] = start(all, items, count, p, options);
        alive += children[p] > 0;
    }
    while (alive > 0) {
        const struct timespec pause = {0, 20 * 1000 * 1000};
        for (int p = 0; p < processes; p++) {
            int status;
            if (children[p] <= 0 || waitpid(children[p], &status, WNOHANG) != children[p])
                continue;
            children[p] = bury(all, p, status) ? start(all, items, count, p, options) : 0;
            alive -= children[p] <= 0;
        }
        tell(all, count, &told, options);
        if (options->stop != NULL && options->stop(options->user)) {
            stop_all(children, processes);
            return tic_fail(err, TIC_EINTERRUPTED, "stopped after %d of %d", told, count);
        }
        nanosleep(&pause, NULL);
    }
    return told == count ? TIC_OK
                         : tic_fail(err, TIC_ERESOURCE,
                                    "audit: %d of %d done when its last process could not start",
                                    told, count);
}

/* ---- all items ------------------------------------------------------------------------------- */

typedef struct listing {
    const tic_audit_options *options;
    tic_ctx *ctx;
    item *items;
    size_t count, capacity;
} listing;

static tic_status add_item(listing *l, const tic_problem *problem, int variant, tic_error *err) {
    TIC_TRY(tic_reserve_one(&l->items, l->count, &l->capacity, sizeof(item), err));
    l->items[l->count++] = (item){problem, variant};
    return TIC_OK;
}

/* Every variant of the problem's operation that takes it. */
static tic_status add_all(listing *l, const tic_problem *problem, tic_error *err) {
    const tic_dtype precision = precision_of(l->options, problem->op);
    tic_operands *o;
    tic_status status = TIC_OK;
    TIC_TRY(tic_operands_new(&o, problem, precision, err));
    for (int v = 0; v < tic_variant_count() && status == TIC_OK; v++)
        if (tic_variant_get(v).op == problem->op &&
            tic_variant_declines(l->ctx, v, precision, tic_operands_args(o)) == NULL)
            status = add_item(l, problem, v, err);
    tic_operands_free(o);
    return status;
}

static bool asked_for(const listing *l, const tic_problem *p) {
    const char *only = l->options->only, *variant = l->options->variant;
    if (only != NULL && strstr(p->name, only) == NULL && strcmp(tic_op_name(p->op), only) != 0)
        return false;
    return variant == NULL || tic_ctx_force(l->ctx, p->op, variant, NULL) == TIC_OK;
}

static tic_status list_items(listing *l, const tic_problem *problems, int count, tic_error *err) {
    for (int i = 0; i < count; i++) {
        if (!asked_for(l, &problems[i]))
            continue;
        if (l->options->variant != NULL)
            TIC_TRY(add_item(l, &problems[i], tic_variant_find(problems[i].op, l->options->variant),
                             err));
        else if (l->options->all)
            TIC_TRY(add_all(l, &problems[i], err));
        else
            TIC_TRY(add_item(l, &problems[i], -1, err));
    }
    return TIC_OK;
}

static tic_status list_for(item **out, int *count, const tic_problem *problems, int problem_count,
                           const tic_audit_options *options, tic_error *err) {
    const tic_ctx_options ctx = {
        .threads = 1, .isa_limit = options->isa_limit, .plan = options->plan};
    listing l = {.options = options};
    TIC_TRY(tic_ctx_new(&l.ctx, &ctx, err));
    tic_status status = list_items(&l, problems, problem_count, err);
    tic_ctx_free(l.ctx);
    *out = l.items;
    *count = (int)l.count;
    if (status == TIC_OK && *count == 0)
        return tic_fail(err, TIC_EUSAGE, "audit: no kernel and problem of these: nothing to audit");
    return status;
}

tic_status tic_audit(tic_audit_row **rows, int *count, const tic_problem *problems,
                     int problem_count, const tic_audit_options *options, tic_error *err) {
    item *items = NULL;
    *rows = NULL;
    tic_status status = list_for(&items, count, problems, problem_count, options, err);
    const size_t bytes = sizeof(shared) + (size_t)*count * sizeof(tic_audit_row);
    shared *all = MAP_FAILED;
    if (status == TIC_OK)
        all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (status == TIC_OK && all == MAP_FAILED)
        status = tic_fail(err, TIC_ERESOURCE, "audit: no memory to share with its processes");
    if (status == TIC_OK) {
        for (int i = 0; i < *count; i++) {
            snprintf(all->rows[i].problem, sizeof all->rows[i].problem, "%s",
                     items[i].problem->name);
            all->rows[i].op = items[i].problem->op;
            if (items[i].variant >= 0)
                snprintf(all->rows[i].kernel, sizeof all->rows[i].kernel, "%s",
                         tic_variant_get(items[i].variant).name);
            all->rows[i].calls = items[i].problem->calls;
        }
        int processes = options->processes > 0 ? options->processes : tic_cpu_get()->cores;
        processes = (int)tic_least(tic_least(processes, PROCESSES), *count);
        status = watch(all, items, *count, processes, options, err);
    }
    if (status == TIC_OK)
        status = tic_alloc(rows, (size_t)*count, sizeof **rows, err);
    if (status == TIC_OK)
        memcpy(*rows, all->rows, (size_t)*count * sizeof **rows);
    if (all != MAP_FAILED)
        munmap(all, bytes);
    tic_free(items);
    return status;
}
