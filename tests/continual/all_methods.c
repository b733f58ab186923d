/* Every method of the table on the tiny world: what it costs was told before, what it leaves can be
 * worked out from the others, and a process killed inside any phase goes on to the same bits. */
#include "tests/continual/tiny.h"
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[TIC_PATH];
static tic_error err;
static tic_experiment x, y;

static void open_folder(void) {
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
    tiny_experiment(&y, folder, "y");
    set(&x, "fisher-pairs", "32");
    set(&y, "fisher-pairs", "32");
}
static void close_folder(void) {
    remove_test_folder(folder);
}
TestSuite(all_methods, .init = open_folder, .fini = close_folder, .timeout = 300);

/* ---- all of them --------------------------------------------------------------------------- */

static tic_ledger ledger_of(const tic_experiment *e) {
    tic_ledger ledger;
    char path[TIC_PATH + 32];
    snprintf(path, sizeof path, "%s/ledger.jsonl", e->out);
    cr_assert(tic_ledger_open(&ledger, path, &err) == TIC_OK, "%s", err.text);
    return ledger;
}

static uint64_t number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    cr_assert(json_is_integer(value), "no %s", key);
    return (uint64_t)json_integer_value(value);
}

/* MACs of a purpose, which are there exactly when the method has that phase. */
static void purpose_is(const json_t *end, const char *purpose, bool wanted) {
    const json_t *macs = json_object_get(json_object_get(end, "spent"), "macs");
    const json_t *one = json_object_get(macs, purpose);
    cr_assert((one != NULL) == wanted, "%s %s: %s",
              json_string_value(json_object_get(end, "method")),
              json_string_value(json_object_get(end, "step")), purpose);
}

static void check_step(const tic_ledger *ledger, const tic_method *m, const char *step,
                       bool first) {
    const json_t *start = tic_ledger_find(ledger, "step_start", m->name, step);
    const json_t *end = tic_ledger_find(ledger, "step_end", m->name, step);
    cr_assert(end != NULL, "%s %s did not end", m->name, step);
    const json_t *spent = json_object_get(end, "spent");
    if (start != NULL) { /* a shared first step is not started */
        cr_assert_eq(number(start, "extra"), number(spent, "extra"), "%s %s", m->name, step);
        cr_assert_eq(number(start, "iterations"), number(spent, "iterations"));
    }
    cr_assert((number(spent, "extra") > 0) ==
              (!first && (m->penalty != TIC_PENALTY_NONE || m->start == TIC_START_PATCHED ||
                          m->pool == TIC_POOL_LOW || m->pool == TIC_POOL_HIGH)));
    purpose_is(end, "teacher", !first && m->penalty == TIC_PENALTY_LWF);
    purpose_is(end, "fisher", !first && m->penalty == TIC_PENALTY_EWC);
    purpose_is(end, "patching", !first && m->start == TIC_START_PATCHED);
    purpose_is(end, "selection", !first && (m->pool == TIC_POOL_LOW || m->pool == TIC_POOL_HIGH));
}

static float *weights_of(const tic_experiment *e, const char *method, const char *step,
                         const char *tensor, int64_t *count) {
    char path[TIC_PATH + 128];
    tic_safetensors *file;
    float *copy;
    snprintf(path, sizeof path, "%s/%s/%s/open_clip_model.safetensors", e->out, method, step);
    cr_assert(tic_safetensors_open(&file, path, &err) == TIC_OK, "%s", err.text);
    const tic_array *array = tic_safetensors_find(file, tensor);
    cr_assert(array != NULL);
    *count = (int64_t)(array->bytes / sizeof(float));
    cr_assert(tic_alloc(&copy, (size_t)*count, sizeof(float), &err) == TIC_OK);
    memcpy(copy, array->data, array->bytes);
    tic_safetensors_close(file);
    return copy;
}

