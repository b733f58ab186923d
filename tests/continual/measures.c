/* What a run measures and computes beside training, against small independent computations: scores
 * of every task from the features alone, the Fisher information, patching's mixture, and the
 * learning rate of every iteration under each warm-up and decay. */
#include "tests/continual/tiny.h"
#include <math.h>

static char folder[TIC_PATH];
static tic_error err;
static tic_experiment x;
static tic_session s;

static void open_folder(void) {
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
}
static void close_folder(void) {
    tic_session_close(&s);
    remove_test_folder(folder);
}
TestSuite(measures, .init = open_folder, .fini = close_folder, .timeout = 120);

#define MUST(call) cr_assert((call) == TIC_OK, "%s", err.text)

static void place_of(char out[TIC_PATH + 64], const char *name) {
    snprintf(out, TIC_PATH + 64, "%s/%s", x.out, name);
}

/* A run of the method, and the session of its checkpoint `name`, "METHOD/STEP". */
static void open_checkpoint(const char *method, const char *name) {
    char checkpoint[TIC_PATH + 64];
    set(&x, "methods", method);
    run_to_its_end(&x, NULL);
    place_of(checkpoint, name);
    s = (tic_session){.x = &x};
    MUST(tic_session_checkpoint(&s, checkpoint, true, &err));
}

static void *floats(size_t count) {
    float *out;
    MUST(tic_alloc(&out, count, sizeof(float), &err));
    return out;
}

/* ---- scores ---------------------------------------------------------------------------------- */

static double dot(const float *a, const float *b) {
    double sum = 0;
    for (int k = 0; k < s.config.embed_dim; k++)
        sum += (double)a[k] * b[k];
    return sum;
}

/* Features of n pictures or texts, a batch at a time. */
static float *images_of(const uint8_t *pixels, int64_t n) {
    const size_t picture = (size_t)s.config.image_size * (size_t)s.config.image_size * 3;
    float *out = floats((size_t)(n * s.config.embed_dim));
    for (int64_t i = 0; i < n; i++)
        MUST(tic_encode_images(s.model, 1, pixels + (size_t)i * picture,
                               out + i * s.config.embed_dim, &err));
    return out;
}

static void text_feature(const char *text, float *out) {
    int32_t ids[64], offsets[2] = {0, 0};
    int count;
    MUST(tic_tokenize_caption(s.vocab, text, s.config.context_length, ids, &count, &err));
    offsets[1] = count;
    MUST(tic_encode_texts(s.model, 1, ids, offsets, out, &err));
}

/* Of all scores the one of this task and step. */
static const tic_score *score_of(const tic_scores *scores, const char *task, int step) {
    for (size_t i = 0; i < scores->count; i++)
        if (strcmp(scores->list[i].task, task) == 0 && scores->list[i].step == step)
            return &scores->list[i];
    return NULL;
}

static void is_share(const tic_scores *scores, const char *task, int step, double hits, double of) {
    const tic_score *score = score_of(scores, task, step);
    cr_assert(score != NULL, "%s has no score", task);
    cr_assert(fabs(score->value - hits / of) <= 1e-15, "%s, step %d: %.17g, not %g of %g", task,
              step, score->value, hits, of);
}

/* Rows whose own partner scores strictly above all others of the subset. */
static int partners(const float *query, const float *other, int64_t n, const bool *in) {
    const int d = s.config.embed_dim;
    int hits = 0;
    for (int64_t i = 0; i < n; i++) {
        bool best = in[i];
        for (int64_t j = 0; j < n && best; j++)
            best = !in[j] || j == i ||
                   dot(query + i * d, other + j * d) < dot(query + i * d, other + i * d);
        hits += best;
    }
    return hits;
}

/* "a photo of a {c}." for every template: the mean of unit vectors, made a unit vector again. */
static float *classifier_of(char **names, int count, char **templates, int template_count) {
    const int d = s.config.embed_dim;
    float *rows = floats((size_t)(count * d)), *one = floats((size_t)d);
    for (int c = 0; c < count; c++) {
        double sum[64] = {0}, square = 0;
        for (int t = 0; t < template_count; t++) {
            char prompt[512];
            const char *gap = strstr(templates[t], "{c}");
            snprintf(prompt, sizeof prompt, "%.*s%s%s", (int)(gap - templates[t]), templates[t],
                     names[c], gap + 3);
            text_feature(prompt, one);
            for (int k = 0; k < d; k++)
                sum[k] += one[k];
        }
        for (int k = 0; k < d; k++)
            square += sum[k] * sum[k];
        for (int k = 0; k < d; k++)
            rows[c * d + k] = (float)(sum[k] / sqrt(square));
    }
    tic_free(one);
    return rows;
}

