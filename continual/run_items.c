/* The steps of a run one after the other: train, evaluate, write it down. Whatever the ledger has
 * is not done again. */
#include "run.h"
#include <stdio.h>
#include <string.h>

/* ---- the meter ------------------------------------------------------------------------------- */

/* The whole of the work, and what is done of it already. A step that is taken over costs nothing
 * but is charged. */
static void plan_meter(tic_session *s, const tic_item *items, int count) {
    tic_meter *meter = &s->meter;
    double evaluation = (double)tic_evaluation_pairs(s->tasks) / 3;
    *meter = (tic_meter){.hooks = s->hooks,
                         .nominal_pair = (double)tic_nominal_train(&s->config),
                         .strict = s->x->accounting == TIC_STRICT};
    for (int i = 0; i < count; i++) {
        double pairs = (double)(items[i].budget.iterations * s->x->batch) +
                       (double)items[i].budget.extra / meter->nominal_pair;
        bool done = tic_item_ended(s, &items[i]) != NULL;
        meter->budget += (double)items[i].budget.macs;
        meter->budget_done += done ? (double)items[i].budget.spent : 0;
        if (items[i].same_as >= 0)
            continue;
        meter->total += pairs + evaluation;
        meter->done += done ? pairs : 0;
        meter->done += tic_item_evaluated(s, &items[i]) != NULL ? evaluation : 0;
    }
    tic_meter_begin(meter);
}

/* ---- evaluation ---------------------------------------------------------------------------- */

static tic_status log_evaluation(tic_session *s, const tic_item *item, json_t *spent,
                                 json_t *scores, tic_error *err) {
    return tic_ledger_add(&s->ledger,
                          json_pack("{s:s, s:s, s:s, s:o, s:o}", "event", "evaluation", "method",
                                    item->method->name, "step", tic_item_step(s, item), "spent",
                                    spent, "scores", scores),
                          err);
}

/* The scores as a TensorBoard file of the step's own, after the training's. */
static tic_status board_scores(const tic_session *s, const tic_item *item, int64_t iteration,
                               const tic_scores *scores, tic_error *err) {
    char path[TIC_PATH], name[TIC_PATH], tag[160];
    tic_board board = {.size = 0};
    TIC_TRY(tic_item_board(s, item, name, err));
    if ((size_t)snprintf(path, sizeof path, "%s.eval", name) >= sizeof path)
        return tic_fail(err, TIC_EUSAGE, "%s: the path is too long", name);
    tic_status status = tic_board_begin(&board, tic_wall_time(), err);
    for (size_t i = 0; i < scores->count && status == TIC_OK; i++) {
        const tic_score *score = &scores->list[i];
        const char *step = score->step >= 0 ? s->steps.step[score->step].name : "all";
        snprintf(tag, sizeof tag, "val/%s/%s", score->task, step);
        tic_scalar scalar = {tag, (float)score->value};
        status = tic_board_add(&board, tic_wall_time(), iteration, &scalar, 1, err);
    }
    if (status == TIC_OK)
        status = tic_file_write(path, board.bytes, board.size, err);
    tic_board_free(&board);
    return status;
}

static tic_status evaluate_item(tic_session *s, const tic_item *items, int i, tic_error *err) {
    tic_scores scores = {.count = 0};
    tic_spent spent = {.pairs = tic_evaluation_pairs(s->tasks)};
    tic_counters before;
    double begun = tic_now();
    tic_ctx_counters(s->ctx, &before);
    tic_status status = tic_evaluate(s->model, s->x->batch, s->tasks, s->hooks, &scores, err);
    tic_spent_count(&spent, s->ctx, &before);
    spent.seconds = tic_now() - begun;
    tic_meter_evaluated(&s->meter, spent.pairs);
    if (status == TIC_OK)
        status =
            board_scores(s, &items[i], tic_iterations_before(items, i) + items[i].budget.iterations,
                         &scores, err);
    if (status == TIC_OK)
        status =
            log_evaluation(s, &items[i], tic_spent_json(&spent), tic_scores_json(&scores), err);
    tic_scores_free(&scores);
    return status;
}

