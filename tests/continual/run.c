/* Whole runs of a tiny model: what they leave, first steps that are shared, stopping and going on,
 * threads, micro-batches, and what refuses to go on. */
#include "tests/continual/tiny.h"
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[TIC_PATH];
static tic_error err;
static tic_experiment x, y;

static void open_folder(void) {
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
    tiny_experiment(&y, folder, "y");
}
static void close_folder(void) {
    remove_test_folder(folder);
}
TestSuite(run, .init = open_folder, .fini = close_folder, .timeout = 120);

static const char WEIGHTS[] = "open_clip_model.safetensors";

/* METHOD/STEP/open_clip_model.safetensors */
static const char *weights_of(const char *method, const char *step) {
    static char name[2][128];
    static int turn;
    turn ^= 1;
    snprintf(name[turn], sizeof name[turn], "%s/%s/%s", method, step, WEIGHTS);
    return name[turn];
}

static json_t *results_of(const tic_experiment *e) {
    size_t size;
    char *text = read_run(e, "results.json", &size);
    json_t *results = json_loads(text, 0, NULL);
    tic_free(text);
    cr_assert(results != NULL);
    return results;
}

static double value_of(const json_t *task, int i, int j) {
    return json_number_value(
        json_array_get(json_array_get(json_object_get(task, "E"), (size_t)i), (size_t)j));
}

static void check_task(const json_t *task, int steps) {
    double e[TINY_STEPS * TINY_STEPS];
    int64_t pairs[TINY_STEPS];
    for (int i = 0; i < steps; i++) {
        pairs[i] =
            json_integer_value(json_array_get(json_object_get(task, "pairs_per_step"), (size_t)i));
        cr_assert(pairs[i] >= 2);
        for (int j = 0; j < steps; j++) {
            e[i * steps + j] = value_of(task, i, j);
            cr_assert(e[i * steps + j] >= 0 && e[i * steps + j] <= 1);
        }
    }
    tic_summary s = tic_summarise(e, steps, pairs);
    cr_assert(json_number_value(json_object_get(task, "in_domain")) == s.in_domain);
    cr_assert(json_number_value(json_object_get(task, "backward")) == s.backward);
    cr_assert(json_number_value(json_object_get(task, "forward")) == s.forward);
    cr_assert(json_number_value(json_object_get(task, "stderr")) > 0);
}

Test(run, leaves_results_ledger_and_checkpoints) {
    run_to_its_end(&x, NULL);
    json_t *results = results_of(&x), *methods = json_object_get(results, "methods"), *method;
    const char *name;
    cr_assert_eq(json_integer_value(json_object_get(results, "schema")), 1);
    cr_assert_eq(json_array_size(json_object_get(results, "steps")), TINY_STEPS);
    cr_assert(json_is_object(json_object_get(results, "machine")));
    cr_assert_str_eq(
        json_string_value(json_object_get(json_object_get(results, "experiment"), "precision")),
        "f32");
    cr_assert_eq(json_object_size(methods), 3);
    json_object_foreach(methods, name, method) {
        const json_t *macs = json_object_get(method, "macs");
        json_int_t nominal = json_integer_value(json_object_get(macs, "nominal"));
        json_int_t shares = strcmp(name, "oracle") == 0 ? 6 : 3;
        cr_assert_eq(json_integer_value(json_object_get(method, "pairs_seen")),
                     shares * TINY_ITERATIONS * TINY_BATCH);
        cr_assert_eq(json_integer_value(json_object_get(method, "iterations")),
                     shares * TINY_ITERATIONS);
        cr_assert(nominal > 0 && nominal <= json_integer_value(json_object_get(macs, "budget")));
        cr_assert(json_integer_value(json_object_get(macs, "issued")) >=
                  json_integer_value(json_object_get(macs, "logical")));
        cr_assert(json_integer_value(json_object_get(macs, "logical")) > 0);
        cr_assert(json_object_get(json_object_get(macs, "by_purpose"), "evaluation") != NULL);
        check_task(json_object_get(json_object_get(method, "tasks"), "retrieval"), TINY_STEPS);
    }
    cr_assert_eq(events_in(&x, "step_end"), 9);
    cr_assert_eq(events_in(&x, "evaluation"), 9);
    char path[TIC_PATH + 128];
    snprintf(path, sizeof path, "%s/oracle/2022/state.safetensors", x.out);
    cr_assert(!tic_file_exists(path), "moments of a step that is done");
    json_decref(results);

    /* Done is done. */
    run_to_its_end(&x, NULL);
    cr_assert_eq(events_in(&x, "step_end"), 9);
}

