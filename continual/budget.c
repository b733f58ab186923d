/* Budgets in nominal MACs, turned into whole iterations (design: MACs). */
#include "room.h"

tic_status tic_budget_step(const tic_experiment *experiment, const tic_config *config,
                           const tic_method *method, int steps, int step, tic_step_budget *out,
                           tic_error *err) {
    uint64_t pair = tic_nominal_train(config), total, batch_macs;
    uint64_t limit = (uint64_t)INT64_MAX;
    if (experiment->macs > 0)
        total = (uint64_t)experiment->macs;
    else if (__builtin_mul_overflow(pair, (uint64_t)experiment->pairs, &total) || total > limit)
        return tic_fail(err, TIC_EUSAGE, "pairs: %lld of %s are more than 2^63 MACs",
                        (long long)experiment->pairs, config->name);
    if (__builtin_mul_overflow(pair, (uint64_t)experiment->batch, &batch_macs))
        return tic_fail(err, TIC_EUSAGE, "batch: %lld pairs are more than 2^64 MACs",
                        (long long)experiment->batch);
    /* At most `steps` shares: no overflow. */
    uint64_t share = total / (uint64_t)steps;
    uint64_t macs = method->grows ? share * (uint64_t)(step + 1) : share;
    uint64_t iterations = macs / batch_macs;
    if (iterations == 0)
        return tic_fail(err, TIC_EUSAGE,
                        "the budget's share of a step, %.4g MACs, does not pay for one batch of "
                        "%lld pairs (%.4g); raise --pairs or --macs, or lower --batch",
                        (double)macs, (long long)experiment->batch, (double)batch_macs);
    *out = (tic_step_budget){.macs = macs,
                             .iterations = (int64_t)iterations,
                             .spent = iterations * batch_macs,
                             .left = macs - iterations * batch_macs};
    return TIC_OK;
}
