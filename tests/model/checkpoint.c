/* Checkpoints: saved and loaded weights, exact resume, and files that must be refused without a
 * trace. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const tic_adamw_options recipe = {
    .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .weight_decay = 0.2f};

typedef struct setup {
    tic_ctx *ctx;
    tic_model *model;
    tic_batch *batch;
    tic_config config;
    size_t bytes; /* of a flat array */
} setup;

static setup new_setup(bool quick_gelu) {
    const tic_model_options options = {.batch = 4, .train = true};
    setup s = {.ctx = test_ctx(1), .config = test_config(quick_gelu)};
    s.model = test_model(s.ctx, &s.config, &options);
    s.batch = test_batch(&s.config, 4, 1);
    s.bytes = (size_t)tic_model_size(s.model) * sizeof(float);
    return s;
}

static void free_setup(setup *s) {
    test_batch_free(s->batch);
    tic_model_free(s->model);
    tic_ctx_free(s->ctx);
}

static void train(setup *s, int first, int last) {
    for (int step = first; step <= last; step++) {
        tic_step_loss loss;
        MUST(tic_model_gradients(s->model, s->batch, NULL, &loss, err));
        MUST(tic_model_update(s->model, &recipe, step, NULL, err));
    }
}

static bool same_weights(const setup *a, const setup *b) {
    return memcmp(tic_model_weights(a->model), tic_model_weights(b->model), a->bytes) == 0;
}

/* ---- both ways ------------------------------------------------------------------------------- */

Test(checkpoint, weights_survive) {
    setup a = new_setup(true), b = new_setup(true);
    const char *folder = test_folder("checkpoint");
    tic_model_init(a.model, 5);
    cr_assert(!same_weights(&a, &b));
    MUST(tic_model_save(a.model, folder, err));
    MUST(tic_model_load(b.model, folder, err));
    cr_expect(same_weights(&a, &b));
    tic_config config;
    MUST(tic_config_find(&config, folder, err));
    cr_expect(config.quick_gelu && config.vision_heads == 3 && config.text_width == 16);
    free_setup(&a);
    free_setup(&b);
}

Test(checkpoint, resume_is_exact) {
    setup whole = new_setup(false), half = new_setup(false), rest = new_setup(false);
    char path[600];
    snprintf(path, sizeof path, "%s/state.safetensors", test_folder("state"));
    const char *const metadata[] = {"position", "3", NULL};
    train(&whole, 1, 6);
    train(&half, 1, 3);
    MUST(tic_model_save_state(half.model, path, metadata, err));
    tic_model_init(rest.model, 99);
    tic_safetensors *file = NULL;
    MUST(tic_model_load_state(rest.model, path, &file, err));
    cr_expect(strcmp(tic_safetensors_metadata(file, "position"), "3") == 0);
    tic_safetensors_close(file);
    train(&rest, 4, 6);
    cr_expect(same_weights(&whole, &rest));
    cr_expect(memcmp(tic_model_moment2(whole.model), tic_model_moment2(rest.model), whole.bytes) ==
              0);
    cr_expect(!same_weights(&whole, &half));
    free_setup(&whole);
    free_setup(&half);
    free_setup(&rest);
}

/* ---- other types and what is refused --------------------------------------------------------- */

enum { TENSORS = 256 };
typedef struct contents { /* of a file to be written: the model's own tensors, to be spoilt */
    tic_array arrays[TENSORS];
    int count;
} contents;

static contents describe(const setup *s) {
    contents c = {.count = tic_model_tensor_count(s->model)};
    cr_assert(c.count < TENSORS);
    for (int i = 0; i < c.count; i++) {
        const tic_tensor *tensor = tic_model_tensor(s->model, i);
        tic_array *array = &c.arrays[i];
        snprintf(array->name, sizeof array->name, "%s", tensor->name);
        strcpy(array->dtype, "F32");
        array->rank = tensor->rank;
        memcpy(array->shape, tensor->shape, sizeof tensor->shape);
        array->data = tic_model_weights(s->model) + tensor->offset;
        array->bytes = (size_t)tensor->count * 4;
    }
    return c;
}

static const char *write(const contents *c) {
    static char path[600];
    snprintf(path, sizeof path, "%s/m.safetensors", test_folder("load"));
    MUST(tic_safetensors_write(path, c->arrays, c->count, NULL, err));
    return path;
}

