/* Steps of tokens that wait until they are read: the same weights and moments, to the bit, as of a
 * model all of whose tokens make each step in time, whenever somebody looks. */
#include "model/room.h"
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 4, STEPS = 3 * TIC_ADAMW_KEPT + 5 };

typedef struct twin {
    tic_ctx *ctx;
    tic_config config;
    tic_model *late, *timely;
    size_t bytes;
} twin;

/* micro_batch 0: the whole batch. */
static twin make_twin(int64_t micro_batch) {
    twin t = {.ctx = test_ctx(2), .config = test_config(false)};
    const tic_model_options options = {.batch = BATCH, .micro_batch = micro_batch, .train = true};
    t.config.vocab_size = 3 * TIC_ADAMW_KEPT + 7; /* the last parts have fewer rows, or none */
    t.late = test_model(t.ctx, &t.config, &options);
    t.timely = test_model(t.ctx, &t.config, &options);
    t.bytes = (size_t)tic_model_size(t.late) * sizeof(float);
    return t;
}

static void free_twin(twin *t) {
    tic_model_free(t->late);
    tic_model_free(t->timely);
    tic_ctx_free(t->ctx);
}

/* Another learning rate in each step, as of a schedule. */
static double step(tic_model *model, const tic_batch *batch, int64_t number, float clip_norm) {
    const tic_adamw_options adamw = {.lr = 1e-2f / (float)(1 + number % 6),
                                     .beta1 = 0.9f,
                                     .beta2 = 0.98f,
                                     .eps = 1e-6f,
                                     .weight_decay = 0.2f,
                                     .clip_norm = clip_norm};
    double norm;
    tic_step_loss loss;
    MUST(tic_model_gradients(model, batch, NULL, &loss, err));
    if (number % 10 == 7) /* two batches' gradients in one step */
        MUST(tic_model_gradients(model, batch, NULL, &loss, err));
    MUST(tic_model_update(model, &adamw, number, &norm, err));
    return norm;
}

static void both_step(twin *t, int64_t number, float clip_norm) {
    tic_batch *batch = test_batch(&t->config, BATCH, (uint64_t)number);
    (void)tic_model_gradient(t->timely); /* so all of its rows may have one */
    const double got = step(t->late, batch, number, clip_norm);
    const double want = step(t->timely, batch, number, clip_norm);
    cr_assert(fabs(got - want) <= 1e-12 * want, "norm %.17g, not %.17g", got, want);
    test_batch_free(batch);
}

static void same(const twin *t, const float *got, const float *want, const char *what) {
    cr_assert(memcmp(got, want, t->bytes) == 0, "%s differ", what);
}

/* Straight from the arrays: whether something waits there. */
static bool waits(const twin *t) {
    return memcmp(t->late->weights, t->timely->weights, t->bytes) != 0;
}

static void same_state(const twin *t) {
    same(t, tic_model_look(t->late), tic_model_look(t->timely), "weights");
    same(t, tic_model_moment1(t->late), tic_model_moment1(t->timely), "first moments");
    same(t, tic_model_moment2(t->late), tic_model_moment2(t->timely), "second moments");
    same(t, t->late->gradient, t->timely->gradient, "gradients");
    cr_assert_not(waits(t));
}

static void check_course(int64_t micro_batch, float clip_norm) {
    twin t = make_twin(micro_batch);
    for (int64_t i = 1; i <= STEPS; i++)
        both_step(&t, i, clip_norm);
    cr_assert(waits(&t), "no step waits, and nothing was tested");
    same_state(&t);
    both_step(&t, STEPS + 1, clip_norm);
    cr_assert(waits(&t));
    same_state(&t);
    free_twin(&t);
}

Test(table, late_steps_are_those_in_time) {
    check_course(0, 0);
}
Test(table, late_steps_of_a_batch_in_parts) {
    check_course(3, 0);
}
Test(table, late_steps_of_a_clipped_gradient) {
    check_course(0, 1);
}

/* Every way to look at the weights shows those in time. */
Test(table, whoever_looks_sees_no_step_missing) {
    twin t = make_twin(0);
    float got[BATCH * 12], want[BATCH * 12]; /* embed_dim */
    tic_batch *batch = test_batch(&t.config, BATCH, 1000);
    const char *folder = test_folder("table");
    char path[300];
    const char *const metadata[] = {"step", "1", NULL};
    tic_safetensors *file = NULL;
    snprintf(path, sizeof path, "%s/state.safetensors", folder);
    for (int64_t i = 1; i <= 5; i++) {
        both_step(&t, 5 * i, 0);
        both_step(&t, 5 * i + 1, 0);
        cr_assert(waits(&t));
        switch (i) {
        case 1:
            MUST(tic_encode_texts(t.late, BATCH, batch->ids, batch->offsets, got, err));
            MUST(tic_encode_texts(t.timely, BATCH, batch->ids, batch->offsets, want, err));
            cr_assert(memcmp(got, want, sizeof got) == 0, "features differ");
            break;
        case 2:
            MUST(tic_model_save(t.late, folder, err));
            MUST(tic_model_load(t.late, folder, err));
            break;
        case 3:
            MUST(tic_model_save_state(t.late, path, metadata, err));
            MUST(tic_model_load_state(t.late, path, &file, err));
            tic_safetensors_close(file);
            break;
        case 4: /* between a gradient and its step */
            for (int k = 0; k < 2; k++) {
                tic_step_loss loss;
                MUST(tic_model_gradients(k ? t.late : t.timely, batch, NULL, &loss, err));
            }
            same(&t, tic_model_weights(t.late), tic_model_weights(t.timely), "weights");
            break;
        default: /* a token's gradient by the caller, which no caption has */
            for (int k = 0; k < 2; k++) {
                tic_model *model = k ? t.late : t.timely;
                const tic_tensor *table = tic_model_find(model, "token_embedding.weight");
                for (int64_t j = 0; j < table->count; j++)
                    tic_model_gradient(model)[table->offset + j] += 1;
            }
            both_step(&t, 99, 0);
        }
        if (i != 4) {
            cr_assert_not(i < 4 && waits(&t), "case %d", (int)i);
            same_state(&t);
        }
    }
    test_batch_free(batch);
    free_twin(&t);
}

/* What is started anew forgets what waited. */
Test(table, new_weights_are_not_moved_by_old_steps) {
    twin t = make_twin(0);
    for (int64_t i = 1; i <= 9; i++)
        both_step(&t, i, 0);
    cr_assert(waits(&t));
    tic_model_init(t.late, 5);
    tic_model_init(t.timely, 5);
    same_state(&t);
    for (int64_t i = 1; i <= 9; i++)
        both_step(&t, i, 0);
    same_state(&t);
    free_twin(&t);
}

/* The pass refuses it, after what it reads was listed. */
Test(table, an_id_that_is_no_token_is_refused) {
    twin t = make_twin(0);
    tic_batch *batch = test_batch(&t.config, BATCH, 1);
    tic_error err = {0};
    tic_step_loss loss;
    for (int k = 0; k < 2; k++) {
        batch->ids[1] = k ? -1 : t.config.vocab_size;
        cr_expect(tic_model_gradients(t.late, batch, NULL, &loss, &err) == TIC_EUSAGE, "%s",
                  err.text);
    }
    test_batch_free(batch);
    free_twin(&t);
}
