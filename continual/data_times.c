/* Crawl time against true time (paper, Fig. 20): the steps of two time fields of the same pairs. */
#include "room.h"
#include <math.h>
#include <stdlib.h>

static const double DAY = 86400;

typedef struct timing {
    tic_session *s;
    size_t n, without; /* pairs that have both times, that lack the other */
    double *own, *other;
    int *places;     /* of every pair of the index: its step, -1: none */
    int64_t *matrix; /* [steps, steps + 1] */
    int64_t same, later, earlier;
} timing;

/* The step whose time it is; steps.count: after all of them. */
static int step_of(const tic_steps *steps, int64_t time) {
    int i = 0;
    while (i < steps->count && time >= steps->step[i].end)
        i++;
    return i;
}

static void add(timing *t, int row, int64_t own, int64_t other) {
    const tic_steps *steps = &t->s->steps;
    const int column = step_of(steps, other);
    if (row < 0)
        return;
    t->own[t->n] = (double)own;
    t->other[t->n++] = (double)other;
    t->matrix[row * (steps->count + 1) + column]++;
    t->same += row == column;
    t->later += column > row;
    t->earlier += column < row;
}

static tic_status read_times(timing *t, const char *field, tic_error *err) {
    tic_index *index = t->s->index;
    const size_t size = tic_index_size(index);
    const size_t steps = (size_t)t->s->steps.count;
    TIC_TRY(tic_alloc(&t->own, 2 * size, sizeof(double), err));
    t->other = t->own + size;
    TIC_TRY(tic_steps_places(&t->s->steps, size, &t->places, err));
    TIC_TRY(tic_alloc(&t->matrix, steps * (steps + 1), sizeof(int64_t), err));
    for (size_t i = 0; i < size; i++) {
        int64_t time;
        bool known;
        if (i % 1024 == 0) {
            tic_prepare_progress((void *)t->s->hooks, "reading times", i, size);
            if (tic_asked_to_stop(t->s->hooks))
                return tic_fail(err, TIC_EINTERRUPTED, "stopped while reading times");
        }
        TIC_TRY(tic_index_time(index, (uint32_t)i, field, &time, &known, err));
        if (known)
            add(t, t->places[i], tic_index_pairs(index)[i].time, time);
        else
            t->without++;
    }
    if (t->n < 2)
        return tic_fail(err, TIC_EINPUT, "%s: %zu pairs have a time in \"%s\"", t->s->x->data, t->n,
                        field);
    return TIC_OK;
}

/* ---- correlation ----------------------------------------------------------------------------- */

static double pearson(const double *x, const double *y, size_t n) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        mx += x[i];
        my += y[i];
    }
    mx /= (double)n;
    my /= (double)n;
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

typedef struct placed {
    double value;
    size_t at;
} placed;

static int by_value(const void *a, const void *b) {
    const double x = ((const placed *)a)->value, y = ((const placed *)b)->value;
    return (x > y) - (x < y);
}

/* Ranks from 1, of equals the mean of theirs. */
static void rank(const double *values, size_t n, placed *room, double *ranks) {
    for (size_t i = 0; i < n; i++)
        room[i] = (placed){values[i], i};
    qsort(room, n, sizeof *room, by_value);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && room[to].value == room[from].value;)
            to++;
        for (size_t i = from; i < to; i++)
            ranks[room[i].at] = (double)(from + 1 + to) / 2;
    }
}

static tic_status spearman(const timing *t, double *out, tic_error *err) {
    double *ranks = NULL;
    placed *room;
    TIC_TRY(tic_alloc(&room, t->n, sizeof *room, err));
    tic_status status = tic_alloc(&ranks, 2 * t->n, sizeof(double), err);
    if (status == TIC_OK) {
        rank(t->own, t->n, room, ranks);
        rank(t->other, t->n, room, ranks + t->n);
        *out = pearson(ranks, ranks + t->n, t->n);
    }
    tic_free(ranks);
    tic_free(room);
    return status;
}

/* ---- how late -------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *lag_json(double *lags, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += lags[i];
    qsort(lags, n, sizeof *lags, rising);
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "min", lags[0], "p5", lags[n / 20], "median",
                     lags[n / 2], "p95", lags[n - 1 - n / 20], "max", lags[n - 1], "mean",
                     sum / (double)n);
}

/* The other time minus the own, in days. */
static tic_status lag(const timing *t, json_t **out, tic_error *err) {
    double *lags;
    TIC_TRY(tic_alloc(&lags, t->n, sizeof *lags, err));
    for (size_t i = 0; i < t->n; i++)
        lags[i] = (t->other[i] - t->own[i]) / DAY;
    *out = lag_json(lags, t->n);
    tic_free(lags);
    return TIC_OK;
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *document(const timing *t, const char *other, double rho, json_t *lags) {
    const tic_steps *steps = &t->s->steps;
    const double n = (double)t->n;
    json_t *list = json_array(), *rows = json_array();
    for (int i = 0; i < steps->count; i++) {
        json_t *row = json_array();
        json_array_append_new(list, json_string(steps->step[i].name));
        for (int j = 0; j <= steps->count; j++)
            json_array_append_new(row, json_integer(t->matrix[i * (steps->count + 1) + j]));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:i, s:s, s:s, s:I, s:I, s:o, s:o, s:f, s:f, s:f, s:o, s:o, s:o}", "schema",
                     1, "time", t->s->x->time_field, "other", other, "pairs", (json_int_t)t->n,
                     "without", (json_int_t)t->without, "steps", list, "matrix", rows, "same_step",
                     (double)t->same / n, "later_step", (double)t->later / n, "earlier_step",
                     (double)t->earlier / n, "pearson",
                     tic_json_number(pearson(t->own, t->other, t->n)), "spearman",
                     tic_json_number(rho), "lag_days", lags);
}

static tic_status times(timing *t, const char *other, char **json, tic_error *err) {
    double rho = NAN;
    json_t *lags;
    if (tic_experiment_iid(t->s->x))
        return tic_fail(err, TIC_EUSAGE, "times: steps drawn at random (granularity %s) have none",
                        t->s->x->granularity);
    TIC_TRY(tic_session_data(t->s, err));
    TIC_TRY(read_times(t, other, err));
    TIC_TRY(spearman(t, &rho, err));
    TIC_TRY(lag(t, &lags, err));
    json_t *all = document(t, other, rho, lags);
    tic_status status = tic_json_text(all, JSON_INDENT(1), json, err);
    json_decref(all);
    return status;
}

tic_status tic_data_times(const tic_experiment *experiment, const char *other,
                          const tic_hooks *hooks, char **json, tic_error *err) {
    tic_session s = {.x = experiment, .hooks = hooks};
    timing t = {.s = &s};
    *json = NULL;
    tic_status status = times(&t, other, json, err);
    tic_free(t.own);
    tic_free(t.places);
    tic_free(t.matrix);
    tic_session_close(&s);
    return status;
}
