/* Weights as gemm's micro-kernels read them: packed once after they change, by the optimizer's own
 * pass, instead of in every call. Which weights, and in which forms, a measuring pass over a step
 * finds: W for y = x Wᵀ and for dx = dy W. */
#include "room.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list -------------------------------------------------------------------------------- */

static tic_packing *find(tic_packings *packings, int64_t at, tic_trans trans) {
    for (size_t i = 0; i < packings->count; i++)
        if (packings->list[i].at == at && packings->list[i].packed.trans == trans)
            return &packings->list[i];
    return NULL;
}

void tic_list_packing(const tic_pass *pass, const tic_gemm_args *args, int64_t at) {
    tic_packings *packings = pass->tally->packings;
    if (find(packings, at, args->trans) != NULL)
        return;
    tic_packing packing = {.at = at, .packed = tic_gemm_packing(pass->ctx, args)};
    packing.rows = args->trans == TIC_NT ? args->n : args->k;
    packing.columns = args->trans == TIC_NT ? args->k : args->n;
    if (packing.packed.bytes == 0 || packings->failed.status != TIC_OK)
        return;
    if (tic_reserve_one(&packings->list, packings->count, &packings->capacity,
                        sizeof *packings->list, &packings->failed) != TIC_OK)
        return;
    packings->bytes += tic_align_up(packing.packed.bytes);
    packings->list[packings->count++] = packing;
}

const tic_packed *tic_packing_of(const tic_pass *pass, int64_t at, tic_trans trans) {
    tic_packing *packing = pass->packings != NULL ? find(pass->packings, at, trans) : NULL;
    return packing != NULL ? &packing->packed : NULL;
}

/* ---- memory ---------------------------------------------------------------------------------- */

tic_status tic_packings_list(tic_ctx *ctx, tic_model *model, tic_packings *out, tic_error *err) {
    const int tokens = model->config.context_length < TIC_TYPICAL_TOKENS
                           ? model->config.context_length
                           : TIC_TYPICAL_TOKENS;
    tic_tally tally = {.packings = out};
    *out = (tic_packings){0};
    tic_status status = tic_walk_step(ctx, model, tokens, &tally, err);
    if (status == TIC_OK && out->failed.status != TIC_OK)
        status = tic_fail(err, out->failed.status, "%s", out->failed.text);
    if (status != TIC_OK)
        tic_packings_free(out);
    return status;
}

static int by_place(const void *a, const void *b) {
    const tic_packing *x = a, *y = b;
    return x->at != y->at
               ? (x->at > y->at) - (x->at < y->at)
               : (x->packed.trans > y->packed.trans) - (x->packed.trans < y->packed.trans);
}

/* Both packings of a weight are of one matrix; the list is sorted and stays where it is. */
static void fill_matrices(tic_packings *packings) {
    for (size_t i = 0; i < packings->count; i++) {
        const tic_packing *p = &packings->list[i];
        if (i == 0 || p->at != p[-1].at)
            packings->matrices[packings->matrix_count++] =
                (tic_adamw_matrix){.first = p->at, .rows = p->rows, .cols = p->columns};
        tic_adamw_matrix *matrix = &packings->matrices[packings->matrix_count - 1];
        matrix->packed[matrix->packed[0] != NULL] = &p->packed;
    }
}

tic_status tic_packings_book(tic_packings *packings, tic_error *err) {
    const size_t most = packings->count > 0 ? packings->count : 1;
    TIC_TRY(tic_alloc(&packings->memory, packings->bytes, 1, err));
    TIC_TRY(tic_alloc(&packings->matrices, most, sizeof *packings->matrices, err));
    if (packings->count > 0)
        qsort(packings->list, packings->count, sizeof *packings->list, by_place);
    unsigned char *at = packings->memory;
    for (size_t i = 0; i < packings->count; i++) {
        packings->list[i].packed.data = at;
        at += tic_align_up(packings->list[i].packed.bytes);
    }
    fill_matrices(packings);
    return TIC_OK;
}

void tic_packings_free(tic_packings *packings) {
    tic_free(packings->list);
    tic_free(packings->matrices);
    tic_free(packings->memory);
    *packings = (tic_packings){0};
}

/* ---- packing --------------------------------------------------------------------------------- */

/* Rows of a weight that one thread packs at a time: a few whole units, about 64 KiB of f32. */
static int64_t rows_at_a_time(const tic_packing *packing) {
    const int64_t unit = packing->packed.rows_unit;
    const int64_t rows = (16384 / packing->columns + unit - 1) / unit * unit;
    return rows > unit ? rows : unit;
}

void tic_pack_weights(tic_model *model) {
    tic_packings *packings = &model->packings;
    if (packings->fresh)
        return;
    const int threads = tic_ctx_threads(model->ctx);
    if (!packings->whole) {
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
        for (size_t i = 0; i < packings->count; i++) {
            const tic_packing *p = &packings->list[i];
            tic_gemm_pack(&p->packed, tic_f32(model->weights + p->at, p->columns));
        }
        packings->whole = packings->fresh = true;
        return;
    }
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < packings->count; i++) {
        const tic_packing *p = &packings->list[i];
        const tic_mat w = tic_f32(model->weights + p->at, p->columns);
        const int64_t step = rows_at_a_time(p);
#pragma omp for schedule(static) nowait
        for (int64_t first = 0; first < p->rows; first += step)
            tic_gemm_pack_rows(&p->packed, w, first,
                               p->rows - first < step ? p->rows - first : step);
    }
    packings->fresh = true;
}
