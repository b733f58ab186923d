/* The steps of a run, one after the other: train (or take over the same computation), evaluate,
 * write it down. Whatever the ledger has is not done again. */
#include "run.h"
#include <stdio.h>
#include <string.h>

/* ---- the list ------------------------------------------------------------------------------ */

static bool random_start(const tic_item *item) {
    return item->from == NULL && (item->method->start == TIC_START_RANDOM || item->step == 0);
}

/* Same start, same pool, same iterations (and the same seed, so the same order): the first step of
 * most methods. */
static bool same_training(const tic_item *a, const tic_item *b) {
    return a->step == b->step && random_start(a) && random_start(b) &&
           (a->method->pool == b->method->pool || a->step == 0) &&
           a->budget.iterations == b->budget.iterations;
}

tic_status tic_run_list(const tic_session *s, tic_item **items, int *count, tic_error *err) {
    const tic_method *methods[TIC_METHODS_MAX];
    int method_count, steps = s->steps.count;
    *items = NULL;
    *count = 0;
    TIC_TRY(tic_method_list(s->x->methods, methods, TIC_METHODS_MAX, &method_count, err));
    TIC_TRY(tic_alloc(items, (size_t)(method_count * steps), sizeof(tic_item), err));
    tic_status status = TIC_OK;
    for (int i = 0; i < method_count * steps && status == TIC_OK; i++) {
        tic_item *item = &(*items)[i];
        *item = (tic_item){.method = methods[i / steps], .step = i % steps, .same_as = -1};
        status =
            tic_budget_step(s->x, &s->config, item->method, steps, item->step, &item->budget, err);
        for (int k = i - 1; k >= 0 && status == TIC_OK; k--)
            if (same_training(&(*items)[k], item))
                item->same_as = k; /* the earliest in the end */
        *count = i + 1;
    }
    if (status != TIC_OK) {
        tic_free(*items);
        *items = NULL;
    }
    return status;
}

int64_t tic_evaluation_pairs(const tic_tasks *tasks) {
    return (tasks->pictures + tasks->captions) / 2;
}

static const char *step_name(const tic_session *s, const tic_item *item) {
    return s->steps.step[item->step].name;
}

const json_t *tic_item_ended(const tic_session *s, const tic_item *item) {
    return tic_ledger_find(&s->ledger, "step_end", item->method->name, step_name(s, item));
}

const json_t *tic_item_evaluated(const tic_session *s, const tic_item *item) {
    return tic_ledger_find(&s->ledger, "evaluation", item->method->name, step_name(s, item));
}

/* The whole of the work, and what is done of it already. A step that is taken over costs nothing
 * but is charged. */
