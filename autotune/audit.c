/* An audit: which kernels and problems, and the processes that prove them (audit_prove.c), each row
 * in one that may die of it. */
#include "autotune/audit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 64 };

typedef struct shared {           /* between the processes */
    int next, working[PROCESSES]; /* items: the next to be taken; 1 + the one a process is at */
    tic_audit_row rows[];
} shared;

/* ---- processes ------------------------------------------------------------------------------- */

/* The life of a process: takes items until there are no more. */
static void work(shared *all, const tic_audit_item *items, int count, int number,
                 const tic_audit_options *options) {
    tic_prover w;
    tic_error err = {TIC_OK, ""};
    tic_status status = tic_prover_open(&w, options, &err);
    for (int i; (i = __atomic_fetch_add(&all->next, 1, __ATOMIC_SEQ_CST)) < count;) {
        __atomic_store_n(&all->working[number], i + 1, __ATOMIC_SEQ_CST);
        if (status == TIC_OK)
            tic_prover_prove(&w, &items[i], &all->rows[i]);
        else
            snprintf(all->rows[i].why, sizeof all->rows[i].why, "%.400s", err.text);
        __atomic_store_n(&all->rows[i].done, true, __ATOMIC_SEQ_CST);
        __atomic_store_n(&all->working[number], 0, __ATOMIC_SEQ_CST);
    }
    _exit(0);
}

static pid_t start(shared *all, const tic_audit_item *items, int count, int number,
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
static tic_status watch(shared *all, const tic_audit_item *items, int count, int processes,
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
    tic_audit_item *items;
    size_t count, capacity;
} listing;

static tic_status add_item(listing *l, const tic_problem *problem, int variant, tic_error *err) {
    TIC_TRY(tic_reserve_one(&l->items, l->count, &l->capacity, sizeof(tic_audit_item), err));
    l->items[l->count++] = (tic_audit_item){problem, variant};
    return TIC_OK;
}

/* Every variant of the problem's operation that takes it. */
static tic_status add_all(listing *l, const tic_problem *problem, tic_error *err) {
    const tic_dtype precision = tic_audit_precision(l->options, problem->op);
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

static tic_status list_for(tic_audit_item **out, int *count, const tic_problem *problems,
                           int problem_count, const tic_audit_options *options, tic_error *err) {
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
    tic_audit_item *items = NULL;
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
