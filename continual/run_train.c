/* The training of one step of a run, or its taking over from an earlier item that is the same
 * computation. */
#include "run.h"
#include <stdio.h>
#include <string.h>

static tic_status log_start(tic_session *s, const tic_item *item, const tic_job *job,
                            tic_error *err) {
    char hex[65];
    if (tic_ledger_find(&s->ledger, "step_start", job->method, job->step) != NULL)
        return TIC_OK; /* an earlier process did */
    tic_pool_hash(s, job->pool, job->pool_size, hex);
    return tic_ledger_add(&s->ledger,
                          json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "event",
                                    "step_start", "method", job->method, "step", job->step, "from",
                                    job->from ? job->from : "random", "budget",
                                    (json_int_t)item->budget.macs, "extra",
                                    (json_int_t)item->budget.extra, "iterations",
                                    (json_int_t)job->iterations, "warmup", (json_int_t)job->warmup,
                                    "pool_pairs", (json_int_t)job->pool_size, "pool", hex),
                          err);
}

/* The other files that a step leaves, with their hashes. */
static tic_status hash_files(const char *folder, json_t **out, tic_error *err) {
    static const char *const names[] = {"open_clip_config.json",
                                        "trunk/open_clip_model.safetensors",
                                        "trunk/open_clip_config.json",
                                        ("trunk/" TIC_OPTIMIZER_FILE),
                                        TIC_OPTIMIZER_FILE,
                                        TIC_ALIGNMENT_FILE};
    *out = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[TIC_PATH], hex[65];
        tic_status status = tic_path_join(path, sizeof path, folder, names[i], err);
        if (status == TIC_OK && !tic_file_exists(path))
            continue;
        if (status == TIC_OK)
            status = tic_file_sha256(path, hex, err);
        if (status == TIC_OK && json_object_set_new(*out, names[i], json_string(hex)) != 0)
            status = tic_fail(err, TIC_ERESOURCE, "no memory for the hashes of a checkpoint");
        if (status != TIC_OK) {
            json_decref(*out);
            return status;
        }
    }
    return TIC_OK;
}

static tic_status log_end(tic_session *s, const tic_item *item, const char *folder,
                          const char *same_as, const tic_spent *spent, tic_error *err) {
    char weights[TIC_PATH], hex[65];
    TIC_TRY(tic_path_join(weights, sizeof weights, folder, "open_clip_model.safetensors", err));
    json_t *files;
    TIC_TRY(tic_file_sha256(weights, hex, err));
    TIC_TRY(hash_files(folder, &files, err));
    json_t *event = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:o}", "event", "step_end", "method",
                              item->method->name, "step", tic_item_step(s, item), "budget",
                              (json_int_t)item->budget.macs, "weights", hex, "files", files,
                              "spent", tic_spent_json(spent));
    if (same_as != NULL)
        json_object_set_new(event, "same_as", json_string(same_as));
    return tic_ledger_add(&s->ledger, event, err);
}

/* The next step of a patched method goes on from the mixture, also where the schedule left a trunk.
 */
tic_status tic_item_start(const tic_session *s, const tic_item *item, char buffer[TIC_PATH],
                          const char **from, tic_error *err) {
    char folder[TIC_PATH];
    *from = item->from;
    if (item->from != NULL || tic_item_anew(item))
        return TIC_OK;
    tic_item before = *item;
    before.step--;
    *from = buffer;
    if (item->method->start == TIC_START_PATCHED)
        return tic_item_folder(s, &before, buffer, err);
    TIC_TRY(tic_item_folder(s, &before, folder, err));
    return tic_job_handover(folder, buffer, err);
}

/* The paper's warm-up belongs to weights that were never trained; its Table 6 tries others. */
int64_t tic_item_warmup(const tic_experiment *x, bool anew) {
    switch (x->warmup_in) {
    case TIC_WARMUP_NONE:
        return 0;
    case TIC_WARMUP_ALL:
        return x->warmup;
    case TIC_WARMUP_TENTH:
        return anew ? x->warmup : x->warmup / 10;
    case TIC_WARMUP_FIRST:
        break;
    }
    return anew ? x->warmup : 0;
}

static double peak_of(const tic_experiment *x, bool anew, int step) {
    double lr = x->lr;
    for (int i = 0; i < step && !anew; i++)
        lr *= x->lr_decay;
    return lr;
}

static tic_status fisher_pool(tic_session *s, const tic_item *items, int i, tic_job *job,
                              uint32_t **pool, tic_error *err) {
    *pool = NULL;
    if (tic_job_penalty(job) != TIC_PENALTY_EWC)
        return TIC_OK;
    job->fisher_pairs = tic_fisher_pairs(s->x, &s->steps, items[i].step);
    TIC_TRY(tic_item_fisher_pool(s, items, i, pool, &job->fisher_pool_size, err));
    job->fisher_pool = *pool;
    return TIC_OK;
}