static void plan_meter(tic_session *s, const tic_item *items, int count) {
    tic_meter *meter = &s->meter;
    double evaluation = (double)tic_evaluation_pairs(s->tasks) / 3;
    *meter = (tic_meter){.hooks = s->hooks, .nominal_pair = (double)tic_nominal_train(&s->config)};
    for (int i = 0; i < count; i++) {
        double pairs = (double)(items[i].budget.iterations * s->x->batch);
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

/* ---- places -------------------------------------------------------------------------------- */

static tic_status item_folder(const tic_session *s, const tic_item *item, char out[TIC_PATH],
                              tic_error *err) {
    char method[TIC_PATH];
    TIC_TRY(tic_session_path(s, method, item->method->name, err));
    return tic_path_join(out, TIC_PATH, method, step_name(s, item), err);
}

/* METHOD/events.out.tfevents.NN.STEP: TensorBoard reads a folder's files in the order of names. */
static tic_status board_path(const tic_session *s, const tic_item *item, char out[TIC_PATH],
                             tic_error *err) {
    char name[64], method[TIC_PATH];
    snprintf(name, sizeof name, "events.out.tfevents.%04d.%s", item->step, step_name(s, item));
    TIC_TRY(tic_session_path(s, method, item->method->name, err));
    return tic_path_join(out, TIC_PATH, method, name, err);
}

/* ---- training ------------------------------------------------------------------------------ */

/* The places in the index of what a step trains on; *pool is the caller's (tic_free). */
static tic_status make_pool(const tic_session *s, const tic_item *item, uint32_t **pool,
                            size_t *size, tic_error *err) {
    int first = item->method->pool == TIC_POOL_ALL ? 0 : item->step;
    *size = 0;
    for (int i = first; i <= item->step; i++)
        *size += s->steps.step[i].trains;
    TIC_TRY(tic_alloc(pool, *size, sizeof(uint32_t), err));
    size_t at = 0;
    for (int i = first; i <= item->step; i++) {
        const tic_step *step = &s->steps.step[i];
        memcpy(*pool + at, step->train, step->trains * sizeof(uint32_t));
        at += step->trains;
    }
    return TIC_OK;
}

static void pool_hash(const tic_session *s, const uint32_t *pool, size_t size, char hex[65]) {
    const tic_pair *pairs = tic_index_pairs(s->index);
    tic_sha256 hash;
    uint8_t digest[32];
    tic_sha256_init(&hash);
    for (size_t i = 0; i < size; i++)
        tic_sha256_add(&hash, &pairs[pool[i]].id, sizeof(tic_id));
    tic_sha256_end(&hash, digest);
    tic_sha256_hex(digest, hex);
}

static tic_status log_start(tic_session *s, const tic_item *item, const tic_job *job,
                            tic_error *err) {
    char hex[65];
    if (tic_ledger_find(&s->ledger, "step_start", job->method, job->step) != NULL)
        return TIC_OK; /* an earlier process did */
    pool_hash(s, job->pool, job->pool_size, hex);
    return tic_ledger_add(&s->ledger,
                          json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "event",
                                    "step_start", "method", job->method, "step", job->step, "from",
                                    job->from ? job->from : "random", "budget",
                                    (json_int_t)item->budget.macs, "iterations",
                                    (json_int_t)job->iterations, "warmup", (json_int_t)job->warmup,
                                    "pool_pairs", (json_int_t)job->pool_size, "pool", hex),
                          err);
}

static tic_status log_end(tic_session *s, const tic_item *item, const char *folder,
                          const char *same_as, const tic_spent *spent, tic_error *err) {
    char weights[TIC_PATH], hex[65];
    TIC_TRY(tic_path_join(weights, sizeof weights, folder, "open_clip_model.safetensors", err));
    TIC_TRY(tic_file_sha256(weights, hex, err));
    json_t *event =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "event", "step_end", "method",
                  item->method->name, "step", step_name(s, item), "budget",
                  (json_int_t)item->budget.macs, "weights", hex, "spent", tic_spent_json(spent));
    if (same_as != NULL)
        json_object_set_new(event, "same_as", json_string(same_as));
    return tic_ledger_add(&s->ledger, event, err);
}

/* Where the step's weights come from: `from` of `ticlip train`, the last step's, or NULL. */
static tic_status start_of(const tic_session *s, const tic_item *item, char buffer[TIC_PATH],
                           const char **from, tic_error *err) {
    char folder[TIC_PATH];
    *from = item->from;
    if (item->from != NULL || random_start(item))
        return TIC_OK;
    tic_item before = *item;
    before.step--;
    TIC_TRY(item_folder(s, &before, folder, err));
    TIC_TRY(tic_job_handover(folder, buffer, err));
    *from = buffer;
    return TIC_OK;
}

/* Iterations of the method before this step, for TensorBoard's axis. */
static int64_t iterations_before(const tic_item *items, int i) {
    int64_t sum = 0;
    for (int k = 0; k < i; k++)
        if (items[k].method == items[i].method)
            sum += items[k].budget.iterations;
    return sum;
}