Test(run, a_shared_first_step_equals_separate_training) {
    set(&x, "methods", "sequential,cumulative-all");
    set(&y, "methods", "cumulative-all");
    run_to_its_end(&x, NULL);
    run_to_its_end(&y, NULL);
    cr_assert(same_file(&x, &x, weights_of("cumulative-all", "2020")));
    cr_assert(same_file(&x, &y, weights_of("cumulative-all", "2020")));
    cr_assert(same_file(&x, &y, weights_of("cumulative-all", "2022")));
    json_t *rx = results_of(&x), *ry = results_of(&y);
    const json_t *mx = json_object_get(json_object_get(rx, "methods"), "cumulative-all");
    const json_t *my = json_object_get(json_object_get(ry, "methods"), "cumulative-all");
    cr_assert(json_equal(json_object_get(mx, "macs"), json_object_get(my, "macs")),
              "what is shared is charged all the same");
    cr_assert(json_equal(json_object_get(mx, "tasks"), json_object_get(my, "tasks")));
    json_decref(rx);
    json_decref(ry);
}

/* Indexing asks whether to stop too; the tests that stop mean training and evaluation. */
static void index_first(const tic_experiment *e) {
    tic_forecast f;
    cr_assert_eq(tic_run_forecast(e, NULL, &f, &err), TIC_OK, "%s", err.text);
}

/* Stops at every `*user`-th question. */
static bool stop_now(void *user) {
    static int asked;
    return ++asked % *(int *)user == 0;
}

Test(run, stopped_and_continued_is_the_same_run) {
    int every = 5; /* one more than a step's evaluation asks, which begins again when stopped */
    tic_hooks hooks = {.stop = stop_now, .user = &every};
    int stops = 0;
    index_first(&x);
    for (tic_status status; (status = tic_run(&x, &hooks, &err)) != TIC_OK; stops++) {
        cr_assert_eq(status, TIC_EINTERRUPTED, "%s", err.text);
        cr_assert(stops < 200);
    }
    cr_assert(stops > 5, "only %d stops", stops);
    cr_assert(events_in(&x, "continued") > 3);
    run_to_its_end(&y, NULL);
    const char *const methods[] = {"sequential", "cumulative-all", "oracle"};
    for (int m = 0; m < 3; m++)
        cr_assert(same_file(&x, &y, weights_of(methods[m], "2022")), "%s", methods[m]);
    json_t *rx = results_of(&x), *ry = results_of(&y);
    for (int m = 0; m < 3; m++) {
        json_t *mx = json_object_get(json_object_get(rx, "methods"), methods[m]);
        json_t *my = json_object_get(json_object_get(ry, "methods"), methods[m]);
        json_object_del(mx, "seconds");
        json_object_del(my, "seconds");
        cr_assert(json_equal(mx, my), "results of %s differ", methods[m]);
    }
    json_decref(rx);
    json_decref(ry);
}

typedef struct halt { /* asks to stop after this iteration of this step */
    const char *step;
    int64_t iteration;
    bool now;
} halt;

static void look(void *user, const tic_event *event) {
    halt *h = user;
    h->now |= event->kind == TIC_EVENT_ITERATION && strcmp(event->step, h->step) == 0 &&
              event->iteration == h->iteration;
}

static bool stop_there(void *user) {
    return ((halt *)user)->now;
}

