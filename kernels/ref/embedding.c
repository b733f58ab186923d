/* Reference of the embedding, text and vision, forward and backward. Sums run in row order in f32,
 * because gradients are added to what is there; every variant gives the same bits. */
#include "kernels/ops.h"

/* The row of patches behind row r >= 1 of vision sequence s, which has `length` rows. */
static int64_t patch_row(int64_t s, int64_t r, int64_t length) {
    return s * (length - 1) + r - 1;
}

TIC_RUN(tic_embedding_ref) {
    const tic_embedding_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t row = a->offsets[s]; row < a->offsets[s + 1]; row++) {
            int64_t r = row - a->offsets[s], length = a->offsets[s + 1] - a->offsets[s];
            const float *from = a->table;
            if (a->ids)
                from = a->table + a->ids[row] * a->d;
            else if (r > 0)
                from = a->patches + patch_row(s, r, length) * a->d;
            for (int64_t j = 0; j < a->d; j++)
                a->x[row * a->d + j] = from[j] + a->position[r * a->d + j];
        }
    return TIC_OK;
}

/* Answers x = from + position. */
TIC_RUN(tic_embedding_backward_ref) {
    const tic_embedding_args *a = args;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t row = a->offsets[s]; row < a->offsets[s + 1]; row++) {
            int64_t r = row - a->offsets[s], length = a->offsets[s + 1] - a->offsets[s];
            int64_t id = a->ids ? a->ids[row] : 0;
            for (int64_t j = 0; j < a->d; j++) {
                float dx = a->dx[row * a->d + j];
                a->dposition[r * a->d + j] += dx;
                if (a->ids || r == 0)
                    a->dtable[id * a->d + j] += dx;
                else
                    tic_mat_put(a->dpatches, patch_row(s, r, length), j, dx);
            }
        }
    return TIC_OK;
}
