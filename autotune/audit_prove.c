/* The proof of one row of an audit.
 *
 * A problem is proven twice. Cut down to a few tiles it is stepped from the first instruction to
 * the last: nothing is executed that the counter did not tell. Once more with twice the terms a
 * sum: no product hides among elementwise work, which grows with rows then and not with results.
 * Then, as large as it is, it runs at full speed while every call of a product micro-kernel is
 * caught: the loops make as many calls, with the arguments, that the counter tells. */
#include "autotune/audit.h"

#include <stdio.h>
#include <string.h>

enum {
    ELEMENTWISE_MOST = 96, /* multiplications for an element of operands, results or scores:
                              several exponentials and a GELU */
    DEPTH_MOST = 2,        /* the same for each row and each term more in its sums: scaling rows
                              once or twice; a hidden product takes as many as it has columns */
};

/* The asked one, where the operation has it: embeddings, norms of features and Adam are f32 only.
 */
tic_dtype tic_audit_precision(const tic_audit_options *options, tic_op op) {
    for (int v = 0; v < tic_variant_count(); v++)
        if (tic_variant_get(v).op == op && tic_variant_get(v).precisions & 1u << options->precision)
            return options->precision;
    return TIC_F32;
}

/* ---- one problem, one way -------------------------------------------------------------------- */

typedef struct run {
    tic_prover *w;
    tic_operands *operands;
    const tic_problem *problem;
    uint64_t logical; /* MACs of a call */
} run;

static tic_status call(void *user, tic_error *err) {
    const run *r = user;
    return tic_operands_run(r->operands, r->w->ctx, err);
}

static tic_status issued_now(int64_t *out, tic_error *err) {
    return tic_papi_read("MACS_ISSUED", out, err); /* as any tool would */
}

static uint64_t logical_now(const tic_ctx *ctx) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    return tic_counters_sum(&counters).logical;
}

static tic_status open_run(run *r, tic_prover *w, const tic_problem *problem, tic_error *err) {
    *r = (run){.w = w, .problem = problem};
    TIC_TRY(
        tic_operands_new(&r->operands, problem, tic_audit_precision(w->options, problem->op), err));
    tic_status status = tic_operands_prepare(r->operands, w->ctx, err);
    const uint64_t before = logical_now(w->ctx);
    if (status == TIC_OK)
        status = call(r, err); /* books the scratch */
    r->logical = logical_now(w->ctx) - before;
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
    else if ((double)executed->elementwise > ELEMENTWISE_MOST * (tic_audit_elements(small) + 64))
        snprintf(row->why, sizeof row->why,
                 "%s, %s %s: %llu multiplications outside of products are more than %d an element",
                 row->kernel, row->problem, row->stepped_size,
                 (unsigned long long)executed->elementwise, ELEMENTWISE_MOST);
}

typedef struct stepped {
    uint64_t issued, logical;
    tic_executed executed;
    tic_parting parting;
} stepped;

