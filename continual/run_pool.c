/* The pool of one step of a run: which pairs, from the steps, the settings, and the last model
 * where the method asks it. */
#include "run.h"

bool tic_item_selects(const tic_item *item) {
    return item->step > 0 &&
           (item->method->pool == TIC_POOL_LOW || item->method->pool == TIC_POOL_HIGH);
}

/* Pairs that each step up to the item's draws. One step alone (`ticlip train`) knows its own. */
static tic_status draws_of(const tic_session *s, const tic_item *items, int i, int64_t **draws,
                           tic_error *err) {
    TIC_TRY(tic_alloc(draws, (size_t)items[i].step + 1, sizeof **draws, err));
    for (int k = 0; k <= i; k++)
        if (items[k].method == items[i].method && items[k].step <= items[i].step)
            (*draws)[items[k].step] = items[k].budget.iterations * s->x->batch;
    return TIC_OK;
}

tic_status tic_item_pool(tic_session *s, const tic_item *items, int i, const char *from,
                         tic_spent *before, uint32_t **pool, size_t *size, tic_error *err) {
    const tic_item *item = &items[i];
    char folder[TIC_PATH];
    int64_t *draws = NULL;
    float *alignment = NULL;
    tic_status status = TIC_OK;
    *before = (tic_spent){.iterations = 0};
    *pool = NULL;
    *size = 0;
    if (tic_item_selects(item)) {
        TIC_TRY(tic_item_folder(s, item, folder, err));
        TIC_TRY(tic_make_folder(folder, err));
        TIC_TRY(tic_select_alignment(s, item->step, from, folder, &alignment, before, err));
    }
    status = draws_of(s, items, i, &draws, err);
    tic_pool_ask ask = {.pairs = tic_index_pairs(s->index),
                        .steps = &s->steps,
                        .method = item->method,
                        .step = item->step,
                        .buffer = s->x->buffer,
                        .replay_share = s->x->replay_share,
                        .seed = (uint64_t)s->x->seed,
                        .draws = draws,
                        .alignment = alignment};
    if (status == TIC_OK)
        status = tic_step_pool(&ask, pool, size, err);
    tic_free(draws);
    tic_free(alignment);
    return status;
}

tic_status tic_item_fisher_pool(tic_session *s, const tic_item *items, int i, uint32_t **pool,
                                size_t *size, tic_error *err) {
    tic_item alone = items[i];
    tic_spent none;
    alone.step--;
    const bool listed =
        i > 0 && items[i - 1].method == items[i].method && items[i - 1].step == alone.step;
    return tic_item_pool(s, listed ? items : &alone, listed ? i - 1 : 0, NULL, &none, pool, size,
                         err);
}

void tic_pool_hash(const tic_session *s, const uint32_t *pool, size_t size, char hex[65]) {
    const tic_pair *pairs = tic_index_pairs(s->index);
    tic_sha256 hash;
    uint8_t digest[32];
    tic_sha256_init(&hash);
    for (size_t i = 0; i < size; i++)
        tic_sha256_add(&hash, &pairs[pool[i]].id, sizeof(tic_id));
    tic_sha256_end(&hash, digest);
    tic_sha256_hex(digest, hex);
}
