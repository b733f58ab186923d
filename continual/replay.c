/* What a step trains on: pools of new and replayed pairs, and how often each is drawn
 * (reference/tic-clip.md, Methods; continual.h: tic_pool, tic_draw). */
#include "room.h"
#include <stdlib.h>
#include <string.h>

/* ---- shares -------------------------------------------------------------------------------- */

/* Weight of past step i of `count`: of the buffer that Cumulative-Exp keeps, each step halves what
 * the one before left, so the two oldest have the same. Exact in double: powers of two. */
static double weight_of(tic_pool pool, int i, int count) {
    double weight = 1;
    if (pool == TIC_POOL_EXP)
        for (int k = i > 0 ? i : 1; k < count; k++)
            weight /= 2;
    return weight;
}

/* `pairs` over the steps that still have room, by largest remainders. `share` is set for those. */
static void apportion(tic_pool pool, size_t pairs, int count, const bool *full, size_t *shares) {
    double sum = 0;
    size_t left = pairs;
    for (int i = 0; i < count; i++)
        sum += full[i] ? 0 : weight_of(pool, i, count);
    for (int i = 0; i < count; i++) {
        if (full[i])
            continue;
        shares[i] = (size_t)((double)pairs * (weight_of(pool, i, count) / sum));
        left -= shares[i];
    }
    for (; left > 0; left--) { /* fewer than `count` times */
        int best = -1;
        double most = 0;
        for (int i = 0; i < count; i++) {
            double owed = (double)pairs * (weight_of(pool, i, count) / sum) - (double)shares[i];
            if (!full[i] && (best < 0 || owed >= most)) {
                best = i;
                most = owed;
            }
        }
        shares[best]++;
    }
}

void tic_replay_shares(tic_pool pool, size_t pairs, int count, const size_t *have, size_t *shares) {
    bool full[count > 0 ? count : 1];
    bool again = true;
    memset(full, 0, sizeof full);
    memset(shares, 0, (size_t)count * sizeof *shares);
    while (again) {
        size_t rest = pairs;
        int open = 0;
        again = false;
        for (int i = 0; i < count; i++) {
            rest -= full[i] ? (have[i] < rest ? have[i] : rest) : 0;
            open += !full[i];
        }
        if (open == 0)
            return;
        apportion(pool, rest, count, full, shares);
        for (int i = 0; i < count; i++)
            if (!full[i] && shares[i] > have[i]) {
                full[i] = again = true;
                shares[i] = have[i];
            }
    }
}

/* ---- choosing pairs ------------------------------------------------------------------------ */

typedef struct ticket { /* one pair that may be chosen; the smallest come first */
    double rank;        /* uses so far, or alignment */
    uint64_t draw;      /* keyed hash of its identity */
    uint32_t pair;
} ticket;

typedef struct drawing {
    const tic_pool_ask *ask;
    uint32_t *pool;
    size_t size, room;
} drawing;

/* `lane` tells independent draws apart. */
static uint64_t draw_of(const tic_pool_ask *ask, uint32_t pair, uint32_t lane) {
    const tic_random key = {.seed = ask->seed, .purpose = TIC_RNG_REPLAY, .lane = lane};
    return tic_id_draw(key, ask->pairs[pair].id);
}

static int by_rank(const void *a, const void *b) {
    const ticket *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->draw != y->draw)
        return x->draw < y->draw ? -1 : 1;
    return (x->pair > y->pair) - (x->pair < y->pair);
}