static tic_status step(tic_prover *w, const tic_problem *problem, stepped *out, tic_error *err) {
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

static tic_status step_small(tic_prover *w, const tic_problem *small, tic_audit_row *row,
                             tic_error *err) {
    stepped s;
    TIC_TRY(step(w, small, &s, err));
    row->stepped_issued = s.issued;
    judge_step(row, small, s.logical, &s.executed, &s.parting);
    return TIC_OK;
}

static tic_status step_deeper(tic_prover *w, const tic_problem *small, tic_audit_row *row,
                              tic_error *err) {
    tic_problem deep = *small;
    int64_t rows;
    const double terms = (double)tic_audit_deepen(&deep, &rows);
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

static tic_status catch_all(tic_prover *w, const tic_problem *problem, tic_audit_row *row,
                            tic_error *err) {
    run r;
    tic_executed executed = {0};
    int64_t before, after = 0;
    TIC_TRY(open_run(&r, w, problem, err));
    const uint64_t logical = logical_now(w->ctx);
    tic_status status = issued_now(&before, err);
    if (status == TIC_OK)
        status = tic_trace_catch(w->trace, call, &r, w->most, r.logical, &executed, err);
    if (status == TIC_OK)
        status = issued_now(&after, err);
    row->logical = logical_now(w->ctx) - logical;
    tic_operands_free(r.operands);
    TIC_TRY(status);
    row->issued = (uint64_t)(after - before);
    row->caught = executed;
    const uint64_t certified = tic_executed_macs(&executed);
    if (certified != row->issued && row->why[0] == '\0')
        differ(row, row->size, row->issued, certified, &(tic_parting){.teller = NULL});
    return TIC_OK;
}

/* ---- an item --------------------------------------------------------------------------------- */

static tic_status choose(tic_prover *w, const tic_audit_item *it, tic_audit_row *row, int *variant,
                         tic_error *err) {
    const tic_op op = it->problem->op;
    const tic_dtype precision = tic_audit_precision(w->options, op);
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

/* Kernels that need many instructions a MAC (references, emulated tiles) would take minutes to
 * step a whole micro-kernel of the problem: k stays small too. */
static tic_problem to_catch(const tic_problem *whole, const tic_problem *small,
                            const tic_audit_row *row) {
    enum { SLOW = 12, MOST_STEPS = 1 << 19 };
    const uint64_t macs = tic_executed_macs(&row->stepped);
    tic_problem problem = tic_audit_fewer(whole, tic_audit_calls(whole, small, row->stepped.calls));
    if (macs == 0 || row->stepped.instructions < SLOW * macs)
        return problem;
    const double one_call = (double)row->stepped.instructions / (double)row->stepped.calls;
    const double longer = (double)whole->k / (double)(small->k > 0 ? small->k : 1);
    if (whole->op == TIC_OP_GEMM && one_call * longer > MOST_STEPS)
        problem.k = small->k;
    return problem;
}

/* Some virtual machines lose a trap now and then; the trace says so, and the call is made again. */
static tic_status persist(tic_status (*way)(tic_prover *w, const tic_problem *problem,
                                            tic_audit_row *row, tic_error *err),
                          tic_prover *w, const tic_problem *problem, tic_audit_row *row,
                          tic_error *err) {
    enum { TRIES = 5 };
    tic_status status = way(w, problem, row, err);
    for (int i = 1; i < TRIES && status == TIC_EINTERNAL; i++)
        status = way(w, problem, row, err);
    return status;
}

/* Catches the problem's calls, or those of a smaller one that does not take too long. */
static tic_status catch_in_time(tic_prover *w, tic_problem *problem, const tic_problem *small,
                                tic_audit_row *row, tic_error *err) {
    enum { A_SECOND = 5000000 };
    const double seconds = w->options->seconds > 0 ? w->options->seconds : 1;
    w->most = (uint64_t)(seconds * A_SECOND);
    tic_status status = persist(catch_all, w, problem, row, err);
    while (status == TIC_ERESOURCE) {
        const tic_problem half = tic_audit_halved(problem, small);
        const bool smallest = memcmp(&half, problem, sizeof half) == 0;
        if (smallest)
            w->most = 0;
        *problem = half;
        tic_audit_describe(problem, row->size, sizeof row->size);
        status = persist(catch_all, w, problem, row, err);
        if (smallest)
            break;
    }
    return status;
}

static tic_status prove(tic_prover *w, const tic_audit_item *it, tic_audit_row *row,
                        tic_error *err) {
    int variant;
    char whole[sizeof row->size];
    TIC_TRY(choose(w, it, row, &variant, err));
    const tic_problem small = tic_audit_reduced(it->problem, variant);
    tic_audit_describe(&small, row->stepped_size, sizeof row->stepped_size);
    tic_audit_describe(it->problem, whole, sizeof whole);
    TIC_TRY(persist(step_small, w, &small, row, err));
    tic_problem large = *it->problem;
    if (tic_audit_multiplies(large.op)) {
        TIC_TRY(persist(step_deeper, w, &small, row, err));
        large = to_catch(it->problem, &small, row);
    } else /* nothing to catch; a smaller one shows as much */
        large = small;
    tic_audit_describe(&large, row->size, sizeof row->size);
    TIC_TRY(catch_in_time(w, &large, &small, row, err));
    row->whole = strcmp(row->size, whole) == 0;
    row->holds = row->why[0] == '\0';
    return TIC_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

tic_status tic_prover_open(tic_prover *w, const tic_audit_options *options, tic_error *err) {
    const tic_ctx_options ctx = {
        .threads = 1, .isa_limit = options->isa_limit, .plan = options->plan};
    *w = (tic_prover){.options = options};
    TIC_TRY(tic_ctx_new(&w->ctx, &ctx, err));
    TIC_TRY(tic_papi_export(w->ctx, err));
    return tic_trace_new(&w->trace, w->ctx, err);
}

void tic_prover_prove(tic_prover *w, const tic_audit_item *it, tic_audit_row *out) {
    tic_error err = {TIC_OK, ""};
    tic_audit_row row = *out;
    const double begun = tic_now();
    tic_status status = prove(w, it, &row, &err);
    row.seconds = tic_now() - begun;
    if (status != TIC_OK)
        snprintf(row.why, sizeof row.why, "%s, %s: %.300s", row.kernel, row.problem, err.text);
    *out = row;
}
