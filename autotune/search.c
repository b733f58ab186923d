/* Which candidate is fastest: successive halving (Jamieson & Talwalkar 2016), then pairs.
 *
 * Every round measures those left in turn, so that a slow moment of the machine meets all of them,
 * twice as often as the round before, and keeps the faster half by the shortest time; what disturbs
 * a run only ever makes it longer. The default takes part to the end. It is left only for a
 * challenger whose time, in pairs measured one after the other, is shorter by 2% in the median and
 * shorter at all in three of four pairs; a challenger behind in the first seven is given up. */
#include "autotune/room.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const double least_gain = 0.02, least_ahead = 0.75, hopeless = 1.25;
enum { FINALISTS = 2, PAIRS = 31, HOPE = 7, MOST_SAMPLES = 8 };

typedef struct search {
    const tic_measurer *measurer;
    tic_candidate *list;
    int count;
    int *left; /* challengers that are still in, fastest first after a round */
    int lefts;
} search;

static void lose(tic_candidate *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void lose(tic_candidate *c, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(c->why, sizeof c->why, format, list);
    va_end(list);
}

static tic_status sample(const search *s, int i, double *seconds, tic_error *err) {
    tic_candidate *c = &s->list[i];
    TIC_TRY(s->measurer->sample(s->measurer->user, i, seconds, err));
    c->samples++;
    if (*seconds < c->best)
        c->best = *seconds;
    return TIC_OK;
}

/* By the shortest time; among equals the one that stands first in the list. */
static void sort_left(search *s) {
    for (int i = 1; i < s->lefts; i++) {
        int moving = s->left[i], at = i;
        for (; at > 0 && s->list[s->left[at - 1]].best > s->list[moving].best; at--)
            s->left[at] = s->left[at - 1];
        s->left[at] = moving;
    }
}

static tic_status play_round(search *s, int samples, tic_error *err) {
    double seconds;
    if (s->measurer->round != NULL)
        s->measurer->round(s->measurer->user, s->lefts);
    for (int n = 0; n < samples; n++) {
        TIC_TRY(sample(s, 0, &seconds, err));
        for (int i = 0; i < s->lefts; i++)
            TIC_TRY(sample(s, s->left[i], &seconds, err));
    }
    sort_left(s);
    return TIC_OK;
}

/* Keeps the first `most` of those that are near the fastest; what the measurer put out is gone. */
static void cut(search *s, int most, int round) {
    int kept = 0;
    for (int i = 0; i < s->lefts; i++) {
        tic_candidate *c = &s->list[s->left[i]];
        if (isinf(c->best))
            continue;
        if (kept < most && c->best <= hopeless * s->list[s->left[0]].best)
            s->left[kept++] = s->left[i];
        else
            lose(c, "beaten in round %d: %.1f %% slower than the fastest", round,
                 100 * (c->best / s->list[s->left[0]].best - 1));
    }
    s->lefts = kept;
}

static tic_status halve(search *s, tic_error *err) {
    int samples = 1;
    for (int round = 1;; round++) {
        TIC_TRY(play_round(s, samples, err)); /* of the default too when nothing challenges it */
        if (s->lefts <= FINALISTS && samples >= MOST_SAMPLES / 2)
            return TIC_OK;
        int most = (s->lefts + 1) / 2;
        cut(s, most < FINALISTS ? FINALISTS : most, round);
        samples = samples < MOST_SAMPLES ? 2 * samples : samples;
    }
    return TIC_OK;
}

static int compare_ratios(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Default and challenger in turn, who goes first changing; median of the ratios of their times. */
static tic_status duel(const search *s, int challenger, tic_search_result *out, tic_error *err) {
    double ratio[PAIRS];
    int i;
    out->ahead = 0;
    for (i = 0; i < PAIRS && (i < HOPE || out->ahead > HOPE / 2); i++) {
        double theirs, mine;
        if (i % 2 == 0)
            TIC_TRY(sample(s, 0, &theirs, err));
        TIC_TRY(sample(s, challenger, &mine, err));
        if (i % 2 == 1)
            TIC_TRY(sample(s, 0, &theirs, err));
        ratio[i] = theirs / mine;
        out->ahead += ratio[i] > 1;
    }
    out->pairs = i;
    qsort(ratio, (size_t)i, sizeof ratio[0], compare_ratios);
    out->gain = ratio[i / 2] - 1;
    return TIC_OK;
}

static tic_status finals(search *s, tic_search_result *out, tic_error *err) {
    const tic_candidate *standing = &s->list[0];
    for (int i = 0; i < s->lefts && i < FINALISTS; i++) {
        tic_candidate *c = &s->list[s->left[i]];
        if (!(c->best * (1 + least_gain) <= standing->best)) {
            lose(c, "%.1f %% %s than the default in the last round; 2 %% is needed",
                 100 * fabs(standing->best / c->best - 1),
                 c->best < standing->best ? "faster" : "slower");
            continue;
        }
        TIC_TRY(duel(s, s->left[i], out, err));
        if (out->gain >= least_gain && out->ahead >= least_ahead * out->pairs) {
            out->winner = s->left[i];
            for (int j = i + 1; j < s->lefts; j++)
                lose(&s->list[s->left[j]], "second in the last round");
            return TIC_OK;
        }
        lose(c, "not confirmed: %+.1f %% in the median of %d pairs, ahead in %d", 100 * out->gain,
             out->pairs, out->ahead);
    }
    out->gain = 0;
    return TIC_OK;
}

tic_status tic_search(const tic_measurer *measurer, tic_candidate *list, int count,
                      tic_search_result *out, tic_error *err) {
    search s = {.measurer = measurer, .list = list, .count = count};
    *out = (tic_search_result){.winner = 0};
    TIC_TRY(tic_alloc(&s.left, (size_t)count, sizeof *s.left, err));
    for (int i = 1; i < count; i++)
        if (list[i].fate == TIC_MEASURED)
            s.left[s.lefts++] = i;
    tic_status status = halve(&s, err);
    if (status == TIC_OK)
        status = finals(&s, out, err);
    tic_free(s.left);
    return status;
}
