/* Recall by hand: hits, ties, NaN, several positives, and more queries than a strip holds. */
#include "continual/room.h"
#include <criterion/criterion.h>
#include <math.h>

static tic_ctx *ctx;
static tic_error err;

static void open_context(void) {
    cr_assert_eq(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 2}, &err), TIC_OK, "%s", err.text);
}
static void close_context(void) {
    tic_ctx_free(ctx);
}
TestSuite(recall, .init = open_context, .fini = close_context);

static tic_recall recall_of(const float *image, const float *text, int64_t n, int64_t d, int k) {
    tic_recall r;
    cr_assert_eq(tic_recall_at(ctx, image, text, n, d, k, &r, &err), TIC_OK, "%s", err.text);
    return r;
}

Test(recall, by_hand) {
    /* Pictures 0 and 1 find their captions; picture 2 scores caption 1 higher. Captions 0 and 1
     * find their pictures; caption 2 scores picture 0 higher than its own. */
    const float image[] = {1, 0, 0, 1, 0.6f, 0.8f};
    const float text[] = {0.9f, 0, 0, 0.9f, 0.7f, 0};
    tic_recall r = recall_of(image, text, 3, 2, 1);
    cr_assert(r.image_to_text == 2.0 / 3, "%g", r.image_to_text);
    cr_assert(r.text_to_image == 2.0 / 3, "%g", r.text_to_image);
    cr_assert(r.mean == 2.0 / 3);
    /* Caption 2's own picture is the second of its three. */
    cr_assert(recall_of(image, text, 3, 2, 2).text_to_image == 1);
    cr_assert(recall_of(image, text, 3, 2, 3).mean == 1);
}

Test(recall, ties_count_against_the_model) {
    float same[5 * 4];
    for (int i = 0; i < 20; i++)
        same[i] = 0.5f;
    cr_assert(recall_of(same, same, 5, 4, 1).mean == 0);
    cr_assert(recall_of(same, same, 5, 4, 4).mean == 0);
    cr_assert(recall_of(same, same, 5, 4, 5).mean == 1);
}

Test(recall, nan_never_hits) {
    /* Caption 0 is NaN: it spoils both pictures' queries and its own. Caption 1 finds picture 1. */
    const float image[] = {1, 0, 0, 1}, text[] = {NAN, 0, 0, 1};
    tic_recall r = recall_of(image, text, 2, 2, 1);
    cr_assert(r.image_to_text == 0, "%g", r.image_to_text);
    cr_assert(r.text_to_image == 0.5, "%g", r.text_to_image);
}

Test(recall, refusals) {
    const float x[1] = {1};
    tic_recall r;
    cr_assert_eq(tic_recall_at(ctx, x, x, 0, 1, 1, &r, &err), TIC_EUSAGE);
    cr_assert_eq(tic_recall_at(ctx, x, x, 1, 1, 0, &r, &err), TIC_EUSAGE);
}

/* More rows than a strip, whole numbers so that every score is exact, against a loop. */
Test(recall, many_against_a_loop) {
    enum { N = 301, D = 5 };
    static float image[N * D], text[N * D];
    tic_random key = {.seed = 1, .purpose = TIC_RNG_BENCH};
    for (int i = 0; i < N * D; i++) {
        image[i] = (float)(int)tic_random_below(key, (uint64_t)i, 9) - 4;
        text[i] = image[i] + (float)(int)tic_random_below(key, (uint64_t)(i + N * D), 3) - 1;
    }
    for (int k = 1; k <= 10; k += 9) {
        int to_text = 0, to_image = 0;
        for (int i = 0; i < N; i++) {
            int ahead_text = 0, ahead_image = 0;
            float own = 0;
            for (int c = 0; c < D; c++)
                own += image[i * D + c] * text[i * D + c];
            for (int j = 0; j < N; j++) {
                float a = 0, b = 0;
                for (int c = 0; c < D; c++) {
                    a += image[i * D + c] * text[j * D + c];
                    b += image[j * D + c] * text[i * D + c];
                }
                ahead_text += j != i && a >= own;
                ahead_image += j != i && b >= own;
            }
            to_text += ahead_text < k;
            to_image += ahead_image < k;
        }
        tic_recall r = recall_of(image, text, N, D, k);
        cr_assert(to_text > 0 && to_text < N, "the case says nothing");
        cr_assert(r.image_to_text == (double)to_text / N);
        cr_assert(r.text_to_image == (double)to_image / N);
    }
}

Test(recall, several_positives_and_none) {
    /* Candidates 0 and 2 belong to group 7, candidate 1 to group 8. */
    const float query[] = {1, 0, 0, 1, 1, 0}, candidate[] = {0.1f, 0.9f, 0.5f, 0.5f, 0.9f, 0};
    const int32_t of_query[] = {7, 8, 9}, of_candidate[] = {7, 8, 7};
    int64_t hits;
    /* Query 0: best positive 0.9 (candidate 2) against 0.5. Query 1: 0.5 against 0.9 (candidate 0).
     * Query 2 has no positive. */
    cr_assert_eq(
        tic_recall_hits(ctx, query, of_query, 3, candidate, of_candidate, 3, 2, 1, &hits, &err),
        TIC_OK);
    cr_assert_eq(hits, 1);
    cr_assert_eq(
        tic_recall_hits(ctx, query, of_query, 3, candidate, of_candidate, 3, 2, 2, &hits, &err),
        TIC_OK);
    cr_assert_eq(hits, 2);
}