/* Stopped inside a step, moved, and gone on with under another spelling. */
Test(run, a_moved_run_goes_on) {
    halt there = {.step = "2021", .iteration = 2};
    const tic_hooks hooks = {.event = look, .stop = stop_there, .user = &there};
    char moved[TIC_PATH];
    set(&x, "methods", "sequential");
    set(&y, "methods", "sequential");
    index_first(&x);
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    cr_assert(there.now);
    snprintf(moved, sizeof moved, "%.900s/moved", folder);
    cr_assert(rename(x.out, moved) == 0);
    snprintf(x.out, sizeof x.out, "%.900s/./moved/", folder);
    const tic_verify_options options = {.run = x.out};
    cr_assert_eq(tic_verify(x.out, &options, &err), TIC_OK, "%s", err.text);
    run_to_its_end(&x, NULL);
    run_to_its_end(&y, NULL);
    cr_assert_eq(events_in(&x, "continued"), 1, "it began the step anew");
    cr_assert(same_file(&x, &y, weights_of("sequential", "2022")));
}

static bool always(void *user) {
    (void)user;
    return true;
}

Test(run, indexing_and_evaluation_stop_when_asked) {
    tic_hooks hooks = {.stop = always};
    char checkpoint[TIC_PATH + 64], *text;
    set(&x, "methods", "sequential");
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    cr_assert(strstr(err.text, "reading shards") != NULL, "%s", err.text);
    run_to_its_end(&x, NULL);
    snprintf(checkpoint, sizeof checkpoint, "%s/sequential/2021", x.out);
    cr_assert_eq(tic_evaluate_checkpoint(&x, checkpoint, &hooks, &text, &err), TIC_EINTERRUPTED);
    cr_assert(strstr(err.text, "evaluating") != NULL, "%s", err.text);
}

Test(run, threads_do_not_change_a_bit) {
    set(&x, "methods", "sequential");
    set(&y, "methods", "sequential");
    set(&x, "threads", "1");
    set(&y, "threads", "3");
    run_to_its_end(&x, NULL);
    run_to_its_end(&y, NULL);
    cr_assert(same_file(&x, &y, weights_of("sequential", "2022")));
    cr_assert(same_file(&x, &y, "vocab.txt.gz"));
}

Test(run, const_cosine_goes_on_from_the_trunk) {
    x.pairs = TINY_STEPS * 10 * TINY_BATCH; /* 10 iterations a step, the last 2 are the branch */
    set(&x, "methods", "sequential");
    set(&x, "schedule", "const-cosine");
    run_to_its_end(&x, NULL);
    size_t trunk_size, size;
    char *trunk = read_run(&x, "sequential/2020/trunk/open_clip_model.safetensors", &trunk_size);
    char *end = read_run(&x, weights_of("sequential", "2020"), &size);
    cr_assert(trunk_size == size && memcmp(trunk, end, size) != 0);
    tic_free(trunk);
    tic_free(end);
    tic_ledger ledger;
    char path[TIC_PATH + 128];
    snprintf(path, sizeof path, "%s/ledger.jsonl", x.out);
    cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_OK);
    const json_t *start = tic_ledger_find(&ledger, "step_start", "sequential", "2021");
    const char *from = json_string_value(json_object_get(start, "from"));
    cr_assert(strstr(from, "sequential/2020/trunk") != NULL, "%s", from);
    tic_ledger_close(&ledger);
}

/* ---- micro-batches ------------------------------------------------------------------------- */

static double losses[2][TINY_STEPS * TINY_ITERATIONS];
static int64_t counts[2];

static void take_loss(void *user, const tic_event *event) {
    int which = *(int *)user;
    if (event->kind == TIC_EVENT_ITERATION)
        losses[which][counts[which]++] = event->loss;
}

static bool never(void *user) {
    (void)user;
    return false;
}

