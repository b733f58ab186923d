/* OpenCLIP's initialisation (reference/openclip.md): the rules stand with the tensors in layout.c.
 * Every number is a function of (seed, tensor, element), so any number of threads draws the same
 * weights. */
#include "room.h"

#include <string.h>

static float draw(tic_init_rule rule, tic_random key, uint64_t position) {
    if (rule.kind == TIC_INIT_CONSTANT)
        return (float)rule.value;
    if (rule.kind == TIC_INIT_NORMAL)
        return (float)(rule.value * tic_random_normal(key, position));
    return (float)(rule.value * (2 * tic_random_uniform(key, position) - 1));
}

void tic_model_init(tic_model *model, uint64_t seed) {
    const tic_random key = {.seed = seed, .purpose = TIC_RNG_INIT};
    const size_t bytes = (size_t)model->layout.size * sizeof(float);
    memset(tic_model_weights(model), 0, bytes);
    if (model->options.train) {
        memset(model->gradient, 0, bytes);
        memset(model->moment1, 0, bytes);
        memset(model->moment2, 0, bytes);
    }
    for (int i = 0; i < model->layout.count; i++) {
        const tic_tensor_row *row = &model->rows[i];
        float *at = model->weights + row->tensor.offset;
#pragma omp parallel for schedule(static) num_threads(tic_ctx_threads(model->ctx))
        for (int64_t j = 0; j < row->tensor.count; j++)
            at[j] = draw(row->init, key, (uint64_t)i << 40 | (uint64_t)j);
    }
}