/* Patching's second step trains as Sequential's does: the mixture follows from both. */
static void check_mixture(const tic_ledger *ledger) {
    static const char tensor[] = "visual.transformer.resblocks.0.mlp.c_fc.weight";
    const json_t *event = tic_ledger_find(ledger, "patched", "patching", "2021");
    int64_t n;
    cr_assert(event != NULL);
    float c = (float)json_number_value(json_object_get(event, "coefficient"));
    float *before = weights_of(&x, "patching", "2020", tensor, &n);
    float *trained = weights_of(&x, "sequential", "2021", tensor, &n);
    float *mixed = weights_of(&x, "patching", "2021", tensor, &n);
    for (int64_t i = 0; i < n; i++) /* both programs round the same way: products, then the sum */
        cr_assert(fabsf(mixed[i] - ((1 - c) * before[i] + c * trained[i])) <=
                  1e-6f * (fabsf(before[i]) + fabsf(trained[i])));
    tic_free(before);
    tic_free(trained);
    tic_free(mixed);
}

static double retrieval(const json_t *results, const char *method, int i, int j) {
    const json_t *m = json_object_get(json_object_get(results, "methods"), method);
    const json_t *e =
        json_object_get(json_object_get(json_object_get(m, "tasks"), "retrieval"), "E");
    return json_number_value(json_array_get(json_array_get(e, (size_t)i), (size_t)j));
}

/* Its search had both ends to choose from. */
static void check_choice(void) {
    size_t size;
    char *text = read_run(&x, "results.json", &size);
    json_t *results = json_loads(text, 0, NULL);
    tic_free(text);
    double patched = retrieval(results, "patching", 1, 0);
    cr_assert(patched >= retrieval(results, "patching", 0, 0), "not the model before");
    cr_assert(patched >= retrieval(results, "sequential", 1, 0), "not the model just trained");
    json_decref(results);
}

/* What each method alone is forecast to cost, in a folder where nothing ran. */
static void forecast_each(tic_forecast told[]) {
    for (int m = 0; m < tic_method_count(); m++) {
        set(&y, "methods", tic_method_get(m)->name);
        cr_assert_eq(tic_run_forecast(&y, NULL, &told[m], &err), TIC_OK, "%s", err.text);
        cr_assert(told[m].nominal_total > 0);
    }
}

static void check_method(const tic_ledger *ledger, const tic_method *m, const tic_forecast *told) {
    static const char *const steps[] = {"2020", "2021", "2022"};
    double nominal = 0, extra = 0;
    for (int i = 0; i < TINY_STEPS; i++) {
        check_step(ledger, m, steps[i], i == 0);
        const json_t *end = tic_ledger_find(ledger, "step_end", m->name, steps[i]);
        nominal += (double)number(json_object_get(end, "spent"), "nominal");
        extra += (double)number(json_object_get(end, "spent"), "extra");
    }
    cr_assert(nominal == told->nominal_total && extra == told->extra_total,
              "%s: %.0f and %.0f beside were told, %.0f and %.0f spent", m->name,
              told->nominal_total, told->extra_total, nominal, extra);
}

Test(all_methods, cost_what_was_told) {
    tic_forecast told[TIC_METHODS_MAX];
    forecast_each(told);
    set(&x, "methods", "all");
    run_to_its_end(&x, NULL);
    tic_ledger ledger = ledger_of(&x);
    for (int m = 0; m < tic_method_count(); m++)
        check_method(&ledger, tic_method_get(m), &told[m]);
    check_mixture(&ledger);
    check_choice();
    tic_ledger_close(&ledger);
}

/* 25 steps, of which most hold fewer pairs than a batch, and a quarter of the buffer. */
Test(all_methods, months) {
    enum { MONTHS = 25 };
    set(&x, "methods", "all");
    set(&x, "granularity", "month");
    set(&x, "buffer", "0.25");
    set(&x, "warmup", "1");
    x.pairs = MONTHS * 2 * TINY_BATCH; /* half the compute still has a batch */
    run_to_its_end(&x, NULL);
    cr_assert_eq(events_in(&x, "step_end"), MONTHS * tic_method_count());
    cr_assert_eq(events_in(&x, "evaluation"), MONTHS * tic_method_count());
    size_t size;
    char *text = read_run(&x, "results.json", &size);
    json_t *results = json_loads(text, 0, NULL), *method;
    const char *name;
    tic_free(text);
    json_object_foreach(json_object_get(results, "methods"), name, method) {
        const json_t *task = json_object_get(json_object_get(method, "tasks"), "retrieval");
        const json_t *e = json_object_get(task, "E");
        cr_assert_eq(json_array_size(e), MONTHS, "%s", name);
        cr_assert_eq(json_array_size(json_array_get(e, MONTHS - 1)), MONTHS, "%s", name);
    }
    json_decref(results);
    tic_ledger ledger = ledger_of(&x);
    /* December 2022 has 14 pairs: 3.5 replayed, rounded up */
    const json_t *start = tic_ledger_find(&ledger, "step_start", "cumulative-exp", "2022-12");
    cr_assert_eq(number(start, "pool_pairs"), 14 + 4);
    tic_ledger_close(&ledger);
}

