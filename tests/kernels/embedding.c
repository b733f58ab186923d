/* The embedding of tokens and patches, forward and backward. Every variant adds in row order, so
 * all of them must give the reference's bits. */
#include "operands.h"

enum { VOCAB = 11, LONGEST = 9 };
static const int32_t text_offsets[] = {0, 3, 4, 13, 20}, vision_offsets[] = {0, 5, 10, 15, 20};
static const int32_t ids[20] = {0, 3, 10, 3, 0, 1, 2, 3, 4, 5, 6, 7, 10, 3, 3, 3, 9, 8, 7, 10};
enum { SEQUENCES = 4, ROWS = 20, PATCHES = 16 };

static tic_embedding_args make(int64_t d, bool vision, tic_dtype type) {
    return (tic_embedding_args){.sequences = SEQUENCES,
                                .offsets = vision ? vision_offsets : text_offsets,
                                .ids = vision ? NULL : ids,
                                .d = d,
                                .vocab = VOCAB,
                                .table = normals(VOCAB * d, 1, 1),
                                .position = normals(LONGEST * d, 2, 1),
                                .patches = normals(PATCHES * d, 3, 1),
                                .x = zeros(ROWS * d),
                                .dx = normals(ROWS * d, 4, 1),
                                .dtable = normals(VOCAB * d, 5, 1),
                                .dposition = normals(LONGEST * d, 6, 1),
                                .dpatches = mat_of(zeros(PATCHES * d), PATCHES, d, type)};
}

static void both(tic_ctx *ctx, const tic_embedding_args *a, const char *variant) {
    force(ctx, TIC_OP_EMBEDDING, variant);
    force(ctx, TIC_OP_EMBEDDING_BACKWARD, variant);
    CHECK_OK(tic_embedding(ctx, a, err));
    CHECK_OK(tic_embedding_backward(ctx, a, err));
}

static void compare(const tic_embedding_args *got, const tic_embedding_args *want, int threads) {
    const size_t row = (size_t)got->d * sizeof(float);
    same_bits(got->x, want->x, ROWS * row, "x", threads);
    same_bits(got->dtable, want->dtable, VOCAB * row, "dtable", threads);
    same_bits(got->dposition, want->dposition, LONGEST * row, "dposition", threads);
    same_bits(got->dpatches.data, want->dpatches.data,
              (size_t)(PATCHES * got->d) * tic_dtype_size(got->dpatches.type), "dpatches", threads);
}

Test(embedding, every_variant_gives_the_bits_of_the_reference) {
    static const int64_t widths[] = {1, 7, 64, 130};
    for (int t = 0; t < THREAD_COUNTS; t++)
        for (int i = 0; i < 4; i++)
            for (int kind = 0; kind < 3; kind++) {
                const bool vision = kind > 0;
                const tic_dtype type = kind == 2 ? TIC_BF16 : TIC_F32;
                tic_ctx *ctx = check_ctx(thread_counts[t]);
                const tic_embedding_args want = make(widths[i], vision, type);
                both(ctx, &want, "ref");
                for (int v = -1; (v = check_next(ctx, TIC_OP_EMBEDDING, v)) >= 0;) {
                    const tic_embedding_args got = make(widths[i], vision, type);
                    both(ctx, &got, tic_variant_get(v).name);
                    compare(&got, &want, thread_counts[t]);
                }
                tic_ctx_free(ctx);
            }
}

Test(embedding, rows_by_hand) {
    enum { D = 2 };
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_EMBEDDING, v)) >= 0;) {
        const tic_embedding_args text = make(D, false, TIC_F32), vision = make(D, true, TIC_F32);
        CHECK_OK(tic_embedding(ctx, &text, err));
        CHECK_OK(tic_embedding(ctx, &vision, err));
        /* row 5 of the text is row 1 of sequence 2, with id 1 */
        cr_assert_eq(text.x[5 * D + 1], text.table[D + 1] + text.position[D + 1]);
        /* row 10 of the pictures is the class row of picture 2, row 12 its second patch */
        cr_assert_eq(vision.x[10 * D], vision.table[0] + vision.position[0]);
        cr_assert_eq(vision.x[12 * D], vision.patches[(2 * 4 + 1) * D] + vision.position[2 * D]);
    }
    tic_ctx_free(ctx);
}

static tic_ctx *loss_ctx;

static double loss(void *state) {
    const tic_embedding_args *a = state;
    CHECK_OK(tic_embedding(loss_ctx, a, err));
    return weighted(a->x, a->dx, ROWS * a->d);
}

Test(embedding, gradients_are_those_of_the_forward_pass) {
    enum { D = 5 };
    loss_ctx = check_ctx(2);
    for (int vision = 0; vision < 2; vision++) {
        tic_embedding_args a = make(D, vision, TIC_F32);
        memset(a.dtable, 0, VOCAB * D * sizeof(float));
        memset(a.dposition, 0, LONGEST * D * sizeof(float));
        CHECK_OK(tic_embedding_backward(loss_ctx, &a, err));
        gradient_of(loss, &a, (float *)a.table, VOCAB * D, a.dtable, 0x1p-4, "dtable");
        gradient_of(loss, &a, (float *)a.position, LONGEST * D, a.dposition, 0x1p-4, "dposition");
        if (vision)
            gradient_of(loss, &a, (float *)a.patches, PATCHES * D, a.dpatches.data, 0x1p-4,
                        "dpatches");
    }
    tic_ctx_free(loss_ctx);
}

Test(embedding, impossible_arguments_are_refused) {
    tic_ctx *ctx = check_ctx(1);
    tic_embedding_args a = make(4, false, TIC_F32);
    a.vocab = 10;
    CHECK_FAILS(TIC_EUSAGE, "row 2 has id 10", tic_embedding(ctx, &a, err));
    a = make(4, true, TIC_F32);
    a.offsets = text_offsets;
    CHECK_FAILS(TIC_EUSAGE, "sequence 1 has 1 rows", tic_embedding(ctx, &a, err));
    a = make(4, true, TIC_F32);
    a.dpatches.data = NULL;
    CHECK_FAILS(TIC_EUSAGE, "missing", tic_embedding_backward(ctx, &a, err));
    a.sequences = 0;
    CHECK_OK(tic_embedding(ctx, &a, err));
    tic_ctx_free(ctx);
}
