/* Time steps: the periods of the calendar, early ones pooled, sparse ones joined, and in each the
 * pairs that are held out for evaluation. */
#include "data/room.h"
#include <stdlib.h>
#include <string.h>

/* ---- periods --------------------------------------------------------------------------------- */

typedef struct period {
    int64_t begin, end; /* [begin, end) in seconds since 1970 */
    char name[16];
} period;

/* The period of `months` months that begins with `month` (1 .. 12). */
static period period_at(int year, int month, int months) {
    int last = month - 1 + months;
    period p = {.begin = tic_time_of(year, month, 1),
                .end = tic_time_of(year + last / 12, last % 12 + 1, 1)};
    if (months == 12)
        snprintf(p.name, sizeof p.name, "%04d", year);
    else if (months == 3)
        snprintf(p.name, sizeof p.name, "%04dQ%d", year, (month + 2) / 3 % 10);
    else
        snprintf(p.name, sizeof p.name, "%04d-%02d", year, month % 100);
    return p;
}

/* The year, quarter or month that a time lies in. */
static period period_of(tic_granularity granularity, int64_t time) {
    int year, month, months = granularity == TIC_YEAR ? 12 : granularity == TIC_QUARTER ? 3 : 1;
    tic_time_civil(time, &year, &month);
    return period_at(year, (month - 1) / months * months + 1, months);
}

/* "2016", "2016Q3" or "2016-07", of `length` characters. */
static bool parse_period(const char *text, size_t length, period *p) {
    int digit[8] = {0};
    if (length != 4 && length != 6 && length != 7)
        return false;
    for (size_t i = 0; i < length; i++) {
        digit[i] = text[i] - '0';
        if (i != 4 && (digit[i] < 0 || digit[i] > 9))
            return false;
    }
    int year = digit[0] * 1000 + digit[1] * 100 + digit[2] * 10 + digit[3];
    int part = length == 7 ? digit[5] * 10 + digit[6] : length == 6 ? digit[5] : 1;
    bool mark = length == 4 || (length == 7 && text[4] == '-') ||
                (length == 6 && (text[4] == 'Q' || text[4] == 'q'));
    if (!mark || part < 1 || part > (length == 7 ? 12 : 4))
        return false;
    *p = length == 7   ? period_at(year, part, 1)
         : length == 6 ? period_at(year, 3 * part - 2, 3)
                       : period_at(year, 1, 12);
    return true;
}

typedef struct periods {
    period *list;
    size_t count, capacity;
} periods;

static tic_status add_period(periods *p, period next, tic_error *err) {
    TIC_TRY(tic_reserve_one(&p->list, p->count, &p->capacity, sizeof *p->list, err));
    p->list[p->count++] = next;
    return TIC_OK;
}

/* Consecutive periods from the one of `first` to the one of `last`; those that end before the end
 * of options->first_step are one with the period of that end. */
static tic_status calendar(periods *p, const tic_steps_options *options, int64_t first,
                           int64_t last, tic_error *err) {
    period pool;
    int64_t pooled = 0; /* before every time there is */
    if (options->first_step) {
        if (!parse_period(options->first_step, strlen(options->first_step), &pool))
            return tic_fail(err, TIC_EUSAGE,
                            "first step \"%s\" is not like 2016, 2016Q3 or 2016-07",
                            options->first_step);
        pooled = pool.end;
    }
    period next = period_of(options->granularity, first);
    int64_t begin = next.begin;
    last = last > pooled - 1 ? last : pooled - 1;
    for (;; next = period_of(options->granularity, next.end)) {
        if (next.end < pooled)
            continue;
        next.begin = begin;
        begin = next.end;
        TIC_TRY(add_period(p, next, err));
        if (next.end > last)
            return TIC_OK;
    }
}

/* The given ends; each period begins where the one before ends, the first with the first pair. */
static tic_status listed(periods *p, const char *list, int64_t first, tic_error *err) {
    int64_t begin = period_of(TIC_MONTH, first).begin;
    for (const char *at = list ? list : "";; at++) {
        size_t length = strcspn(at, ",");
        period next;
        if (!parse_period(at, length, &next))
            return tic_fail(err, TIC_EUSAGE,
                            "step \"%.*s\" in the list is not like 2016, 2016Q3 or 2016-07",
                            length < 32 ? (int)length : 32, at);
        if (p->count > 0 && next.end <= p->list[p->count - 1].end)
            return tic_fail(err, TIC_EUSAGE, "step %s in the list does not end after %s", next.name,
                            p->list[p->count - 1].name);
        next.begin = begin < next.end ? begin : next.begin;
        begin = next.end;
        TIC_TRY(add_period(p, next, err));
        at += length;
        if (*at == 0)
            return TIC_OK;
    }
}

