/* What a method does beside training, in logical MACs: EWC's Fisher pass, the scoring of past
 * pairs, the search of patching. */
#include "verify.h"

/* Forward, backward and loss of whole batches of the stream of the step before; a micro-batch is
 * computed forward twice. */
static tic_status fisher_macs(tic_verifying *v, int i, uint64_t *out) {
    const tic_config *c = &v->s.config;
    const int64_t batch = v->x.batch;
    const uint64_t twice = v->s.micro_batch < batch ? 2 : 1;
    tic_item pass = v->items[i];
    tic_walked walked = {.order = ""};
    uint32_t *pool;
    size_t size;
    pass.step--;
    pass.budget.iterations = tic_fisher_pairs(&v->x, &v->s.steps, v->items[i].step) / batch;
    TIC_TRY(tic_item_fisher_pool(&v->s, v->items, i, &pool, &size, v->err));
    tic_status status = tic_verify_walk(v, &pass, pool, size, &walked);
    tic_free(pool);
    *out = (uint64_t)pass.budget.iterations *
               (twice * tic_logical_image(c, batch, false) + tic_logical_image(c, batch, true) +
                tic_logical_loss(c, batch)) +
           twice * walked.text_forward + walked.text_backward;
    return status;
}

/* Every training pair of the steps before is encoded. */
static tic_status selection_macs(tic_verifying *v, const tic_item *item, uint64_t *out) {
    *out = 0;
    for (int k = 0; k < item->step; k++) {
        const tic_step *step = &v->s.steps.step[k];
        *out += tic_logical_image(&v->s.config, (int64_t)step->trains, false);
        TIC_TRY(tic_verify_captions(v, step->train, step->trains, out));
    }
    return TIC_OK;
}

tic_status tic_verify_phases(tic_verifying *v, int i, const char *name, const tic_spent *spent,
                             bool ended) {
    static const tic_purpose beside[] = {TIC_FOR_FISHER, TIC_FOR_SELECTION, TIC_FOR_PATCHING,
                                         TIC_FOR_EVALUATION, TIC_FOR_TUNING};
    const tic_item *item = &v->items[i];
    const tic_method *method = item->method;
    uint64_t need[TIC_PURPOSE_COUNT] = {0};
    char folder[TIC_PATH];
    const char *from;
    TIC_TRY(tic_item_start(&v->s, item, folder, &from, v->err));
    if (method->penalty == TIC_PENALTY_EWC && from != NULL)
        TIC_TRY(fisher_macs(v, i, &need[TIC_FOR_FISHER]));
    if (tic_item_selects(item))
        TIC_TRY(selection_macs(v, item, &need[TIC_FOR_SELECTION]));
    if (method->start == TIC_START_PATCHED && from != NULL && ended)
        need[TIC_FOR_PATCHING] =
            TIC_PATCH_COEFFICIENTS * tic_retrieval_macs(&v->s.config, v->s.tasks, item->step);
    for (size_t k = 0; k < sizeof beside / sizeof beside[0]; k++)
        TIC_TRY(tic_verify_purpose(v, name, beside[k], spent, need[beside[k]]));
    return TIC_OK;
}
