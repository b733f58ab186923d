/* Which candidate is fastest: successive halving (Jamieson & Talwalkar 2016), then pairs.
 *
 * Every round measures those left in turn, so that a slow moment of the machine meets all of them,
 * more often than the round before, and keeps the faster half by the shortest time; what disturbs a
 * run only ever makes it longer. Two or three runs each are the first round: one alone would put
 * out a candidate for the moment it met. The default takes part to the end. In the finals the best
 * three, so far as they are 1% ahead, and the default run in turn, forwards and backwards. The
 * default is left only for a challenger whose time is shorter by 2% in the median of these turns
 * and shorter at all in three of four, and whose shortest time is the shorter one too; of those the
 * one with the greatest median wins. Who is behind in most of the first nine turns is given up. */
#include "autotune/room.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const double least_gain = 0.02, least_ahead = 0.75, hopeless = 1.25;
enum { FINALISTS = 3, HOPE = 9 };

typedef struct search {
    const tic_measurer *measurer;
    tic_effort effort;
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
    int samples = s->effort.first;
    for (int round = 1;; round++) {
        TIC_TRY(play_round(s, samples, err)); /* of the default too when nothing challenges it */
        if (s->lefts <= FINALISTS && samples == s->effort.most)
            return TIC_OK;
        int most = (s->lefts + 1) / 2;
        cut(s, most < FINALISTS ? FINALISTS : most, round);
        samples = 2 * samples < s->effort.most ? 2 * samples : s->effort.most;
    }
    return TIC_OK;
}

static int compare_ratios(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef struct finalist {
    int candidate, turns, ahead;
    bool in;
    double ratio[TIC_MOST_TURNS]; /* the default's time over its own */
} finalist;

/* Each runs once, the default as number 0; who follows whom changes. */
static tic_status take_turn(const search *s, finalist *f, int count, int turn, tic_error *err) {
    double seconds[FINALISTS + 1];
    for (int n = 0; n <= count; n++) {
        const int i = (turn / 2 + (turn % 2 == 0 ? n : count - n)) % (count + 1);
        if (i == 0 || f[i - 1].in)
            TIC_TRY(sample(s, i == 0 ? 0 : f[i - 1].candidate, &seconds[i], err));
    }
    for (int i = 0; i < count; i++)
        if (f[i].in) {
            f[i].ratio[turn] = seconds[0] / seconds[i + 1];
            f[i].ahead += f[i].ratio[turn] > 1;
            f[i].turns++;
        }
    return TIC_OK;
}

static int choose_finalists(const search *s, finalist *f) {
    const tic_candidate *standing = &s->list[0];
    int count = 0;
    for (int i = 0; i < s->lefts && i < FINALISTS; i++) {
        tic_candidate *c = &s->list[s->left[i]];
        if (c->best < (1 - least_gain / 2) * standing->best)
            f[count++] = (finalist){.candidate = s->left[i], .in = true};
        else
            lose(c, "%+.1f %% by the shortest times: no finals for it",
                 100 * (standing->best / c->best - 1));
    }
    return count;
}

/* Sets each ratio[0] to the median. */
static int best_finalist(finalist *f, int count, tic_candidate *list) {
    int best = -1;
    for (int i = 0; i < count; i++) {
        qsort(f[i].ratio, (size_t)f[i].turns, sizeof f[i].ratio[0], compare_ratios);
        f[i].ratio[0] = f[i].ratio[f[i].turns / 2];
        if (!(f[i].ratio[0] >= 1 + least_gain && f[i].ahead >= least_ahead * f[i].turns))
            lose(&list[f[i].candidate],
                 "not confirmed: %+.1f %% in the median of %d turns, ahead in %d; 2 %% is needed",
                 100 * (f[i].ratio[0] - 1), f[i].turns, f[i].ahead);
        else if (!(list[f[i].candidate].best < list[0].best))
            lose(&list[f[i].candidate], "not confirmed: the default's shortest time is shorter");
        else if (best < 0 || f[i].ratio[0] > f[best].ratio[0])
            best = i;
    }
    return best;
}

static tic_status finals(search *s, tic_search_result *out, tic_error *err) {
    finalist f[FINALISTS];
    const int count = choose_finalists(s, f);
    int in = count;
    for (int turn = 0; turn < s->effort.turns && in > 0; turn++) {
        TIC_TRY(take_turn(s, f, count, turn, err));
        for (int i = 0; turn + 1 == HOPE && i < count; i++)
            if (f[i].ahead <= HOPE / 2) {
                f[i].in = false;
                in--;
            }
    }
    const int best = best_finalist(f, count, s->list);
    for (int i = 0; best >= 0 && i < count; i++)
        if (i != best && s->list[f[i].candidate].why[0] == '\0')
            lose(&s->list[f[i].candidate],
                 "%+.1f %% in the median of %d turns: less than the winner",
                 100 * (f[i].ratio[0] - 1), f[i].turns);
    if (count > 0) {
        const finalist *told = &f[best < 0 ? 0 : best];
        *out = (tic_search_result){.winner = best < 0 ? 0 : told->candidate,
                                   .gain = best < 0 ? 0 : told->ratio[0] - 1,
                                   .turns = told->turns,
                                   .ahead = told->ahead};
    }
    return TIC_OK;
}

tic_status tic_duel(const tic_measurer *measurer, tic_candidate *list, tic_search_result *out,
                    tic_error *err) {
    const search s = {
        .measurer = measurer, .effort.turns = TIC_MOST_TURNS, .list = list, .count = 2};
    finalist f = {.candidate = 1, .in = true};
    if (measurer->round != NULL)
        measurer->round(measurer->user, 1);
    for (int turn = 0; turn < s.effort.turns; turn++)
        TIC_TRY(take_turn(&s, &f, 1, turn, err));
    qsort(f.ratio, (size_t)f.turns, sizeof f.ratio[0], compare_ratios);
    *out =
        (tic_search_result){.gain = f.ratio[f.turns / 2] - 1, .turns = f.turns, .ahead = f.ahead};
    out->winner = out->gain > 0;
    return TIC_OK;
}

tic_status tic_search(const tic_measurer *measurer, tic_effort effort, tic_candidate *list,
                      int count, tic_search_result *out, tic_error *err) {
    search s = {.measurer = measurer, .effort = effort, .list = list, .count = count};
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