/* Splits without time: each is all of it. */
static tic_status splits(periods *p, int count, int64_t first, int64_t last, tic_error *err) {
    if (count < 2 || count > TIC_SPLITS_MAX)
        return tic_fail(err, TIC_EUSAGE, "%d random steps; 2 to %d are possible", count,
                        TIC_SPLITS_MAX);
    for (int i = 0; i < count; i++) {
        period next = {.begin = first, .end = last + 1};
        snprintf(next.name, sizeof next.name, "iid-%0*d", count > 9 ? (count > 99 ? 3 : 2) : 1,
                 i + 1);
        TIC_TRY(add_period(p, next, err));
    }
    return TIC_OK;
}

/* ---- pairs into periods ---------------------------------------------------------------------- */

/* The first period that ends after the time; p->count when none does. */
static size_t period_index(const periods *p, int64_t time) {
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->list[middle].end > time)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Joins sparse periods to the next, the last to the one before. counts[i] are the pairs of period
 * i, on return those of the joined ones. */
static void join_sparse(periods *p, size_t *counts, size_t least) {
    size_t kept = 0, pending = 0; /* list[kept] collects; `pending`: how many pairs it has */
    bool fresh = true;
    for (size_t i = 0; i < p->count; i++) {
        int64_t begin = fresh ? p->list[i].begin : p->list[kept].begin;
        p->list[kept] = p->list[i];
        p->list[kept].begin = begin;
        pending = (fresh ? 0 : pending) + counts[i];
        fresh = pending >= least && pending > 0;
        if (fresh)
            counts[kept++] = pending;
    }
    if (!fresh && kept > 0) { /* what is left over takes the last one's place, and its name */
        period rest = p->list[kept];
        rest.begin = p->list[kept - 1].begin;
        p->list[kept - 1] = rest;
        counts[kept - 1] += pending;
    } else if (!fresh) {
        counts[kept++] = pending;
    }
    p->count = kept;
}

/* ---- holding out
 * ---------------------------------------------------------------------------------- */

typedef struct ticket {
    uint64_t draw;
    uint32_t pair;
    bool held;
} ticket;

enum { FOR_HOLDOUT = 0, FOR_SPLITS = 1 }; /* independent draws */

static tic_random key_of(const tic_steps_options *options, uint32_t lane) {
    return (tic_random){.seed = options->eval_seed, .purpose = TIC_RNG_HOLDOUT, .lane = lane};
}

static int by_draw(const void *a, const void *b) {
    const ticket *x = a, *y = b;
    if (x->draw != y->draw)
        return x->draw < y->draw ? -1 : 1;
    return (x->pair > y->pair) - (x->pair < y->pair);
}

static int by_pair(const void *a, const void *b) {
    const ticket *x = a, *y = b;
    return (x->pair > y->pair) - (x->pair < y->pair);
}

static size_t held_out(size_t pairs, size_t asked) {
    size_t most = pairs / 5 > 0 ? pairs / 5 : 1;
    return asked < most ? asked : most;
}

/* Splits a step's pairs (tickets, in order of pair) into held-out and training ones. */
static tic_status split(tic_step *step, ticket *tickets, size_t count,
                        const tic_steps_options *options, tic_error *err) {
    size_t evals = held_out(count, options->eval_pairs);
    TIC_TRY(tic_alloc(&step->eval, evals, sizeof *step->eval, err));
    TIC_TRY(tic_alloc(&step->train, count - evals, sizeof *step->train, err));
    qsort(tickets, count, sizeof *tickets, by_draw);
    for (size_t i = 0; i < count; i++)
        tickets[i].held = i < evals;
    qsort(tickets, count, sizeof *tickets, by_pair);
    for (size_t i = 0; i < count; i++)
        if (tickets[i].held)
            step->eval[step->evals++] = tickets[i].pair;
        else
            step->train[step->trains++] = tickets[i].pair;
    return TIC_OK;
}

/* ---- all together
 * ----------------------------------------------------------------------------------- */

typedef struct making {
    const tic_index *index;
    const tic_steps_options *options;
    periods periods;
    size_t *counts;  /* [periods] pairs of each */
    size_t *from;    /* [periods + 1] where its tickets begin */
    ticket *tickets; /* [pairs] by period, then pair */
    int64_t first, last;
} making;

/* Which period a pair belongs to; periods.count: none. */
static size_t place_of(const making *m, const tic_pair *pair) {
    const tic_steps_options *o = m->options;
    if (o->granularity != TIC_IID)
        return period_index(&m->periods, pair->time);
    return (size_t)(tic_id_draw(key_of(o, FOR_SPLITS), pair->id) % (uint64_t)o->splits);
}

static tic_status cut_periods(making *m, tic_error *err) {
    const tic_steps_options *o = m->options;
    if (o->granularity == TIC_IID)
        return splits(&m->periods, o->splits, m->first, m->last, err);
    if (o->granularity == TIC_LIST && o->first_step)
        return tic_fail(err, TIC_EUSAGE,
                        "a list of steps pools by itself: no first step beside it");
    return o->granularity == TIC_LIST ? listed(&m->periods, o->list, m->first, err)
                                      : calendar(&m->periods, o, m->first, m->last, err);
}