static tic_status copy_evaluation(tic_session *s, const tic_item *from, const tic_item *item,
                                  tic_error *err) {
    const json_t *event = tic_item_evaluated(s, from);
    return log_evaluation(s, item, json_deep_copy(json_object_get(event, "spent")),
                          json_deep_copy(json_object_get(event, "scores")), err);
}

/* ---- one item after the other -------------------------------------------------------------- */

static double in_domain_of(const tic_session *s, const tic_item *item) {
    const json_t *scores = json_object_get(tic_item_evaluated(s, item), "scores");
    size_t i;
    json_t *score;
    json_array_foreach(scores, i, score) {
        const char *task = json_string_value(json_object_get(score, "task"));
        if (task != NULL && strcmp(task, "retrieval") == 0 &&
            json_integer_value(json_object_get(score, "step")) == item->step)
            return json_number_value(json_object_get(score, "value"));
    }
    return 0;
}

static tic_status finish_item(tic_session *s, const tic_item *item, tic_error *err) {
    char path[TIC_PATH];
    TIC_TRY(tic_session_path(s, path, "results.json", err));
    TIC_TRY(tic_results_write(&s->ledger, path, err));
    tic_event event = {.kind = TIC_EVENT_STEP_DONE,
                       .method = item->method->name,
                       .step = tic_item_step(s, item),
                       .iteration = item->budget.iterations,
                       .iterations = item->budget.iterations,
                       .share = s->meter.budget > 0 ? s->meter.budget_done / s->meter.budget : 0,
                       .seconds_left = tic_meter_seconds_left(&s->meter),
                       .in_domain = in_domain_of(s, item)};
    if (s->hooks != NULL && s->hooks->event != NULL)
        s->hooks->event(s->hooks->user, &event);
    return TIC_OK;
}

static tic_status run_item(tic_session *s, const tic_item *items, int i, tic_error *err) {
    const tic_item *item = &items[i];
    const tic_item *same = item->same_as >= 0 ? &items[item->same_as] : NULL;
    bool trained = tic_item_ended(s, item) != NULL;
    char folder[TIC_PATH];
    if (!trained && same != NULL)
        TIC_TRY(tic_item_take_over(s, same, item, err));
    else if (!trained)
        TIC_TRY(tic_item_train(s, items, i, err));
    if (same != NULL)
        return copy_evaluation(s, same, item, err);
    if (trained) { /* the process ended between training and evaluation */
        tic_job job;
        TIC_TRY(tic_item_folder(s, item, folder, err));
        snprintf(job.folder, sizeof job.folder, "%s", folder);
        tic_job_done(&job);
        TIC_TRY(tic_model_load(s->model, folder, err));
    }
    return evaluate_item(s, items, i, err);
}

tic_status tic_run_items(tic_session *s, const tic_item *items, int count, tic_error *err) {
    char results[TIC_PATH];
    bool any = false;
    plan_meter(s, items, count);
    for (int i = 0; i < count; i++) {
        if (tic_item_evaluated(s, &items[i]) != NULL)
            continue;
        any = true;
        if (i > 0 && tic_asked_to_stop(s->hooks))
            return tic_fail(err, TIC_EINTERRUPTED,
                            "stopped before %s/%s; the same command continues",
                            items[i].method->name, tic_item_step(s, &items[i]));
        TIC_TRY(run_item(s, items, i, err));
        TIC_TRY(finish_item(s, &items[i], err));
    }
    /* A process that was killed may have left the ledger ahead of the results. */
    TIC_TRY(tic_session_path(s, results, "results.json", err));
    return any ? TIC_OK : tic_results_write(&s->ledger, results, err);
}
