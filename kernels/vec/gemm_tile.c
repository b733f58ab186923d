/* The generic GEMM micro-kernel in compiled C: 6 rows by two vectors, 12 accumulators. What runs on
 * the portable tier; on the others generated ones and BLIS's stand before it. */
#include "kernels/drive/gemm.h"
#include "kernels/vec/vec.h"

enum { ROWS = 6, COLS = 2 * VF_LANES };

TIC_PRODUCT static void tile(int64_t k, const void *a_panel, int64_t lda, const void *b_panel,
                             int64_t ldb, bool add, float *c, int64_t ldc,
                             const tic_gemm_ahead *ahead) {
    (void)lda, (void)ldb, (void)ahead; /* panels are ROWS and COLS wide */
    const float *a = a_panel, *b = b_panel;
    vf sums[ROWS][2];
    for (int i = 0; i < ROWS; i++)
        sums[i][0] = sums[i][1] = vf_set(0);
    for (int64_t p = 0; p < k; p++) {
        vf left = vf_load(b + p * COLS), right = vf_load(b + p * COLS + VF_LANES);
        for (int i = 0; i < ROWS; i++) {
            vf x = vf_set(a[p * ROWS + i]);
            sums[i][0] = vf_fma(x, left, sums[i][0]);
            sums[i][1] = vf_fma(x, right, sums[i][1]);
        }
    }
    for (int i = 0; i < ROWS; i++) {
        float *row = c + i * ldc;
        vf_store(row, add ? vf_load(row) + sums[i][0] : sums[i][0]);
        vf_store(row + VF_LANES, add ? vf_load(row + VF_LANES) + sums[i][1] : sums[i][1]);
    }
}

static tic_gemm_run *const whole[] = {tile};

const tic_gemm_micro TIC_TIERED(tic_gemm_micro) = {
    .tile_m = ROWS,
    .tile_n = COLS,
    .format = {TIC_PANEL_F32, COLS, 1, &TIC_TIERED(tic_gemm_vec), tic_gemm_panels_bytes,
               tic_gemm_panels_pack_rows},
    .across = whole,
};