Test(run, micro_batches_give_the_same_losses) {
    tic_config config;
    cr_assert_eq(tic_config_find(&config, x.model, &err), TIC_OK, "%s", err.text);
    tic_model_options options = {.batch = TINY_BATCH, .micro_batch = 5, .train = true};
    set(&x, "methods", "sequential");
    set(&y, "methods", "sequential");
    y.memory = (int64_t)tic_model_memory(&config, &options);
    int which[2] = {0, 1};
    tic_hooks first = {.event = take_loss, .stop = never, .user = &which[0]};
    tic_hooks second = {.event = take_loss, .stop = never, .user = &which[1]};
    run_to_its_end(&x, &first);
    run_to_its_end(&y, &second);
    cr_assert_eq(counts[0], TINY_STEPS * TINY_ITERATIONS);
    cr_assert_eq(counts[1], counts[0]);
    for (int i = 0; i < counts[0]; i++)
        /* Gradients within f32 rounding; AdamW may turn that into lr-sized steps where a gradient
         * is itself rounding, which moves a loss of about ln 16 in the fourth digit at most. */
        cr_assert(fabs(losses[0][i] - losses[1][i]) <= 1e-3, "iteration %d: %g and %g", i,
                  losses[0][i], losses[1][i]);
    json_t *results = results_of(&y);
    const json_t *method = json_object_get(json_object_get(results, "methods"), "sequential");
    cr_assert(json_object_get(json_object_get(json_object_get(method, "macs"), "by_purpose"),
                              "recompute") != NULL,
              "it did not run in micro-batches");
    json_decref(results);
    y.memory = 1000;
    set(&y, "out", folder);
    cr_assert_eq(tic_run(&y, NULL, &err), TIC_ERESOURCE, "1000 bytes were enough");
}

/* ---- what refuses -------------------------------------------------------------------------- */

static int stop_soon_count;
static bool stop_soon(void *user) {
    (void)user;
    return ++stop_soon_count >= 2;
}

Test(run, refuses_other_settings_and_changed_data) {
    tic_hooks hooks = {.stop = stop_soon};
    char all[TIC_PATH], fewer[TIC_PATH];
    link_world(all, folder, "all", 2);
    set(&x, "data", all);
    index_first(&x);
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    y = x;
    set(&y, "lr", "0.002");
    cr_assert_eq(tic_run(&y, NULL, &err), TIC_EINPUT);
    cr_assert(strstr(err.text, "another lr") != NULL, "%s", err.text);
    link_world(fewer, folder, "fewer", 1);
    y = x;
    set(&y, "data", fewer);
    cr_assert_eq(tic_run(&y, NULL, &err), TIC_EINPUT);
    cr_assert(strstr(err.text, "changed") != NULL, "%s", err.text);
    run_to_its_end(&x, NULL);
}

/* Takes `bytes` off the end of RUN/name and puts `tail` there. */
static void change_end(const tic_experiment *e, const char *name, size_t bytes, const char *tail) {
    char path[TIC_PATH + 64], *text, *changed;
    size_t size, more = strlen(tail);
    snprintf(path, sizeof path, "%s/%s", e->out, name);
    text = read_run(e, name, &size);
    cr_assert_eq(tic_alloc(&changed, size - bytes + more, 1, &err), TIC_OK);
    memcpy(changed, text, size - bytes);
    memcpy(changed + size - bytes, tail, more);
    cr_assert_eq(tic_file_write(path, changed, size - bytes + more, &err), TIC_OK, "%s", err.text);
    tic_free(text);
    tic_free(changed);
}

/* The chain alone cannot show it; results.json does. */
Test(run, a_ledger_whose_last_line_was_changed_or_cut_off) {
    size_t size;
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    char *ledger = read_run(&x, "ledger.jsonl", &size);
    size_t last = size - 1; /* of the last line, its newline included */
    while (ledger[last - 1] != '\n')
        last--;
    change_end(&x, "ledger.jsonl", size - last, "");
    cr_assert_eq(tic_run(&x, NULL, &err), TIC_EVERIFY, "a line was cut off");
    cr_assert(strstr(err.text, "ledger.jsonl") != NULL, "%s", err.text);
    /* The same line with a key more. */
    ledger[size - 2] = '\0';
    change_end(&x, "ledger.jsonl", 0, ledger + last);
    change_end(&x, "ledger.jsonl", 0, ",\"more\":1}\n");
    cr_assert_eq(tic_run(&x, NULL, &err), TIC_EVERIFY, "a line was changed");
    change_end(&x, "ledger.jsonl", strlen(",\"more\":1}\n"), "}\n");
    run_to_its_end(&x, NULL);
    tic_free(ledger);
}

