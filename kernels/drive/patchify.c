/* Patchify: entry point and driver. A normalised pixel is one of 256 values a channel, so the
 * arithmetic is done once, in a table; images run in parallel. */
#include "kernels/ops.h"

#include <stdio.h>

typedef struct table {
    float f32[3][256];
    tic_bf16 bf16[3][256];
} table;

static void fill_table(const tic_patchify_args *a, table *out) {
    for (int c = 0; c < 3; c++)
        for (int pixel = 0; pixel < 256; pixel++) {
            double x = ((double)pixel / 255 - a->mean[c]) / a->std[c];
            out->f32[c][pixel] = (float)x;
            out->bf16[c][pixel] = tic_to_bf16((float)x);
        }
}

/* One row of the output: patch (py, px) of an image. */
static void one_patch(const tic_patchify_args *a, const table *values, const uint8_t *image,
                      int64_t py, int64_t px, int64_t row) {
    const int64_t size = a->size, patch = a->patch;
    float *f32 = (float *)a->out.data + row * a->out.ld;
    tic_bf16 *bf16 = (tic_bf16 *)a->out.data + row * a->out.ld;
    for (int64_t y = 0; y < patch; y++) {
        const uint8_t *line = image + ((py * patch + y) * size + px * patch) * 3;
        for (int64_t c = 0; c < 3; c++) {
            const int64_t to = (c * patch + y) * patch;
            if (a->out.type == TIC_F32)
                for (int64_t x = 0; x < patch; x++)
                    f32[to + x] = values->f32[c][line[x * 3 + c]];
            else
                for (int64_t x = 0; x < patch; x++)
                    bf16[to + x] = values->bf16[c][line[x * 3 + c]];
        }
    }
}

TIC_RUN(tic_patchify_drive) {
    const tic_patchify_args *a = args;
    const int64_t size = a->size, grid = size / a->patch;
    table values;
    (void)variant, (void)knobs, (void)err;
    fill_table(a, &values);
#pragma omp parallel for num_threads(ctx->threads) schedule(static) collapse(2)
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t py = 0; py < grid; py++)
            for (int64_t px = 0; px < grid; px++)
                one_patch(a, &values, a->pixels + i * size * size * 3, py, px,
                          (i * grid + py) * grid + px);
    return TIC_OK;
}

tic_status tic_patchify(tic_ctx *ctx, const tic_patchify_args *a, tic_error *err) {
    if (a->n < 0 || a->patch < 1 || a->size < a->patch || a->size % a->patch != 0)
        return tic_fail(err, TIC_EUSAGE, "patchify: images of %d pixels in patches of %d", a->size,
                        a->patch);
    if (a->n == 0)
        return TIC_OK;
    if (!a->pixels || !a->out.data || a->out.ld < 3 * (int64_t)a->patch * a->patch)
        return tic_fail(err, TIC_EUSAGE, "patchify: an operand is missing or too narrow");
    for (int c = 0; c < 3; c++)
        if (!(a->std[c] > 0))
            return tic_fail(err, TIC_EUSAGE, "patchify: std of channel %d is %g", c, a->std[c]);
    char shape[64];
    snprintf(shape, sizeof shape, "n%lld,s%d,p%d", (long long)a->n, a->size, a->patch);
    return tic_dispatch(ctx, TIC_OP_PATCHIFY, a->out.type, shape, a, err);
}
