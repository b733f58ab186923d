/* What the tests of model/ share: small configurations, contexts, batches and measures of error. */
#ifndef TIC_TESTS_MODEL_SUPPORT_H
#define TIC_TESTS_MODEL_SUPPORT_H

#include "model/model.h"

/* Ends the test with the error's line unless `status` is TIC_OK. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        tic_error must_error = {0}, *const err = &must_error;                                      \
        const tic_status must_status = (call);                                                     \
        cr_assert(must_status == TIC_OK, "%s: %s", #call, must_error.text);                        \
    } while (0)

/* 10 vision rows of width 24, captions of up to 7 tokens of width 16; two blocks each. */
tic_config test_config(bool quick_gelu);
tic_ctx *test_ctx(int threads);
/* A model with OpenCLIP's initialisation, seed 1, and norms and biases moved off 1 and 0. */
tic_model *test_model(tic_ctx *ctx, const tic_config *config, const tic_model_options *options);

/* n random pictures and captions of 2 to context_length tokens, the first two the extremes. */
tic_batch *test_batch(const tic_config *config, int64_t n, uint64_t seed);
void test_batch_free(tic_batch *batch);

/* |a - b| / |b| in the 2-norm; |a| when b is zero. */
double test_relative(const float *a, const float *b, int64_t n);
/* A folder for this test's files, made empty; its path is static. */
const char *test_folder(const char *name);

#endif