static int class_of(const float *image, const float *classifier, int count) {
    const int d = s.config.embed_dim;
    int best = 0;
    for (int c = 1; c < count; c++)
        if (dot(image, classifier + c * d) > dot(image, classifier + best * d))
            best = c;
    return best;
}

static void check_retrieval(const tic_scores *scores, int step, const float *image,
                            const float *text) {
    const tic_tasks *tasks = s.tasks;
    const tic_held_out *held = &tasks->step[step];
    for (int k = -1; k < tasks->domains + tasks->keywords; k++) {
        char task[96] = "retrieval";
        bool in[64];
        int n = 0;
        for (int64_t i = 0; i < held->n; i++) {
            in[i] = k < 0 || (k < tasks->domains ? held->domain[i] == k
                                                 : held->keyword[i] >> (k - tasks->domains) & 1);
            n += in[i];
        }
        if (k >= 0)
            snprintf(task, sizeof task, "retrieval/%s",
                     k < tasks->domains ? tasks->domain[k] : tasks->keyword[k - tasks->domains]);
        if (n < 2) {
            cr_assert(score_of(scores, task, step) == NULL, "%s of %d pairs", task, n);
            continue;
        }
        is_share(scores, task, step,
                 partners(image, text, held->n, in) + partners(text, image, held->n, in), 2 * n);
    }
}

static void check_classes(const tic_scores *scores, int step, const float *image,
                          const float *classifier) {
    const tic_tasks *tasks = s.tasks;
    const tic_held_out *held = &tasks->step[step];
    int n = 0, hits = 0, of[TIC_SUBTREES] = {0}, hit[TIC_SUBTREES] = {0};
    for (int64_t i = 0; i < held->n; i++) {
        const int label = held->label[i];
        if (label < 0)
            continue;
        const int found =
            class_of(image + i * s.config.embed_dim, classifier, tasks->classes->count);
        n++;
        hits += found == label;
        of[tasks->class_subtree[label]]++;
        hit[tasks->class_subtree[label]] += found == label;
    }
    is_share(scores, "classification", step, hits, n);
    for (int k = 0; k < tasks->subtrees; k++) {
        char task[96];
        snprintf(task, sizeof task, "classification/%s", tasks->subtree[k]);
        if (of[k] >= 2)
            is_share(scores, task, step, hit[k], of[k]);
    }
}

static int check_statics(const tic_scores *scores) {
    int ensembles = 0;
    for (int i = 0; i < s.tasks->statics; i++) {
        const tic_evalset *set = s.tasks->fixed[i].set;
        char task[96];
        double hits = 0;
        if (set->retrieval)
            continue;
        float *image = images_of(set->pixels, set->pictures);
        float *rows =
            classifier_of(set->classes, set->class_count, set->templates, set->template_count);
        for (int64_t p = 0; p < set->pictures; p++)
            hits +=
                class_of(image + p * s.config.embed_dim, rows, set->class_count) == set->labels[p];
        snprintf(task, sizeof task, "static/%s", set->name);
        is_share(scores, task, -1, hits, (double)set->pictures);
        ensembles += set->template_count > 1;
        tic_free(image);
        tic_free(rows);
    }
    return ensembles;
}