static tic_status train_item(tic_session *s, const tic_item *items, int i, tic_error *err) {
    const tic_item *item = &items[i];
    char from[TIC_PATH];
    uint32_t *pool;
    tic_spent spent;
    tic_job job = {.method = item->method->name,
                   .step = step_name(s, item),
                   .step_index = item->step,
                   .iterations = item->budget.iterations,
                   .first_iteration = iterations_before(items, i)};
    TIC_TRY(start_of(s, item, from, &job.from, err));
    /* Paper: warm-up belongs to weights that were never trained. */
    job.warmup = job.from == NULL ? s->x->warmup : 0;
    TIC_TRY(item_folder(s, item, job.folder, err));
    TIC_TRY(board_path(s, item, job.board, err));
    TIC_TRY(make_pool(s, item, &pool, &job.pool_size, err));
    job.pool = pool;
    tic_status status = log_start(s, item, &job, err);
    if (status == TIC_OK)
        status = tic_train_job(s, &job, &spent, err);
    if (status == TIC_OK)
        status = log_end(s, item, job.folder, NULL, &spent, err);
    if (status == TIC_OK)
        tic_job_done(&job);
    tic_free(pool);
    return status;
}

/* A step that an earlier item computed: its checkpoints are read and written again (f32, so the
 * same bytes), and the method is charged as if it had trained. */
static tic_status take_over(tic_session *s, const tic_item *from, const tic_item *item,
                            tic_error *err) {
    char old[TIC_PATH], folder[TIC_PATH], trunk[TIC_PATH], old_trunk[TIC_PATH];
    tic_spent spent;
    const json_t *event = tic_item_ended(s, from);
    if (!tic_spent_read(json_object_get(event, "spent"), &spent))
        return tic_fail(err, TIC_EVERIFY, "%s: %s/%s ended without what it spent", s->ledger.path,
                        from->method->name, step_name(s, from));
    TIC_TRY(item_folder(s, from, old, err));
    TIC_TRY(item_folder(s, item, folder, err));
    TIC_TRY(tic_job_handover(old, old_trunk, err));
    if (strcmp(old, old_trunk) != 0) {
        TIC_TRY(tic_path_join(trunk, sizeof trunk, folder, "trunk", err));
        TIC_TRY(tic_model_load(s->model, old_trunk, err));
        TIC_TRY(tic_model_save(s->model, trunk, err));
    }
    TIC_TRY(tic_model_load(s->model, old, err));
    TIC_TRY(tic_model_save(s->model, folder, err));
    s->meter.budget_done += (double)item->budget.spent;
    tic_note(s->hooks, "%s %s is the same training as %s's: taken over, and charged",
             item->method->label, step_name(s, item), from->method->label);
    return log_end(s, item, folder, from->method->name, &spent, err);
}

/* ---- evaluation ---------------------------------------------------------------------------- */

static tic_status log_evaluation(tic_session *s, const tic_item *item, json_t *spent,
                                 json_t *scores, tic_error *err) {
    return tic_ledger_add(&s->ledger,
                          json_pack("{s:s, s:s, s:s, s:o, s:o}", "event", "evaluation", "method",
                                    item->method->name, "step", step_name(s, item), "spent", spent,
                                    "scores", scores),
                          err);
}

/* The scores as a TensorBoard file of the step's own, after the training's. */
static tic_status board_scores(const tic_session *s, const tic_item *item, int64_t iteration,
                               const tic_scores *scores, tic_error *err) {
    char path[TIC_PATH], name[TIC_PATH], tag[160];
    tic_board board = {.size = 0};
    TIC_TRY(board_path(s, item, name, err));
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
        status = board_scores(
            s, &items[i], iterations_before(items, i) + items[i].budget.iterations, &scores, err);
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
                       .step = step_name(s, item),
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
        TIC_TRY(take_over(s, same, item, err));
    else if (!trained)
        TIC_TRY(train_item(s, items, i, err));
    if (same != NULL)
        return copy_evaluation(s, same, item, err);
    if (trained) { /* the process ended between training and evaluation */
        tic_job job;
        TIC_TRY(item_folder(s, item, folder, err));
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
                            items[i].method->name, step_name(s, &items[i]));
        TIC_TRY(run_item(s, items, i, err));
        TIC_TRY(finish_item(s, &items[i], err));
    }
    /* A process that was killed may have left the ledger ahead of the results. */
    TIC_TRY(tic_session_path(s, results, "results.json", err));
    return any ? TIC_OK : tic_results_write(&s->ledger, results, err);
}