static tic_status make_periods(making *m, tic_error *err) {
    const tic_steps_options *o = m->options;
    TIC_TRY(cut_periods(m, err));
    TIC_TRY(tic_alloc(&m->counts, m->periods.count + 1, sizeof *m->counts, err));
    for (size_t i = 0; i < m->index->size; i++)
        m->counts[place_of(m, &m->index->pairs[i])]++;
    if (o->granularity != TIC_IID)
        join_sparse(&m->periods, m->counts, o->min_step);
    for (size_t i = 0; i < m->periods.count; i++)
        if (m->counts[i] < 2)
            return tic_fail(err, TIC_EINPUT,
                            "step %s has %zu pair%s; a step needs two, one to train on and one to "
                            "hold out (use --min-step to join sparse steps)",
                            m->periods.list[i].name, m->counts[i], m->counts[i] == 1 ? "" : "s");
    return TIC_OK;
}

/* Sorts the pairs into their periods by counting; those after the last one belong to none. */
static tic_status deal(making *m, tic_error *err) {
    size_t n = m->periods.count;
    TIC_TRY(tic_alloc(&m->from, n + 2, sizeof *m->from, err));
    TIC_TRY(tic_alloc(&m->tickets, m->index->size, sizeof *m->tickets, err));
    for (size_t i = 0; i < n; i++)
        m->from[i + 1] = m->from[i] + m->counts[i];
    for (size_t i = 0; i < m->index->size; i++) {
        const tic_pair *pair = &m->index->pairs[i];
        size_t at = place_of(m, pair);
        if (at < n)
            m->tickets[m->from[at]++] =
                (ticket){.draw = tic_id_draw(key_of(m->options, FOR_HOLDOUT), pair->id),
                         .pair = (uint32_t)i};
    }
    for (size_t i = n; i > 0; i--) /* every cursor now stands where the next period begins */
        m->from[i] = m->from[i - 1];
    m->from[0] = 0;
    return TIC_OK;
}

static tic_status fill(tic_steps *out, making *m, tic_error *err) {
    TIC_TRY(make_periods(m, err));
    TIC_TRY(deal(m, err));
    TIC_TRY(tic_alloc(&out->step, m->periods.count, sizeof *out->step, err));
    out->count = (int)m->periods.count;
    for (int i = 0; i < out->count; i++) {
        tic_step *step = &out->step[i];
        memcpy(step->name, m->periods.list[i].name, sizeof step->name);
        step->begin = m->periods.list[i].begin;
        step->end = m->periods.list[i].end;
        TIC_TRY(split(step, m->tickets + m->from[i], m->counts[i], m->options, err));
    }
    return TIC_OK;
}

/* Says what most of the samples lack. */
static tic_status no_pair(const tic_index *index, tic_error *err) {
    tic_reject most = TIC_REJECT_NONE;
    for (int i = 0; i < TIC_REJECT_COUNT; i++)
        if (tic_index_rejected(index, (tic_reject)i) > tic_index_rejected(index, most))
            most = (tic_reject)i;
    if (most == TIC_REJECT_NONE)
        return tic_fail(err, TIC_EINPUT, "the data holds no usable pair");
    const char *field = most == TIC_REJECT_NO_TIME ? index->time_field : "";
    return tic_fail(err, TIC_EINPUT,
                    "the data holds no usable pair: %llu samples are rejected as %s%s%s",
                    (unsigned long long)tic_index_rejected(index, most), tic_reject_name(most),
                    field[0] != '\0' ? ", by the field " : "", field);
}

tic_status tic_steps_make(tic_steps *out, const tic_index *index, const tic_steps_options *options,
                          tic_error *err) {
    making m = {.index = index, .options = options, .first = INT64_MAX, .last = INT64_MIN};
    *out = (tic_steps){0};
    if (index->size == 0)
        return no_pair(index, err);
    for (size_t i = 0; i < index->size; i++) {
        int64_t time = index->pairs[i].time;
        m.first = time < m.first ? time : m.first;
        m.last = time > m.last ? time : m.last;
    }
    tic_status status = fill(out, &m, err);
    tic_free(m.periods.list);
    tic_free(m.counts);
    tic_free(m.from);
    tic_free(m.tickets);
    if (status != TIC_OK)
        tic_steps_free(out);
    return status;
}

tic_status tic_steps_places(const tic_steps *steps, size_t pairs, int **out, tic_error *err) {
    TIC_TRY(tic_alloc(out, pairs, sizeof **out, err));
    for (size_t i = 0; i < pairs; i++)
        (*out)[i] = -1;
    for (int k = 0; k < steps->count; k++) {
        const tic_step *step = &steps->step[k];
        for (size_t i = 0; i < step->trains; i++)
            (*out)[step->train[i]] = k;
        for (size_t i = 0; i < step->evals; i++)
            (*out)[step->eval[i]] = k;
    }
    return TIC_OK;
}

void tic_steps_free(tic_steps *steps) {
    for (int i = 0; i < steps->count; i++) {
        tic_free(steps->step[i].train);
        tic_free(steps->step[i].eval);
    }
    tic_free(steps->step);
    *steps = (tic_steps){0};
}