/* 1, -2, the smallest subnormal, the largest number and a third, in both 16-bit types. */
Test(checkpoint, loads_f16_and_bf16) {
    static const uint16_t half[5] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555};
    static const float of_half[5] = {1, -2, 0x1p-24f, 65504, 0x1.554p-2f};
    static const uint16_t brain[5] = {0x3f80, 0xc000, 0x0001, 0x7f7f, 0x3eab};
    static const float of_brain[5] = {1, -2, 0x1p-133f, 0x1.fep127f, 0x1.56p-2f};
    setup s = new_setup(false);
    uint16_t data[24] = {0};
    for (int type = 0; type < 2; type++) {
        contents c = describe(&s);
        const tic_tensor *tensor = tic_model_find(s.model, "visual.ln_post.bias");
        for (int i = 0; i < c.count; i++)
            if (strcmp(c.arrays[i].name, tensor->name) == 0) {
                strcpy(c.arrays[i].dtype, type ? "BF16" : "F16");
                c.arrays[i].data = data;
                c.arrays[i].bytes = sizeof data;
            }
        memcpy(data, type ? brain : half, sizeof half);
        MUST(tic_model_load(s.model, write(&c), err));
        cr_expect(memcmp(tic_model_weights(s.model) + tensor->offset, type ? of_brain : of_half,
                         sizeof of_half) == 0,
                  "%s", type ? "BF16" : "F16");
    }
    free_setup(&s);
}

static void expect_refused(const contents *c, const char *first, const char *second) {
    setup s = new_setup(false);
    tic_model_init(s.model, 77);
    float *before = NULL;
    MUST(tic_alloc(&before, s.bytes, 1, err));
    memcpy(before, tic_model_weights(s.model), s.bytes);
    tic_error err = {0};
    cr_expect(tic_model_load(s.model, write(c), &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, first) && strstr(err.text, second), "\"%s\" and \"%s\" not in: %s",
              first, second, err.text);
    cr_expect(memcmp(before, tic_model_weights(s.model), s.bytes) == 0, "weights changed");
    tic_free(before);
    free_setup(&s);
}

Test(checkpoint, refuses_what_does_not_fit) {
    setup s = new_setup(false);
    contents c = describe(&s);
    tic_array *last = &c.arrays[c.count - 1]; /* ln_final.bias [16] */
    c.count--;
    expect_refused(&c, "\"ln_final.bias\"", "missing");
    c.count++;
    strcpy(last->name, "text.ln_final.bias");
    expect_refused(&c, "\"text.ln_final.bias\" is no tensor", "custom_text");
    c = describe(&s);
    last->rank = 2;
    last->shape[0] = 4;
    last->shape[1] = 4;
    expect_refused(&c, "\"ln_final.bias\" has shape [4, 4]", "[16]");
    c = describe(&s);
    strcpy(last->dtype, "I32");
    expect_refused(&c, "\"ln_final.bias\" is I32", "F32, F16 or BF16");
    float spoilt[16] = {0};
    c = describe(&s);
    last->data = spoilt;
    spoilt[5] = NAN;
    expect_refused(&c, "\"ln_final.bias\" holds NaN", "element 5");
    spoilt[5] = INFINITY;
    expect_refused(&c, "\"ln_final.bias\" holds NaN or Inf", "element 5");
    free_setup(&s);
}

/* Neither heads nor the activation shows in a shape. */
Test(checkpoint, refuses_another_architecture_of_the_same_shapes) {
    setup plain = new_setup(false), quick = new_setup(true);
    const char *folder = test_folder("other");
    MUST(tic_model_save(quick.model, folder, err));
    tic_error err = {0};
    cr_expect(tic_model_load(plain.model, folder, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "another model") != NULL, "%s", err.text);
    free_setup(&plain);
    free_setup(&quick);
}

Test(checkpoint, state_is_not_weights) {
    setup s = new_setup(false);
    tic_safetensors *file = NULL;
    tic_error err = {0};
    const contents c = describe(&s);
    cr_expect(tic_model_load_state(s.model, write(&c), &file, &err) == TIC_EINPUT);
    cr_expect(file == NULL);
    free_setup(&s);
}