Test(measures, every_score_from_the_features) {
    tic_scores scores = {.count = 0};
    tiny_world(x.data, "full");
    set(&x, "keywords", "the,lumina");
    open_checkpoint("cumulative-all", "cumulative-all/2022");
    MUST(tic_evaluate(s.model, x.batch, s.tasks, NULL, &scores, &err));
    const tic_classes *classes = s.tasks->classes;
    float *rows =
        classifier_of(classes->names, classes->count, classes->templates, classes->template_count);
    for (int step = 0; step < s.tasks->steps; step++) {
        const tic_held_out *held = &s.tasks->step[step];
        const size_t d = (size_t)s.config.embed_dim;
        float *image = images_of(held->pixels, held->n), *text = floats((size_t)held->n * d);
        for (int64_t i = 0; i < held->n; i++) {
            char *caption;
            MUST(tic_index_caption(s.index, s.steps.step[step].eval[i], &caption, &err));
            text_feature(caption, text + (size_t)i * d);
            tic_free(caption);
        }
        check_retrieval(&scores, step, image, text);
        check_classes(&scores, step, image, rows);
        tic_free(image);
        tic_free(text);
    }
    cr_assert(check_statics(&scores) > 0, "no set has an ensemble of templates");
    tic_free(rows);
    tic_scores_free(&scores);
}

/* ---- EWC's Fisher information ---------------------------------------------------------------- */

/* B mean over batches of the squared gradient of a batch's loss, in double, along the same stream.
 */
Test(measures, fisher) {
    enum { BATCHES = 3 };
    char from[TIC_PATH + 64];
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    s = (tic_session){.x = &x};
    place_of(from, "sequential/2020");
    MUST(tic_config_find(&s.config, from, &err));
    MUST(tic_session_data(&s, &err));
    char vocab[TIC_PATH + 64];
    place_of(vocab, "vocab.txt.gz");
    MUST(tic_session_vocab(&s, vocab, &err));
    MUST(tic_session_context(&s, NULL, &err));
    s.micro_batch = x.batch;
    MUST(tic_session_tower(&s, true, &err));

    const tic_step *before = &s.steps.step[0];
    const tic_method *rule;
    MUST(tic_method_find(&rule, "ewc-100", &err));
    tic_job job = {.method = "ewc-100",
                   .step = "2021",
                   .rule = rule,
                   .from = from,
                   .fisher_pool = before->train,
                   .fisher_pool_size = before->trains,
                   .fisher_pairs = BATCHES * TINY_BATCH,
                   .step_index = 1};
    snprintf(job.folder, sizeof job.folder, "%s", x.out);
    tic_ewc ewc = {.size = 0};
    tic_spent spent;
    MUST(tic_ewc_prepare(&s, &job, &ewc, &spent, &err));
    cr_assert_eq(spent.extra, (uint64_t)job.fisher_pairs * tic_nominal_train(&s.config));
    cr_assert(ewc.lambda == 100);

    double *want, largest = 0;
    MUST(tic_alloc(&want, (size_t)ewc.size, sizeof(double), &err));
    tic_loader *loader;
    const tic_loader_options options = {.index = s.index,
                                        .vocab = s.vocab,
                                        .pool = before->train,
                                        .pool_size = before->trains,
                                        .image_size = s.config.image_size,
                                        .context = s.config.context_length,
                                        .batch = x.batch,
                                        .train = true,
                                        .seed = tic_stream_seed(x.seed, 0),
                                        .threads = 1};
    MUST(tic_loader_new(&loader, &options, &err));
    for (int b = 0; b < BATCHES; b++) {
        const tic_batch *batch;
        tic_step_loss loss;
        float *gradient = tic_model_gradient(s.model);
        memset(gradient, 0, (size_t)ewc.size * sizeof(float));
        MUST(tic_loader_next(loader, &batch, &err));
        MUST(tic_model_gradients(s.model, batch, NULL, &loss, &err));
        for (int64_t i = 0; i < ewc.size; i++)
            want[i] += (double)gradient[i] * gradient[i] * TINY_BATCH / BATCHES;
    }
    tic_loader_free(loader);
    /* Sums of three squares in float, and one product: four roundings. */
    for (int64_t i = 0; i < ewc.size; i++) {
        cr_assert(fabs(ewc.fisher[i] - want[i]) <= 0x1p-21 * want[i] + 1e-38, "%lld: %g, not %g",
                  (long long)i, ewc.fisher[i], want[i]);
        cr_assert(ewc.anchor[i] == tic_model_look(s.model)[i]);
        largest = fmax(largest, want[i]);
    }
    cr_assert(largest > 0);
    tic_free(want);
    tic_ewc_free(&ewc);
}

/* ---- patching -------------------------------------------------------------------------------- */