static int by_place(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static tic_status make_room(drawing *d, size_t more, tic_error *err) {
    size_t room = d->size + more;
    if (room <= d->room)
        return TIC_OK;
    TIC_TRY(tic_grow(&d->pool, d->room, room, sizeof(uint32_t), err));
    d->room = room;
    return TIC_OK;
}

static tic_status put_all(drawing *d, const uint32_t *pairs, size_t count, tic_error *err) {
    TIC_TRY(make_room(d, count, err));
    memcpy(d->pool + d->size, pairs, count * sizeof *pairs);
    d->size += count;
    return TIC_OK;
}

static tic_status tickets_of(const tic_pool_ask *ask, const uint32_t *pairs, size_t count,
                             uint32_t lane, ticket **out, tic_error *err) {
    TIC_TRY(tic_alloc(out, count > 0 ? count : 1, sizeof(ticket), err));
    for (size_t i = 0; i < count; i++)
        (*out)[i] = (ticket){.draw = draw_of(ask, pairs[i], lane), .pair = pairs[i]};
    return TIC_OK;
}

/* The `share` pairs of a step with the smallest hashes. */
static tic_status put_share(drawing *d, const tic_step *step, size_t share, tic_error *err) {
    ticket *tickets;
    TIC_TRY(make_room(d, share, err));
    TIC_TRY(tickets_of(d->ask, step->train, step->trains, 0, &tickets, err));
    qsort(tickets, step->trains, sizeof *tickets, by_rank);
    for (size_t i = 0; i < share; i++)
        d->pool[d->size++] = tickets[i].pair;
    tic_free(tickets);
    return TIC_OK;
}

/* To the nearest pair: 0.29 of 100 is 28.999999999999996 in double. */
static size_t buffer_pairs(const tic_pool_ask *ask) {
    return (size_t)(ask->buffer * (double)ask->steps->step[ask->step].trains + 0.5);
}

static tic_status put_replay(drawing *d, tic_error *err) {
    const tic_pool_ask *ask = d->ask;
    size_t *have;
    int count = ask->step;
    TIC_TRY(tic_alloc(&have, 2 * (size_t)count + 1, sizeof *have, err));
    size_t *shares = have + count;
    for (int i = 0; i < count; i++)
        have[i] = ask->steps->step[i].trains;
    tic_replay_shares(ask->method->pool, buffer_pairs(ask), count, have, shares);
    tic_status status = TIC_OK;
    for (int i = 0; i < count && status == TIC_OK; i++)
        status = put_share(d, &ask->steps->step[i], shares[i], err);
    tic_free(have);
    return status;
}

/* The less or the better aligned half of all past pairs, rounded up. */
static tic_status put_aligned(drawing *d, tic_error *err) {
    const tic_pool_ask *ask = d->ask;
    double sign = ask->method->pool == TIC_POOL_HIGH ? -1 : 1;
    size_t count = 0, at = 0;
    ticket *tickets;
    if (ask->alignment == NULL)
        return tic_fail(err, TIC_EINTERNAL, "a pool by alignment without the alignments");
    for (int i = 0; i < ask->step; i++)
        count += ask->steps->step[i].trains;
    TIC_TRY(make_room(d, (count + 1) / 2, err));
    TIC_TRY(tic_alloc(&tickets, count, sizeof *tickets, err));
    for (int i = 0; i < ask->step; i++)
        for (size_t k = 0; k < ask->steps->step[i].trains; k++, at++) {
            uint32_t pair = ask->steps->step[i].train[k];
            tickets[at] = (ticket){.rank = sign * (double)ask->alignment[at],
                                   .draw = draw_of(ask, pair, 0),
                                   .pair = pair};
        }
    qsort(tickets, count, sizeof *tickets, by_rank);
    for (size_t i = 0; i < (count + 1) / 2; i++)
        d->pool[d->size++] = tickets[i].pair;
    tic_free(tickets);
    return TIC_OK;
}

static tic_status put_past(drawing *d, tic_error *err) {
    const tic_steps *steps = d->ask->steps;
    switch (d->ask->method->pool) {
    case TIC_POOL_NEW:
        return TIC_OK;
    case TIC_POOL_ALL:
        for (int i = 0; i < d->ask->step; i++)
            TIC_TRY(put_all(d, steps->step[i].train, steps->step[i].trains, err));
        return TIC_OK;
    case TIC_POOL_EXP:
    case TIC_POOL_EQUAL:
        return put_replay(d, err);
    case TIC_POOL_LOW:
    case TIC_POOL_HIGH:
        return put_aligned(d, err);
    }
    return tic_fail(err, TIC_EINTERNAL, "an unknown pool");
}

/* ---- unequal draws ------------------------------------------------------------------------- */

/* Puts `draws` places for these pairs: each as often as the others, and the rest to those with the
 * smallest hashes, other ones in every step. */
static tic_status put_evenly(drawing *d, const uint32_t *pairs, size_t count, size_t draws,
                             tic_error *err) {
    ticket *tickets;
    if (draws == 0 || count == 0)
        return TIC_OK;
    TIC_TRY(make_room(d, draws, err));
    TIC_TRY(tickets_of(d->ask, pairs, count, (uint32_t)d->ask->step + 1, &tickets, err));
    qsort(tickets, count, sizeof *tickets, by_rank);
    for (size_t i = 0; i < draws; i++)
        d->pool[d->size++] = tickets[i % count].pair;
    tic_free(tickets);
    return TIC_OK;
}

/* The same number of draws from every step; what does not divide goes to the latest. */
static tic_status put_per_step(drawing *d, tic_error *err) {
    const tic_pool_ask *ask = d->ask;
    size_t draws = (size_t)ask->draws[ask->step], count = (size_t)ask->step + 1;
    for (size_t i = 0; i < count; i++) {
        const tic_step *step = &ask->steps->step[i];
        size_t share = draws / count + (i >= count - draws % count);
        TIC_TRY(put_evenly(d, step->train, step->trains, share, err));
    }
    return TIC_OK;
}

/* Adds what a step drew of its pool to `uses`, by place in the index. */
static void count_uses(const tic_pool_ask *ask, const uint32_t *pool, size_t size, int step,
                       uint32_t *uses) {
    uint64_t seed = tic_stream_seed((int64_t)ask->seed, step);
    for (int64_t p = 0; p < ask->draws[step]; p++)
        uses[tic_stream_pair(pool, size, seed, (uint64_t)p)]++;
}

/* One draw after the other to a pair used least so far, in this step too; of equals to the one with
 * the smallest hash. Raises a level: pairs below it are drawn up to it. */
static void draw_least_used(drawing *d, ticket *tickets, size_t count, size_t draws) {
    size_t active = 0;
    double level = tickets[0].rank;
    while (draws > 0) {
        while (active < count && tickets[active].rank <= level)
            active++;
        for (size_t i = 0; i < active && draws > 0; i++, draws--)
            d->pool[d->size++] = tickets[i].pair;
        level++;
    }
}

static tic_status put_least_used(drawing *d, const uint32_t *uses, tic_error *err) {
    const tic_pool_ask *ask = d->ask;
    drawing all = {.ask = ask};
    ticket *tickets = NULL;
    size_t draws = (size_t)ask->draws[ask->step];
    tic_status status = make_room(d, draws, err);
    for (int i = 0; i <= ask->step && status == TIC_OK; i++)
        status = put_all(&all, ask->steps->step[i].train, ask->steps->step[i].trains, err);
    if (status == TIC_OK)
        status = tickets_of(ask, all.pool, all.size, (uint32_t)ask->step + 1, &tickets, err);
    if (status == TIC_OK) {
        for (size_t i = 0; i < all.size; i++)
            tickets[i].rank = uses[tickets[i].pair];
        qsort(tickets, all.size, sizeof *tickets, by_rank);
        draw_least_used(d, tickets, all.size, draws);
    }
    tic_free(tickets);
    tic_free(all.pool);
    return status;
}

/* New and replayed pairs in the proportion that is asked for. */
static tic_status put_weighted(drawing *d, tic_error *err) {
    const tic_pool_ask *ask = d->ask;
    const tic_step *own = &ask->steps->step[ask->step];
    drawing past = {.ask = ask};
    size_t draws = (size_t)ask->draws[ask->step];
    tic_status status = put_past(&past, err);
    size_t replayed = past.size > 0 ? (size_t)(ask->replay_share * (double)draws + 0.5) : 0;
    if (status == TIC_OK)
        status = put_evenly(d, past.pool, past.size, replayed, err);
    if (status == TIC_OK)
        status = put_evenly(d, own->train, own->trains, draws - replayed, err);
    tic_free(past.pool);
    return status;
}

/* ---- the pool ------------------------------------------------------------------------------ */

/* `uses` by all steps before; NULL where the method does not ask. */
static tic_status fill(drawing *d, const uint32_t *uses, tic_error *err) {
    const tic_pool_ask *ask = d->ask;
    const tic_step *own = &ask->steps->step[ask->step];
    if (ask->step == 0) /* nothing is past */
        return put_all(d, own->train, own->trains, err);
    if (ask->method->draw == TIC_DRAW_LEAST_USED)
        return put_least_used(d, uses, err);
    if (ask->method->draw == TIC_DRAW_PER_STEP)
        return put_per_step(d, err);
    if (ask->replay_share > 0)
        return put_weighted(d, err);
    TIC_TRY(put_past(d, err));
    return put_all(d, own->train, own->trains, err);
}

static tic_status pool_of(const tic_pool_ask *ask, const uint32_t *uses, uint32_t **pool,
                          size_t *size, tic_error *err) {
    drawing d = {.ask = ask};
    tic_status status = fill(&d, uses, err);
    if (status != TIC_OK) {
        tic_free(d.pool);
        return status;
    }
    qsort(d.pool, d.size, sizeof *d.pool, by_place);
    *pool = d.pool;
    *size = d.size;
    return TIC_OK;
}

/* How often each pair was drawn before the step: earlier steps are drawn again. */
static tic_status uses_before(const tic_pool_ask *ask, uint32_t *uses, tic_error *err) {
    tic_pool_ask earlier = *ask;
    for (earlier.step = 0; earlier.step < ask->step; earlier.step++) {
        uint32_t *pool;
        size_t size;
        TIC_TRY(pool_of(&earlier, uses, &pool, &size, err));
        count_uses(ask, pool, size, earlier.step, uses);
        tic_free(pool);
    }
    return TIC_OK;
}

static size_t places_of(const tic_pool_ask *ask) {
    uint32_t last = 0;
    for (int i = 0; i <= ask->step; i++)
        for (size_t k = 0; k < ask->steps->step[i].trains; k++)
            if (ask->steps->step[i].train[k] > last)
                last = ask->steps->step[i].train[k];
    return (size_t)last + 1;
}

tic_status tic_step_pool(const tic_pool_ask *ask, uint32_t **pool, size_t *size, tic_error *err) {
    uint32_t *uses = NULL;
    *pool = NULL;
    *size = 0;
    if (ask->method->draw != TIC_DRAW_LEAST_USED)
        return pool_of(ask, NULL, pool, size, err);
    TIC_TRY(tic_alloc(&uses, places_of(ask), sizeof *uses, err));
    tic_status status = uses_before(ask, uses, err);
    if (status == TIC_OK)
        status = pool_of(ask, uses, pool, size, err);
    tic_free(uses);
    return status;
}
