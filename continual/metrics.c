/* The matrix E summed up (reference/tic-clip.md, Evaluation; standard errors: continual.h), and
 * lists of scores. */
#include "room.h"
#include <math.h>
#include <stdio.h>

/* -1: below the diagonal (backward), 0: on it, 1: above it (forward). */
static int side(int i, int j) {
    return (j > i) - (j < i);
}

/* Binomial, with one hit and one miss more, so that a score of 0 or 1 is not taken for certain. */
static double cell_error(double value, double n) {
    double p = (value * n + 1) / (n + 2);
    return sqrt(p * (1 - p) / n);
}

/* The mean of E over one side, and its standard error. */
static double mean_of(const double *e, int steps, const int64_t *pairs, int which, double *error) {
    double sum = 0, variance = 0;
    int cells = 0;
    for (int j = 0; j < steps; j++) {
        double column = 0; /* cells of a column: fully correlated, so their errors add up */
        for (int i = 0; i < steps; i++) {
            double value = e[i * steps + j];
            if (side(i, j) != which || isnan(value) || pairs[j] < 1)
                continue;
            sum += value;
            column += cell_error(value, (double)pairs[j]);
            cells++;
        }
        variance += column * column;
    }
    *error = cells > 0 ? sqrt(variance) / cells : NAN;
    return cells > 0 ? sum / cells : NAN;
}

static double relative(const double *e, int steps, int which) {
    double sum = 0;
    int cells = 0;
    for (int i = 0; i < steps; i++)
        for (int j = 0; j < steps; j++) {
            double difference = e[i * steps + j] - e[i * steps + i];
            if (side(i, j) != which || isnan(difference))
                continue;
            sum += difference;
            cells++;
        }
    return cells > 0 ? sum / cells : NAN;
}

tic_summary tic_summarise(const double *e, int steps, const int64_t *pairs) {
    tic_summary summary;
    summary.in_domain = mean_of(e, steps, pairs, 0, &summary.in_domain_stderr);
    summary.backward = mean_of(e, steps, pairs, -1, &summary.backward_stderr);
    summary.forward = mean_of(e, steps, pairs, 1, &summary.forward_stderr);
    summary.backward_relative = relative(e, steps, -1);
    summary.forward_relative = relative(e, steps, 1);
    return summary;
}

void tic_scores_free(tic_scores *scores) {
    tic_free(scores->list);
    *scores = (tic_scores){.list = NULL};
}

tic_status tic_score_add(tic_scores *scores, const char *task, const char *metric, int step,
                         double value, int64_t pairs, tic_error *err) {
    TIC_TRY(
        tic_reserve_one(&scores->list, scores->count, &scores->capacity, sizeof(tic_score), err));
    tic_score *score = &scores->list[scores->count++];
    *score = (tic_score){.step = step, .value = value, .pairs = pairs};
    snprintf(score->task, sizeof score->task, "%s", task);
    snprintf(score->metric, sizeof score->metric, "%s", metric);
    return TIC_OK;
}

json_t *tic_scores_json(const tic_scores *scores) {
    json_t *list = json_array();
    for (size_t i = 0; i < scores->count; i++) {
        const tic_score *score = &scores->list[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:o, s:I}", "task", score->task,
                                              "metric", score->metric, "step", score->step, "value",
                                              tic_json_number(score->value), "pairs",
                                              (json_int_t)score->pairs));
    }
    if (json_array_size(list) != scores->count) {
        json_decref(list);
        return NULL;
    }
    return list;
}
