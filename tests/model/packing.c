/* Weights that are packed once give the bits of weights that every call packs, also after they were
 * changed in each of the ways there are. */
#include "model/room.h"
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct twin { /* the same model twice: with its packings, and with none */
    tic_ctx *ctx;
    tic_config config;
    tic_model *packed, *plain;
    tic_batch *batch;
    size_t bytes;
} twin;

static twin make_twin(tic_dtype precision) {
    twin t = {.ctx = test_ctx(2), .config = test_config(false)};
    const tic_model_options options = {.batch = 5, .precision = precision, .train = true};
    t.packed = test_model(t.ctx, &t.config, &options);
    t.plain = test_model(t.ctx, &t.config, &options);
    tic_packings_free(&t.plain->packings);
    t.batch = test_batch(&t.config, 5, 3);
    t.bytes = (size_t)tic_model_size(t.packed) * sizeof(float);
    cr_assert(t.packed->packings.count > 0, "nothing is packed");
    return t;
}

static void free_twin(twin *t) {
    test_batch_free(t->batch);
    tic_model_free(t->packed);
    tic_model_free(t->plain);
    tic_ctx_free(t->ctx);
}

static void step(tic_model *model, const tic_batch *batch, int64_t number) {
    const tic_adamw_options adamw = {.lr = 1e-2f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f};
    tic_step_loss loss;
    MUST(tic_model_gradients(model, batch, NULL, &loss, err));
    MUST(tic_model_update(model, &adamw, number, NULL, err));
}

static void same_gradients(twin *t, const char *when) {
    tic_step_loss a, b;
    memset(tic_model_gradient(t->packed), 0, t->bytes);
    memset(tic_model_gradient(t->plain), 0, t->bytes);
    MUST(tic_model_gradients(t->packed, t->batch, NULL, &a, err));
    MUST(tic_model_gradients(t->plain, t->batch, NULL, &b, err));
    cr_expect(a.total == b.total, "%s: losses %.9g and %.9g", when, a.total, b.total);
    cr_expect(memcmp(tic_model_gradient(t->packed), tic_model_gradient(t->plain), t->bytes) == 0,
              "%s: gradients differ", when);
}

static void check(tic_dtype precision) {
    twin t = make_twin(precision);
    same_gradients(&t, "at first");
    memset(tic_model_gradient(t.packed), 0, t.bytes);
    memset(tic_model_gradient(t.plain), 0, t.bytes);
    for (int64_t i = 1; i <= 3; i++) {
        step(t.packed, t.batch, i);
        step(t.plain, t.batch, i);
    }
    same_gradients(&t, "after updates");
    tic_model_init(t.packed, 9);
    tic_model_init(t.plain, 9);
    same_gradients(&t, "after another start");
    const char *folder = test_folder("packing");
    MUST(tic_model_save(t.plain, folder, err));
    tic_model_init(t.packed, 10);
    tic_step_loss loss;
    MUST(tic_model_gradients(t.packed, t.batch, NULL, &loss,
                             err)); /* packs the weights of seed 10 */
    MUST(tic_model_load(t.packed, folder, err));
    same_gradients(&t, "after loading");
    for (int k = 0; k < 2; k++)
        tic_model_weights(k ? t.packed : t.plain)[t.packed->layout.vision.blocks[0].fc.weight] =
            0.5f;
    same_gradients(&t, "after a change by hand");
    free_twin(&t);
}

Test(packing, f32) {
    check(TIC_F32);
}
Test(packing, bf16) {
    check(TIC_BF16);
}
