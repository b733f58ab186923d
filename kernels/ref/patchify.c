/* Reference of patchify: pixel by pixel, in double. */
#include "kernels/ops.h"

TIC_RUN(tic_patchify_ref) {
    const tic_patchify_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    const int64_t size = a->size, patch = a->patch, grid = size / patch;
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t y = 0; y < size; y++)
            for (int64_t x = 0; x < size; x++)
                for (int64_t c = 0; c < 3; c++) {
                    double pixel = a->pixels[((i * size + y) * size + x) * 3 + c];
                    int64_t row = (i * grid + y / patch) * grid + x / patch;
                    int64_t column = (c * patch + y % patch) * patch + x % patch;
                    tic_mat_put(a->out, row, column,
                                (float)((pixel / 255 - a->mean[c]) / a->std[c]));
                }
    return TIC_OK;
}
