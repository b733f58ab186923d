/* Budgets in nominal MACs, turned into whole iterations, and what methods are charged beside
 * training (design: MACs). */
#include "room.h"
#include <stdio.h>

int64_t tic_fisher_pairs(const tic_experiment *experiment, const tic_steps *steps, int step) {
    int64_t batch = experiment->batch, pairs = experiment->fisher_pairs;
    int64_t have = (int64_t)steps->step[step - 1].trains;
    int64_t batches = (pairs < have ? pairs : have) / batch;
    return batch * (batches > 0 ? batches : 1);
}

static uint64_t sum_of_past(const tic_steps *steps, int step, bool held_out) {
    uint64_t sum = 0;
    for (int i = 0; i < step; i++)
        sum += held_out ? steps->step[i].evals : steps->step[i].trains;
    return sum;
}

tic_charges tic_method_charges(const tic_experiment *experiment, const tic_config *config,
                               const tic_method *method, const tic_steps *steps, int step) {
    uint64_t forward = tic_nominal_image(config) + tic_nominal_text(config);
    tic_charges charges = {0, 0};
    if (step == 0)
        return charges;
    if (method->penalty == TIC_PENALTY_LWF)
        charges.per_pair += forward;
    if (method->penalty == TIC_PENALTY_EWC)
        charges.fixed +=
            (uint64_t)tic_fisher_pairs(experiment, steps, step) * tic_nominal_train(config);
    if (method->pool == TIC_POOL_LOW || method->pool == TIC_POOL_HIGH)
        charges.fixed += sum_of_past(steps, step, false) * forward;
    if (method->start == TIC_START_PATCHED)
        charges.fixed += TIC_PATCH_COEFFICIENTS * sum_of_past(steps, step, true) * forward;
    return charges;
}

/* The whole sequence's budget in nominal MACs. */
static tic_status total_of(const tic_experiment *experiment, const tic_config *config,
                           uint64_t *total, tic_error *err) {
    uint64_t limit = (uint64_t)INT64_MAX, pair = tic_nominal_train(config);
    if (experiment->macs > 0)
        *total = (uint64_t)experiment->macs;
    else if (__builtin_mul_overflow(pair, (uint64_t)experiment->pairs, total) || *total > limit)
        return tic_fail(err, TIC_EUSAGE, "pairs: %lld of %s are more than 2^63 MACs",
                        (long long)experiment->pairs, config->name);
    return TIC_OK;
}

/* What one step may spend. At most `steps` shares, or a factor below 2: no overflow. */
static uint64_t step_share(const tic_method *method, uint64_t total, int steps, int step) {
    uint64_t share = total / (uint64_t)steps;
    if (method->grows)
        return share * (uint64_t)(step + 1);
    return method->compute > 0 ? (uint64_t)((double)share * method->compute) : share;
}

static tic_status no_batch(const tic_experiment *x, const tic_charges *charged, uint64_t macs,
                           uint64_t batch_macs, tic_error *err) {
    char fixed[80] = "";
    if (charged->fixed > 0)
        snprintf(fixed, sizeof fixed, " beside %.4g for what the method needs first",
                 (double)charged->fixed);
    return tic_fail(err, TIC_EUSAGE,
                    "the budget's share of a step, %.4g MACs, does not pay for one batch of "
                    "%lld pairs (%.4g)%s; raise --pairs or --macs, or lower --batch",
                    (double)macs, (long long)x->batch, (double)batch_macs, fixed);
}

tic_status tic_budget_step(const tic_experiment *experiment, const tic_config *config,
                           const tic_method *method, const tic_charges *charges, int steps,
                           int step, tic_step_budget *out, tic_error *err) {
    static const tic_charges none = {0, 0};
    const tic_charges *charged = experiment->accounting == TIC_STRICT ? charges : &none;
    uint64_t batch = (uint64_t)experiment->batch, total, batch_macs;
    TIC_TRY(total_of(experiment, config, &total, err));
    if (__builtin_mul_overflow(tic_nominal_train(config) + charged->per_pair, batch, &batch_macs))
        return tic_fail(err, TIC_EUSAGE, "batch: %lld pairs are more than 2^64 MACs",
                        (long long)experiment->batch);
    uint64_t macs = step_share(method, total, steps, step);
    uint64_t iterations = macs > charged->fixed ? (macs - charged->fixed) / batch_macs : 0;
    if (iterations == 0)
        return no_batch(experiment, charged, macs, batch_macs, err);
    uint64_t spent = charged->fixed + iterations * batch_macs;
    *out = (tic_step_budget){.macs = macs,
                             .iterations = (int64_t)iterations,
                             .extra = charges->fixed + iterations * batch * charges->per_pair,
                             .spent = spent,
                             .left = macs - spent};
    return TIC_OK;
}

void tic_budget_carry(const tic_experiment *experiment, const tic_config *config,
                      const tic_charges *charges, uint64_t carried, tic_step_budget *budget) {
    const bool strict = experiment->accounting == TIC_STRICT;
    const uint64_t batch = (uint64_t)experiment->batch;
    const uint64_t one = batch * (tic_nominal_train(config) + (strict ? charges->per_pair : 0));
    const uint64_t more = (budget->left + carried) / one;
    budget->macs += carried;
    budget->iterations += (int64_t)more;
    budget->extra += more * batch * charges->per_pair;
    budget->spent += more * one;
    budget->left = budget->macs - budget->spent;
}