Test(all_methods, a_penalty_of_no_weight_changes_nothing) {
    set(&x, "methods", "sequential,lwf");
    set(&x, "distill-weight", "0");
    run_to_its_end(&x, NULL);
    char name[2][128];
    for (int i = 0; i < 2; i++)
        snprintf(name[i], sizeof name[i], "%s/2022/open_clip_model.safetensors",
                 i ? "lwf" : "sequential");
    size_t a, b;
    char *seq = read_run(&x, name[0], &a), *lwf = read_run(&x, name[1], &b);
    cr_assert(a == b && memcmp(seq, lwf, a) == 0);
    tic_free(seq);
    tic_free(lwf);
}

typedef struct shown { /* of the budget, live */
    double share;
    int stop_after; /* iterations; 0: none */
} shown;

static void watch_share(void *user, const tic_event *event) {
    shown *live = user;
    if (event->kind != TIC_EVENT_ITERATION && event->kind != TIC_EVENT_STEP_DONE)
        return;
    cr_expect(event->share >= live->share, "it fell from %g to %g", live->share, event->share);
    live->share = event->share;
    live->stop_after -= event->kind == TIC_EVENT_ITERATION;
}

static bool stop_then(void *user) {
    return ((shown *)user)->stop_after == 0;
}

/* Interrupted in the middle of LwF's second step. What is shown at the end is what the ledger has,
 * over the budget: teacher, Fisher pass, search and scoring are in both. */
Test(all_methods, strict_accounting_stays_within_the_share) {
    shown live = {.stop_after = 90};
    const tic_hooks hooks = {.event = watch_share, .stop = stop_then, .user = &live};
    double charged = 0, budget = 0;
    set(&x, "methods", "lwf,ewc-10,patching,cumulative-low");
    set(&x, "accounting", "strict");
    set(&x, "eval-pairs", "10");
    x.pairs = TINY_STEPS * 60 * TINY_BATCH;
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    live.stop_after = -1;
    run_to_its_end(&x, &hooks);
    tic_ledger ledger = ledger_of(&x);
    size_t i;
    json_t *event;
    json_array_foreach(ledger.events, i, event) {
        if (strcmp(json_string_value(json_object_get(event, "event")), "step_end") != 0)
            continue;
        const json_t *spent = json_object_get(event, "spent");
        const uint64_t both = number(spent, "nominal") + number(spent, "extra");
        cr_assert(both <= number(event, "budget"));
        charged += (double)both;
        budget += (double)number(event, "budget");
    }
    cr_assert(fabs(live.share - charged / budget) <= 1e-12, "shown %g, charged %g", live.share,
              charged / budget);
    tic_ledger_close(&ledger);
}

/* ---- stopped inside the search of patching --------------------------------------------------- */

typedef struct search { /* asks to stop in it when it is to; counts iterations of the step */
    bool stop, now;
    int iterations;
} search;

static void watch_search(void *user, const tic_event *event) {
    search *w = user;
    if (event->kind == TIC_EVENT_PREPARE && event->done == 5 &&
        strcmp(event->text, "searching the coefficient of patching") == 0)
        w->now = w->stop;
    w->iterations += event->kind == TIC_EVENT_ITERATION && strcmp(event->step, "2021") == 0;
}

static bool stop_search(void *user) {
    return ((search *)user)->now;
}

Test(all_methods, stopped_while_patching_nothing_is_trained_again) {
    search first = {.stop = true}, then = {.stop = false};
    tic_hooks hooks = {.event = watch_search, .stop = stop_search, .user = &first};
    set(&x, "methods", "patching");
    set(&y, "methods", "patching");
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    cr_assert_eq(first.iterations, TINY_ITERATIONS);
    const tic_verify_options options = {.run = x.out};
    cr_assert_eq(tic_verify(x.out, &options, &err), TIC_OK, "%s", err.text);
    hooks.user = &then;
    run_to_its_end(&x, &hooks);
    cr_assert_eq(then.iterations, 0, "%d iterations were lost", then.iterations);
    run_to_its_end(&y, NULL);
    cr_assert(same_file(&x, &y, "patching/2022/open_clip_model.safetensors"));
}