/* Patching: what was trained becomes the mixture, in the model and in the step's folder. */
static tic_status patch_item(tic_session *s, const tic_item *item, const tic_job *job,
                             tic_spent *spent, tic_error *err) {
    double coefficient;
    if (item->method->start != TIC_START_PATCHED || job->from == NULL)
        return TIC_OK;
    TIC_TRY(tic_patch(s, job->from, item->step, &coefficient, spent, err));
    TIC_TRY(tic_model_save(s->model, job->folder, err));
    tic_note(s->hooks, "%s %s: %.1f of the trained weights, %.1f of those before",
             item->method->label, job->step, coefficient, 1 - coefficient);
    return tic_ledger_add(&s->ledger,
                          json_pack("{s:s, s:s, s:s, s:f}", "event", "patched", "method",
                                    job->method, "step", job->step, "coefficient", coefficient),
                          err);
}

static tic_status train_and_log(tic_session *s, const tic_item *item, const tic_job *job,
                                tic_error *err) {
    tic_spent spent;
    TIC_TRY(log_start(s, item, job, err));
    TIC_TRY(tic_train_job(s, job, &spent, err));
    TIC_TRY(patch_item(s, item, job, &spent, err));
    TIC_TRY(log_end(s, item, job->folder, NULL, &spent, err));
    tic_job_done(job);
    return TIC_OK;
}

tic_status tic_item_train(tic_session *s, const tic_item *items, int i, tic_error *err) {
    const tic_item *item = &items[i];
    char from[TIC_PATH];
    uint32_t *pool = NULL, *before = NULL;
    tic_job job = {.method = item->method->name,
                   .step = tic_item_step(s, item),
                   .rule = item->method,
                   .step_index = item->step,
                   .iterations = item->budget.iterations,
                   .first_iteration = tic_iterations_before(items, i)};
    TIC_TRY(tic_item_start(s, item, from, &job.from, err));
    job.warmup = tic_item_warmup(s->x, job.from == NULL);
    job.lr = peak_of(s->x, job.from == NULL, item->step);
    TIC_TRY(tic_item_folder(s, item, job.folder, err));
    TIC_TRY(tic_item_board(s, item, job.board, err));
    TIC_TRY(tic_item_pool(s, items, i, job.from, &job.before, &pool, &job.pool_size, err));
    job.pool = pool;
    tic_status status = fisher_pool(s, items, i, &job, &before, err);
    if (status == TIC_OK)
        status = train_and_log(s, item, &job, err);
    tic_free(pool);
    tic_free(before);
    return status;
}

/* Weights, and moments where they are kept. */
static tic_status copy_checkpoint(tic_session *s, const char *from, const char *to,
                                  tic_error *err) {
    char old[TIC_PATH], fresh[TIC_PATH];
    tic_safetensors *file;
    TIC_TRY(tic_make_folder(to, err));
    TIC_TRY(tic_path_join(old, sizeof old, from, TIC_OPTIMIZER_FILE, err));
    TIC_TRY(tic_path_join(fresh, sizeof fresh, to, TIC_OPTIMIZER_FILE, err));
    if (s->x->keep_optimizer && tic_file_exists(old)) {
        TIC_TRY(tic_model_load_state(s->model, old, &file, err));
        const char *metadata[] = {"updates", tic_safetensors_metadata(file, "updates"), NULL};
        tic_status status = tic_model_save_state(s->model, fresh, metadata, err);
        tic_safetensors_close(file);
        TIC_TRY(status);
    }
    TIC_TRY(tic_model_load(s->model, from, err));
    return tic_model_save(s->model, to, err);
}

tic_status tic_item_take_over(tic_session *s, const tic_item *from, const tic_item *item,
                              tic_error *err) {
    char old[TIC_PATH], folder[TIC_PATH], trunk[TIC_PATH], old_trunk[TIC_PATH];
    tic_spent spent;
    const json_t *event = tic_item_ended(s, from);
    if (!tic_spent_read(json_object_get(event, "spent"), &spent))
        return tic_fail(err, TIC_EVERIFY, "%s: %s/%s ended without what it spent", s->ledger.path,
                        from->method->name, tic_item_step(s, from));
    TIC_TRY(tic_item_folder(s, from, old, err));
    TIC_TRY(tic_item_folder(s, item, folder, err));
    TIC_TRY(tic_job_handover(old, old_trunk, err));
    if (strcmp(old, old_trunk) != 0) {
        TIC_TRY(tic_path_join(trunk, sizeof trunk, folder, "trunk", err));
        TIC_TRY(copy_checkpoint(s, old_trunk, trunk, err));
    }
    TIC_TRY(copy_checkpoint(s, old, folder, err));
    s->meter.budget_done += (double)item->budget.spent;
    tic_note(s->hooks, "%s %s is the same training as %s's: taken over, and charged",
             item->method->label, tic_item_step(s, item), from->method->label);
    return log_end(s, item, folder, from->method->name, &spent, err);
}