Test(run, a_folder_is_for_a_run_or_for_one_step) {
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    cr_assert_eq(tic_train_one(&x, "oracle", "2021", NULL, NULL, &err), TIC_EINPUT,
                 "a step got the budget of all");
    cr_assert(strstr(err.text, "--out") != NULL, "%s", err.text);
    cr_assert_eq(tic_train_one(&y, "oracle", "2021", NULL, NULL, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(tic_run(&y, NULL, &err), TIC_EINPUT);
}

Test(run, two_runs_on_one_folder) {
    int ready[2], done[2];
    char byte;
    cr_assert(pipe(ready) == 0 && pipe(done) == 0);
    cr_assert_eq(tic_make_folder(x.out, &err), TIC_OK);
    pid_t child = fork();
    if (child == 0) {
        char path[TIC_PATH + 64];
        int handle;
        snprintf(path, sizeof path, "%s/lock", x.out);
        byte = tic_lock(path, &handle, &err) == TIC_OK ? 'y' : 'n';
        _exit(write(ready[1], &byte, 1) == 1 && read(done[0], &byte, 1) == 1 ? 0 : 1);
    }
    cr_assert(read(ready[0], &byte, 1) == 1 && byte == 'y');
    cr_assert_eq(tic_run(&x, NULL, &err), TIC_ERESOURCE, "the folder was not locked");
    cr_assert(write(done[1], "x", 1) == 1);
    cr_assert(waitpid(child, NULL, 0) == child);
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

Test(run, what_is_not_finite_is_never_saved) {
    char path[TIC_PATH + 64];
    x.pairs = TINY_STEPS * 30 * TINY_BATCH;
    set(&x, "lr", "1000"); /* times the decay: weights grow ten-thousandfold an iteration */
    set(&x, "weight-decay", "10");
    set(&x, "save-every", "0");
    cr_assert_eq(tic_run(&x, NULL, &err), TIC_EVERIFY, "%s", err.text);
    cr_assert(strstr(err.text, "sequential/2020") != NULL, "%s", err.text);
    cr_assert(strstr(err.text, "iteration") != NULL, "%s", err.text);
    cr_assert_eq(events_in(&x, "step_end"), 0);
    snprintf(path, sizeof path, "%s/%s", x.out, weights_of("sequential", "2020"));
    cr_assert(!tic_file_exists(path));
    snprintf(path, sizeof path, "%s/sequential/2020/state.safetensors", x.out);
    tic_safetensors *state;
    cr_assert_eq(tic_safetensors_open(&state, path, &err), TIC_OK, "%s", err.text);
    for (int i = 0; i < tic_safetensors_count(state); i++) {
        const tic_array *array = tic_safetensors_get(state, i);
        for (size_t k = 0; strcmp(array->dtype, "F32") == 0 && k < array->bytes / 4; k++) {
            float value;
            memcpy(&value, (const char *)array->data + 4 * k, 4);
            cr_assert(isfinite(value), "%s[%zu]", array->name, k);
        }
    }
    tic_safetensors_close(state);
}

Test(run, a_full_disk_loses_nothing) {
    tic_hooks hooks = {.stop = stop_soon};
    set(&x, "methods", "sequential");
    set(&y, "methods", "sequential");
    set(&x, "save-every", "0");
    index_first(&x);
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    pid_t child = fork();
    if (child == 0) { /* files of more than 64 KiB cannot be written: a state has 600 */
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){65536, 65536});
        _exit((int)tic_run(&x, NULL, &err));
    }
    int status;
    cr_assert(waitpid(child, &status, 0) == child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == TIC_ERESOURCE, "status %d", status);
    run_to_its_end(&x, NULL);
    run_to_its_end(&y, NULL);
    cr_assert(same_file(&x, &y, weights_of("sequential", "2022")));
}

Test(run, a_state_that_was_damaged_is_told_and_may_be_removed) {
    char path[TIC_PATH + 64];
    size_t size;
    tic_hooks hooks = {.stop = stop_soon};
    set(&x, "methods", "sequential");
    set(&y, "methods", "sequential");
    index_first(&x);
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    tic_free(read_run(&x, "sequential/2020/state.safetensors", &size));
    snprintf(path, sizeof path, "%s/sequential/2020/state.safetensors", x.out);
    cr_assert(truncate(path, (off_t)size - 100) == 0);
    cr_assert_eq(tic_run(&x, NULL, &err), TIC_EINPUT);
    cr_assert(strstr(err.text, "state.safetensors") != NULL, "%s", err.text);
    cr_assert(remove(path) == 0);
    run_to_its_end(&x, NULL);
    run_to_its_end(&y, NULL);
    cr_assert(same_file(&x, &y, weights_of("sequential", "2022")));
}

/* ---- eval, train, forecast ----------------------------------------------------------------- */

Test(run, evaluating_a_checkpoint_gives_the_runs_numbers) {
    char checkpoint[TIC_PATH + 64], *text;
    tiny_world(x.data, "full"); /* with its static sets */
    set(&x, "methods", "cumulative-all");
    run_to_its_end(&x, NULL);
    json_t *results = results_of(&x), *own, *value;
    const json_t *method = json_object_get(json_object_get(results, "methods"), "cumulative-all");
    snprintf(checkpoint, sizeof checkpoint, "%s/cumulative-all/2021", x.out);
    cr_assert_eq(tic_evaluate_checkpoint(&x, checkpoint, NULL, &text, &err), TIC_OK, "%s",
                 err.text);
    json_t *json = json_loads(text, 0, NULL);
    const char *task;
    int compared = 0, fixed = 0;
    json_object_foreach(json_object_get(json, "tasks"), task, own) {
        const json_t *of_run = json_object_get(json_object_get(method, "tasks"), task);
        const json_t *row = json_array_get(json_object_get(of_run, "E"), 1);
        size_t j;
        json_array_foreach(json_object_get(own, "per_step"), j, value) {
            cr_assert(json_equal(value, json_array_get(row, j)), "%s, step %zu", task, j);
            compared++;
        }
        fixed += json_object_get(own, "value") != NULL;
        if (json_object_get(own, "value") != NULL)
            cr_assert(json_equal(json_object_get(own, "value"),
                                 json_array_get(json_object_get(of_run, "per_step"), 1)),
                      "%s", task);
    }
    cr_assert(compared >= 3 * TINY_STEPS && fixed >= 2, "%d, %d", compared, fixed);
    tic_free(text);
    json_decref(json);
    json_decref(results);
}

Test(run, training_one_step_from_a_checkpoint_is_the_runs_step) {
    char from[TIC_PATH + 64];
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    snprintf(from, sizeof from, "%s/sequential/2020", x.out);
    y.pairs = TINY_ITERATIONS * TINY_BATCH; /* the budget of one step */
    cr_assert_eq(tic_train_one(&y, "sequential", "2021", from, NULL, &err), TIC_OK, "%s", err.text);
    cr_assert(same_file(&x, &y, weights_of("sequential", "2021")));
    cr_assert_eq(tic_train_one(&y, "sequential", "2030", from, NULL, &err), TIC_EUSAGE);
    snprintf(y.out, sizeof y.out, "%.900s/z", folder);
    cr_assert_eq(tic_train_one(&y, "sequential", "2021", NULL, NULL, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "--from") != NULL, "%s", err.text);
    /* What was refused has not begun a run: the same folder takes the right command. */
    cr_assert_eq(tic_train_one(&y, "sequential", "2021", from, NULL, &err), TIC_OK, "%s", err.text);
}

/* Events of this one step that the ledger has, as a new reference. */
static json_t *event_of(const tic_experiment *e, const char *event, const char *method,
                        const char *step) {
    tic_ledger ledger;
    char path[TIC_PATH + 32];
    snprintf(path, sizeof path, "%s/ledger.jsonl", e->out);
    cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_OK, "%s", err.text);
    json_t *found = json_deep_copy(tic_ledger_find(&ledger, event, method, step));
    tic_ledger_close(&ledger);
    cr_assert(found != NULL, "no %s", event);
    return found;
}

