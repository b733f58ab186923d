/* Packings of B: what tic_packed describes and who writes it. */
#include "kernels/drive/gemm.h"

#include <string.h>

bool tic_gemm_same_format(const tic_gemm_format *x, const tic_gemm_format *y) {
    return x->panel == y->panel && x->width == y->width && x->k_unit == y->k_unit;
}

const tic_packed *tic_gemm_packed_for(const tic_gemm_args *args, const tic_gemm_format *format) {
    const tic_packed *packed = args->packed_b;
    return packed != NULL && tic_gemm_same_format(packed->format, format) ? packed : NULL;
}

/* ---- panels one after the other -------------------------------------------------------------- */

/* Bytes of one panel over k. */
static size_t panel_bytes(const tic_gemm_format *format, int64_t k) {
    int64_t padded = (k + format->k_unit - 1) / format->k_unit * format->k_unit;
    return (size_t)(padded / tic_panel_step(format->panel) * format->width) * 4;
}

size_t tic_gemm_panels_bytes(const tic_gemm_format *format, int64_t n, int64_t k) {
    int64_t panels = (n + format->width - 1) / format->width;
    return tic_align_up((size_t)panels * panel_bytes(format, k) + TIC_GEMM_SLACK);
}

/* Rows of [n,k]: columns of op(B), whole k. Panels that the rows end with the matrix in are filled
 * up with zeros. */
static void pack_columns(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows) {
    const tic_gemm_format *format = packed->format;
    const size_t bytes = panel_bytes(format, packed->k);
    for (int64_t i = first; i < first + rows;) {
        int64_t in = i % format->width;
        int64_t valid = tic_least(format->width - in, first + rows - i);
        bool end = i + valid == packed->n;
        tic_gemm_panels panel = {
            .kind = format->panel,
            .from = (const char *)b.data + (size_t)(i * b.ld) * tic_dtype_size(b.type),
            .type = b.type,
            .across = true,
            .ld = b.ld,
            .k = packed->k,
            .columns = valid,
            .valid = (int)valid,
            .width = (int)(end ? format->width - in : valid),
            .stride = format->width,
            .round = packed->precision == TIC_BF16 && b.type == TIC_F32,
            .to = (char *)packed->data + (size_t)(i / format->width) * bytes + (size_t)in * 4,
        };
        format->vec->pack(&panel);
        i += valid;
    }
}

/* Rows of [k,n]: steps of every panel. */
static void pack_steps(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows) {
    const tic_gemm_format *format = packed->format;
    const size_t step = (size_t)(first / tic_panel_step(format->panel) * format->width) * 4;
    tic_gemm_panels panels = {
        .kind = format->panel,
        .from = (const char *)b.data + (size_t)(first * b.ld) * tic_dtype_size(b.type),
        .type = b.type,
        .ld = b.ld,
        .k = rows,
        .columns = packed->n,
        .valid = format->width,
        .width = format->width,
        .stride = format->width,
        .round = packed->precision == TIC_BF16 && b.type == TIC_F32,
        .to = (char *)packed->data + step,
        .next = panel_bytes(format, packed->k),
    };
    format->vec->pack(&panels);
}

/* What k is padded with stands behind its last step. */
static void pad_steps(const tic_packed *packed) {
    const tic_gemm_format *format = packed->format;
    const int64_t per = tic_panel_step(format->panel);
    const size_t bytes = panel_bytes(format, packed->k);
    const size_t used = (size_t)((packed->k + per - 1) / per * format->width) * 4;
    for (int64_t j = 0; used < bytes && j < packed->n; j += format->width)
        memset((char *)packed->data + (size_t)(j / format->width) * bytes + used, 0, bytes - used);
}

void tic_gemm_panels_pack_rows(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows) {
    if (rows <= 0)
        return;
    if (packed->trans == TIC_NT)
        pack_columns(packed, b, first, rows);
    else
        pack_steps(packed, b, first, rows);
    if (first + rows == (packed->trans == TIC_NT ? packed->n : packed->k))
        pad_steps(packed);
}

/* ---- kernels.h ------------------------------------------------------------------------------- */

tic_packed tic_gemm_packing(const tic_ctx *ctx, const tic_gemm_args *args) {
    tic_gemm_args unpacked = *args;
    tic_packed packed = {
        .trans = args->trans, .precision = args->precision, .n = args->n, .k = args->k};
    char shape[TIC_SHAPE_TEXT];
    tic_choice choice;
    unpacked.packed_b = NULL;
    tic_gemm_shape(&unpacked, shape);
    if (tic_choose(ctx, TIC_OP_GEMM, args->precision, shape, &unpacked, &choice, NULL) != TIC_OK ||
        choice.variant->packs == NULL)
        return packed;
    packed.format = choice.variant->packs;
    packed.bytes = packed.format->bytes(packed.format, args->n, args->k);
    packed.rows_unit = args->trans == TIC_NT ? packed.format->width : packed.format->k_unit;
    return packed;
}

void tic_gemm_pack_rows(const tic_packed *packed, tic_mat b, int64_t first, int64_t rows) {
    packed->format->pack_rows(packed, b, first, rows);
}

void tic_gemm_pack(const tic_packed *packed, tic_mat b) {
    tic_gemm_pack_rows(packed, b, 0, packed->trans == TIC_NT ? packed->n : packed->k);
}