static void keep_weights(float *to, const char *name) {
    char checkpoint[TIC_PATH + 64];
    place_of(checkpoint, name);
    MUST(tic_model_load(s.model, checkpoint, &err));
    memcpy(to, tic_model_look(s.model), (size_t)tic_model_size(s.model) * sizeof(float));
}

/* The coefficient with the highest mean retrieval on earlier steps, the largest of equals; the
 * mixture of weights, number by number; and the mean itself from an evaluation's scores. */
Test(measures, patching) {
    char before[TIC_PATH + 64];
    set(&x, "lr", "0.01"); /* so that the models differ */
    open_checkpoint("sequential", "sequential/2022");
    const size_t size = (size_t)tic_model_size(s.model);
    float *old = floats(size), *fresh = floats(size);
    keep_weights(old, "sequential/2021");
    keep_weights(fresh, "sequential/2022");
    double best = -1;
    int want = -1;
    for (int tenths = 0; tenths <= 10; tenths++) {
        tic_scores scores = {.count = 0};
        float *weights = tic_model_weights(s.model);
        const double c = tenths / 10.0;
        for (size_t i = 0; i < size; i++)
            weights[i] = (float)((1 - c) * old[i] + c * fresh[i]);
        MUST(tic_evaluate(s.model, x.batch, s.tasks, NULL, &scores, &err));
        const double mean =
            (score_of(&scores, "retrieval", 0)->value + score_of(&scores, "retrieval", 1)->value) /
            2;
        if (mean >= best) {
            best = mean;
            want = tenths;
        }
        tic_scores_free(&scores);
    }
    double coefficient, mean;
    tic_spent spent = {.iterations = 0};
    memcpy(tic_model_weights(s.model), fresh, size * sizeof(float));
    place_of(before, "sequential/2021");
    MUST(tic_patch(&s, before, 2, &coefficient, &spent, &err));
    cr_assert(fabs(coefficient - want / 10.0) < 1e-15, "%g, not %g", coefficient, want / 10.0);
    const float *mixed = tic_model_look(s.model);
    for (size_t i = 0; i < size; i++) {
        const double exact = (1 - coefficient) * old[i] + coefficient * fresh[i];
        /* c as a float, 1 - c, two products and a sum: five roundings of terms this large. */
        const double bound = 5 * 0x1p-24 * (fabs(old[i]) + fabs(fresh[i]));
        cr_assert(fabs(mixed[i] - exact) <= bound, "%zu: %.9g, not %.9g", i, mixed[i], exact);
    }
    MUST(tic_mean_retrieval(s.model, x.batch, s.tasks, 2, &mean, &err));
    cr_assert(fabs(mean - best) <= 1e-15, "%g, not %g", mean, best);
    /* 11 mixtures of both steps' pairs, a forward pass each. */
    cr_assert_eq(spent.extra, 11 * (s.steps.step[0].evals + s.steps.step[1].evals) *
                                  (tic_nominal_image(&s.config) + tic_nominal_text(&s.config)));
    /* Of equals the largest: from the same weights all mixtures are one. */
    keep_weights(fresh, "sequential/2021");
    MUST(tic_patch(&s, before, 2, &coefficient, &spent, &err));
    cr_assert(coefficient == 1, "%g", coefficient);
    tic_free(old);
    tic_free(fresh);
}

/* ---- the learning rate of every iteration ---------------------------------------------------- */

typedef struct rates {
    double lr[2 * TINY_STEPS][64]; /* a row a step of a method: restart's after sequential's */
    int iterations[2 * TINY_STEPS];
} rates;

static void note_rate(void *user, const tic_event *event) {
    rates *r = user;
    if (event->kind != TIC_EVENT_ITERATION)
        return;
    const int row = event->step[3] - '0' + (strcmp(event->method, "restart") == 0 ? TINY_STEPS : 0);
    cr_assert(event->iteration >= 1 && event->iteration <= 64);
    r->lr[row][event->iteration - 1] = event->lr;
    r->iterations[row]++;
}

static rates rates_of(const char *out) {
    rates r = {.iterations = {0}};
    const tic_hooks hooks = {.event = note_rate, .user = &r};
    snprintf(x.out, sizeof x.out, "%.900s/%s", folder, out);
    run_to_its_end(&x, &hooks);
    return r;
}

