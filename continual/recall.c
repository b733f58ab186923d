/* Recall@k over features: scores in strips of rows, never the whole matrix. */
#include "room.h"
#include <math.h>

enum { STRIP = 128 }; /* queries scored at once: 128 x nc floats */

static int32_t group_at(const int32_t *group, int64_t i) {
    return group != NULL ? group[i] : (int32_t)i;
}

/* Whether a query with these scores hits: its best positive is beaten or tied by fewer than k of
 * the others. A NaN among the others beats it; a NaN positive does not hit. */
static bool hits(const float *scores, int32_t group, const int32_t *candidate_group, int64_t nc,
                 int k) {
    float best = -INFINITY;
    bool found = false;
    for (int64_t j = 0; j < nc; j++)
        if (group_at(candidate_group, j) == group && scores[j] >= best) {
            best = scores[j];
            found = true;
        }
    if (!found)
        return false;
    int64_t ahead = 0;
    for (int64_t j = 0; j < nc; j++)
        ahead += group_at(candidate_group, j) != group && !(scores[j] < best);
    return ahead < k;
}

tic_status tic_recall_hits(tic_ctx *ctx, const float *query, const int32_t *query_group, int64_t nq,
                           const float *candidate, const int32_t *candidate_group, int64_t nc,
                           int64_t d, int k, int64_t *out, tic_error *err) {
    float *scores;
    tic_status status = TIC_OK;
    int64_t sum = 0;
    *out = 0;
    TIC_TRY(tic_alloc(&scores, (size_t)(STRIP * nc), sizeof(float), err));
    for (int64_t q = 0; q < nq && status == TIC_OK; q += STRIP) {
        int64_t rows = nq - q < STRIP ? nq - q : STRIP;
        tic_gemm_args args = {.trans = TIC_NT,
                              .precision = TIC_F32,
                              .m = rows,
                              .n = nc,
                              .k = d,
                              .a = tic_f32(query + q * d, d),
                              .b = tic_f32(candidate, d),
                              .c = tic_f32(scores, nc)};
        status = tic_gemm(ctx, &args, err);
        for (int64_t i = 0; i < rows && status == TIC_OK; i++)
            sum += hits(scores + i * nc, group_at(query_group, q + i), candidate_group, nc, k);
    }
    tic_free(scores);
    *out = sum;
    return status;
}

tic_status tic_recall_at(tic_ctx *ctx, const float *image, const float *text, int64_t n, int64_t d,
                         int k, tic_recall *out, tic_error *err) {
    int64_t images, texts;
    if (n < 1 || n > INT32_MAX || d < 1 || k < 1)
        return tic_fail(err, TIC_EUSAGE, "recall@%d of %lld pairs of %lld features", k,
                        (long long)n, (long long)d);
    TIC_TRY(tic_recall_hits(ctx, image, NULL, n, text, NULL, n, d, k, &images, err));
    TIC_TRY(tic_recall_hits(ctx, text, NULL, n, image, NULL, n, d, k, &texts, err));
    out->image_to_text = (double)images / (double)n;
    out->text_to_image = (double)texts / (double)n;
    out->mean = (double)(images + texts) / (2.0 * (double)n);
    return TIC_OK;
}