/* ---- killed inside a phase ------------------------------------------------------------------ */

typedef struct trap {  /* kills the process at the `at`-th event whose text or step fits */
    const char *phase; /* text of TIC_EVENT_PREPARE; NULL: iterations */
    uint64_t at;
    const char *step;
} trap;

static void spring(void *user, const tic_event *event) {
    const trap *t = user;
    if (t->phase != NULL
            ? event->kind == TIC_EVENT_PREPARE && strcmp(event->text, t->phase) == 0 &&
                  event->done == t->at
            : event->kind == TIC_EVENT_ITERATION && strcmp(event->step, t->step) == 0 &&
                  (uint64_t)event->iteration == t->at)
        raise(SIGKILL);
}

/* Runs in a process of its own; true when the trap killed it. */
static bool killed(const tic_experiment *e, trap *t) {
    tic_hooks hooks = {.event = spring, .user = t};
    int status;
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        tic_error error;
        tic_status ended = tic_run(e, t != NULL ? &hooks : NULL, &error);
        if (ended != TIC_OK)
            fprintf(stderr, "%s\n", error.text);
        _exit((int)ended);
    }
    cr_assert(waitpid(child, &status, 0) == child);
    cr_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "the run failed by itself");
    return WIFSIGNALED(status);
}

static void survives(const char *method, trap t) {
    char name[128];
    set(&x, "methods", method);
    set(&y, "methods", method);
    set(&x, "save-every", "0");
    cr_assert(!killed(&y, NULL));
    cr_assert(killed(&x, &t), "%s: the phase was never reached", method);
    cr_assert(!killed(&x, NULL));
    snprintf(name, sizeof name, "%s/2022/open_clip_model.safetensors", method);
    cr_assert(same_file(&x, &y, name), "%s: other weights after a kill", method);
    tic_ledger a = ledger_of(&x), b = ledger_of(&y);
    static const char *const steps[] = {"2020", "2021", "2022"};
    for (int i = 0; i < TINY_STEPS; i++) {
        const json_t *ea = tic_ledger_find(&a, "step_end", method, steps[i]);
        const json_t *eb = tic_ledger_find(&b, "step_end", method, steps[i]);
        cr_assert(json_equal(json_object_get(json_object_get(ea, "spent"), "macs"),
                             json_object_get(json_object_get(eb, "spent"), "macs")),
                  "%s %s: other MACs after a kill", method, steps[i]);
        cr_assert_eq(number(json_object_get(ea, "spent"), "extra"),
                     number(json_object_get(eb, "spent"), "extra"));
    }
    tic_ledger_close(&a);
    tic_ledger_close(&b);
}

Test(all_methods, killed_in_the_fisher_pass) {
    survives("ewc-10", (trap){.phase = "measuring the Fisher information", .at = 1});
}
Test(all_methods, killed_while_held_to_the_last_weights) {
    survives("ewc-10", (trap){.step = "2021", .at = 3});
}
Test(all_methods, killed_beside_the_teacher) {
    survives("lwf", (trap){.step = "2022", .at = 2});
}
Test(all_methods, killed_while_patching) {
    survives("patching", (trap){.phase = "searching the coefficient of patching", .at = 5});
}
Test(all_methods, killed_while_scoring) {
    survives("cumulative-low", (trap){.phase = "scoring past pairs", .at = 32});
}
Test(all_methods, killed_in_the_middle_of_count_based_draws) {
    survives("cumulative-count", (trap){.step = "2022", .at = 2});
}
Test(all_methods, killed_in_the_decay_branch) {
    x.pairs = y.pairs = TINY_STEPS * 10 * TINY_BATCH; /* the branch begins at iteration 8 of 10 */
    set(&x, "schedule", "const-cosine");
    set(&y, "schedule", "const-cosine");
    survives("cumulative-equal", (trap){.step = "2021", .at = 9});
}
Test(all_methods, killed_with_moments_that_are_kept) {
    set(&x, "keep-optimizer", "true");
    set(&y, "keep-optimizer", "true");
    survives("sequential", (trap){.step = "2022", .at = 2});
}