/* Steps of 12 iterations, warm-up of 5; `later`: of the steps that go on from a model. */
static void check_rates(const char *out, int first, int later, double decay, bool constant) {
    enum { T = 12 };
    const rates r = rates_of(out);
    for (int row = 0; row < 2 * TINY_STEPS; row++) {
        const bool restarts = row >= TINY_STEPS, anew = restarts || row == 0;
        const int step = row % TINY_STEPS, w = anew ? first : later;
        const double peak = 0.002 * (anew ? 1 : pow(decay, step));
        if (row == TINY_STEPS) /* the first step is the same training, and not done twice */
            continue;
        cr_assert_eq(r.iterations[row], T, "%s, row %d: %d", out, row, r.iterations[row]);
        const int d = constant ? T - 2 : w; /* the decay branch: a fifth, rounded down */
        for (int i = 0; i < T; i++) {
            const double want = i < w   ? peak * (i + 1) / w
                                : i < d ? peak
                                        : peak * (1 + cos(M_PI * (i - d) / (T - d))) / 2;
            cr_assert(fabs(r.lr[row][i] - want) <= 1e-14 * peak, "%s, row %d, %d: %.17g, not %.17g",
                      out, row, i, r.lr[row][i], want);
        }
    }
}

Test(measures, learning_rates) {
    set(&x, "methods", "sequential,restart");
    set(&x, "lr", "0.002");
    set(&x, "warmup", "5");
    x.pairs = TINY_STEPS * 12 * TINY_BATCH;
    check_rates("first", 5, 0, 1, false);
    set(&x, "warmup-in", "none");
    check_rates("none", 0, 0, 1, false);
    set(&x, "warmup-in", "all");
    check_rates("all", 5, 5, 1, false);
    set(&x, "warmup", "10");
    set(&x, "warmup-in", "tenth");
    check_rates("tenth", 10, 1, 1, false);
    set(&x, "warmup", "5");
    set(&x, "warmup-in", "first");
    set(&x, "lr-decay", "0.7");
    check_rates("decay", 5, 0, 0.7, false);
    set(&x, "lr-decay", "1");
    set(&x, "schedule", "const-cosine");
    check_rates("const", 5, 0, 1, true);
}

/* ---- a checkpoint that was never in a run ---------------------------------------------------- */

static void copy_file(const char *from, const char *to) {
    char *bytes;
    size_t size;
    MUST(tic_file_read(from, 1 << 30, &bytes, &size, &err));
    MUST(tic_file_write(to, bytes, size, &err));
    tic_free(bytes);
}

/* What OpenCLIP saves, anywhere, with the vocabulary named: all steps, the same numbers. */
Test(measures, any_openclip_checkpoint) {
    static const char *const files[] = {"open_clip_model.safetensors", "open_clip_config.json"};
    char inside[TIC_PATH + 64], outside[TIC_PATH + 64], *there, *here;
    set(&x, "methods", "sequential");
    run_to_its_end(&x, NULL);
    snprintf(outside, sizeof outside, "%.900s/elsewhere", folder);
    MUST(tic_make_folder(outside, &err));
    for (int i = 0; i < 2; i++) {
        char from[2 * TIC_PATH], to[2 * TIC_PATH];
        snprintf(from, sizeof from, "%s/sequential/2021/%s", x.out, files[i]);
        snprintf(to, sizeof to, "%s/%s", outside, files[i]);
        copy_file(from, to);
    }
    place_of(inside, "sequential/2021");
    MUST(tic_evaluate_checkpoint(&x, inside, NULL, &there, &err));
    cr_assert_eq(tic_evaluate_checkpoint(&x, outside, NULL, &here, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "--vocab") != NULL, "%s", err.text);
    snprintf(x.vocab, sizeof x.vocab, "%.900s/x/vocab.txt.gz", folder);
    MUST(tic_evaluate_checkpoint(&x, outside, NULL, &here, &err));
    json_t *a = json_loads(there, 0, NULL), *b = json_loads(here, 0, NULL);
    const json_t *retrieval = json_object_get(json_object_get(b, "tasks"), "retrieval");
    cr_assert(json_equal(json_object_get(a, "tasks"), json_object_get(b, "tasks")));
    cr_assert_eq(json_array_size(json_object_get(retrieval, "per_step")), TINY_STEPS);
    json_decref(a);
    json_decref(b);
    tic_free(there);
    tic_free(here);
}
