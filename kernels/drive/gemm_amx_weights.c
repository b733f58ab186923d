/* Weights packed into tiles once an optimizer step (kernels.h: tic_packed), and what a plan, tests
 * and the auditor ask of the variants that read them. */
#include "kernels/drive/gemm_amx.h"

static size_t tiles_bytes(const tic_gemm_format *format, int64_t n, int64_t k) {
    (void)format;
    return (size_t)(tic_ceil_div(n, TIC_AMX_PANEL) * tic_amx_steps(k)) * TIC_AMX_PANEL_STEP;
}

/* Whole tiles are packed: what of them lies beside the rows holds the same numbers as before. */
static void tiles_pack_rows(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows) {
    const tic_amx_packing *packing = tic_cpu_get()->isa & TIC_ISA_AMX_BF16
                                         ? &tic_amx_packing_amx
                                         : &tic_amx_packing_amx_emulated;
    const bool across = packed->trans == TIC_NT;
    const int64_t steps = tic_amx_steps(packed->k), step = across ? 0 : first / TIC_TILE_K;
    int64_t tile = across ? first / TIC_TILE_COLS : 0;
    int64_t end = tic_ceil_div(first + rows, TIC_TILE_COLS);
    if (rows <= 0)
        return;
    if (!across || first + rows == packed->n) /* with the panel's other half */
        end = 2 * tic_ceil_div(packed->n, TIC_AMX_PANEL);
    for (; tile < end; tile++) {
        int64_t column = tile * TIC_TILE_COLS, p = step * TIC_TILE_K;
        bool exists = column < packed->n;
        size_t at = (size_t)(across ? column * b.ld : p * b.ld + column);
        int64_t past = tic_ceil_div(first + rows, TIC_TILE_K) * TIC_TILE_K;
        tic_amx_piece piece = {
            .from = (const unsigned char *)b.data + (exists ? at : 0) * tic_dtype_size(b.type),
            .type = b.type,
            .across = across,
            .ld = b.ld,
            .k = (across ? packed->k : tic_least(past, packed->k)) - p,
            .valid = exists ? (int)tic_least(TIC_TILE_COLS, packed->n - column) : 0,
            .to = (unsigned char *)packed->data +
                  (size_t)((tile / 2 * steps + step) * 2 + tile % 2) * TIC_TILE_BYTES,
            .step_bytes = TIC_AMX_PANEL_STEP,
        };
        packing->b(&piece);
    }
}

/* What tests, tuner and auditor ask of a gemm variant: its tile and its packing. */
const tic_gemm_micro tic_gemm_tiles_micro = {
    .tile_m = TIC_TILE_ROWS,
    .tile_n = TIC_AMX_PANEL,
    .format = {.panel = TIC_PANEL_TILES,
               .width = TIC_AMX_PANEL,
               .k_unit = TIC_TILE_K,
               .bytes = tiles_bytes,
               .pack_rows = tiles_pack_rows},
};