/* A first step that goes on from a given model: LwF is held to it, and charged. */
Test(run, lwf_in_a_first_step_from_a_given_model) {
    char from[TIC_PATH + 64];
    tic_config config;
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    snprintf(from, sizeof from, "%s/sequential/2021", x.out);
    cr_assert_eq(tic_config_find(&config, x.model, &err), TIC_OK);
    const json_int_t teacher = TINY_ITERATIONS * TINY_BATCH *
                               (json_int_t)(tic_nominal_image(&config) + tic_nominal_text(&config));
    y.pairs = TINY_ITERATIONS * TINY_BATCH;
    tic_experiment z = y;
    snprintf(z.out, sizeof z.out, "%.900s/z", folder);
    cr_assert_eq(tic_train_one(&y, "lwf", "2020", from, NULL, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(tic_train_one(&z, "sequential", "2020", from, NULL, &err), TIC_OK, "%s", err.text);
    size_t a, b;
    char *lwf = read_run(&y, weights_of("lwf", "2020"), &a);
    char *plain = read_run(&z, weights_of("sequential", "2020"), &b);
    cr_assert(a == b && memcmp(lwf, plain, a) != 0, "trained as Sequential does");
    tic_free(lwf);
    tic_free(plain);
    json_t *start = event_of(&y, "step_start", "lwf", "2020");
    json_t *end = event_of(&y, "step_end", "lwf", "2020");
    const json_t *spent = json_object_get(end, "spent");
    cr_assert_eq(json_integer_value(json_object_get(start, "extra")), teacher);
    cr_assert_eq(json_integer_value(json_object_get(spent, "extra")), teacher);
    cr_assert(json_object_get(json_object_get(spent, "macs"), "teacher") != NULL);
    json_decref(start);
    json_decref(end);
    tic_verify_options options = {.run = y.out};
    cr_assert_eq(tic_verify(y.out, &options, &err), TIC_OK, "%s", err.text);
}

Test(run, what_needs_earlier_pairs_is_refused_in_a_first_step) {
    static const char *const methods[] = {"ewc-10",         "patching",       "cumulative-all",
                                          "cumulative-exp", "cumulative-low", "oracle"};
    char from[TIC_PATH + 64];
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    snprintf(from, sizeof from, "%s/sequential/2020", x.out);
    y.pairs = TINY_ITERATIONS * TINY_BATCH;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        cr_assert_eq(tic_train_one(&y, methods[i], "2020", from, NULL, &err), TIC_EUSAGE, "%s",
                     methods[i]);
        cr_assert(strstr(err.text, "earlier step's data") != NULL, "%s", err.text);
    }
    cr_assert_eq(tic_train_one(&y, "patching", "2021", from, NULL, &err), TIC_OK, "%s", err.text);
}

Test(run, forecast_counts_what_the_run_does) {
    tic_forecast f;
    cr_assert_eq(tic_run_forecast(&x, NULL, &f, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(f.steps, TINY_STEPS);
    cr_assert_eq(f.methods, 3);
    cr_assert_eq(f.iterations_total, (3 + 3 + 6) * TINY_ITERATIONS);
    cr_assert_eq(f.iterations_least, TINY_ITERATIONS);
    cr_assert_eq(f.iterations_most, 3 * TINY_ITERATIONS);
    cr_assert(f.evaluation_seconds > 0 && f.evaluation_seconds < f.seconds);
    cr_assert(f.seconds > 0 && f.gmacs > 0 && f.mean_tokens > 2 && f.memory > 0);
    run_to_its_end(&x, NULL);
    json_t *results = results_of(&x), *method;
    const char *name;
    double logical = 0, nominal = 0;
    json_object_foreach(json_object_get(results, "methods"), name, method) {
        const json_t *macs = json_object_get(method, "macs");
        logical += json_number_value(json_object_get(macs, "logical"));
        nominal += json_number_value(json_object_get(macs, "nominal"));
    }
    cr_assert(nominal == f.nominal_total, "%g and %g", nominal, f.nominal_total);
    /* At the mean length instead of every caption's own, and a sample of the captions. */
    cr_assert(fabs(logical / f.logical_total - 1) <= 0.1, "%g and %g", logical, f.logical_total);
    json_decref(results);
}
