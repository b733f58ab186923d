/* Patchify: every variant against the reference, and the reference against a picture by hand. */
#include "operands.h"

static const int shapes[][3] = {{1, 1, 1}, {3, 8, 4}, {2, 40, 8}, {5, 21, 7}, {1, 64, 32}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* ld: 3 elements more than a row. */
static tic_patchify_args make(int n, int size, int patch, tic_dtype type) {
    const int64_t grid = size / patch, rows = n * grid * grid, ld = 3 * patch * patch + 3;
    uint8_t *pixels = check_guarded_new((size_t)(n * size * size * 3), false).data;
    for (int i = 0; i < n * size * size * 3; i++)
        pixels[i] = (uint8_t)tic_random_u32((tic_random){3, TIC_RNG_BENCH, 0}, (uint64_t)i);
    return (tic_patchify_args){.n = n,
                               .size = size,
                               .patch = patch,
                               .pixels = pixels,
                               .mean = {.48f, .45f, .4f},
                               .std = {.26f, .27f, .28f},
                               .out = mat_of(zeros(rows * ld), rows, ld, type)};
}

Test(patchify, every_variant_gives_the_bits_of_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < SHAPES; i++)
        for (int type = TIC_F32; type <= TIC_BF16; type++) {
            const int *s = shapes[i];
            const int grid = s[1] / s[2];
            const tic_patchify_args want = make(s[0], s[1], s[2], (tic_dtype)type);
            const size_t bytes =
                (size_t)(s[0] * grid * grid * want.out.ld) * tic_dtype_size((tic_dtype)type);
            force(ctx, TIC_OP_PATCHIFY, "ref");
            CHECK_OK(tic_patchify(ctx, &want, err));
            for (int v = -1; (v = check_next(ctx, TIC_OP_PATCHIFY, v)) >= 0;) {
                const tic_patchify_args got = make(s[0], s[1], s[2], (tic_dtype)type);
                CHECK_OK(tic_patchify(ctx, &got, err));
                same_bits(got.out.data, want.out.data, bytes, "out", 2);
            }
        }
    tic_ctx_free(ctx);
}

Test(patchify, pixel_goes_where_conv1_wants_it) {
    tic_ctx *ctx = check_ctx(1);
    const tic_patchify_args a = make(2, 6, 2, TIC_F32);
    CHECK_OK(tic_patchify(ctx, &a, err));
    /* picture 1, line 3, column 4, blue: patch (1, 2), within it line 1, column 0 */
    const double pixel = a.pixels[((6 + 3) * 6 + 4) * 3 + 2];
    const float got = ((float *)a.out.data)[((3 + 1) * 3 + 2) * a.out.ld + 2 * 4 + 2];
    cr_assert(check_near(got, (pixel / 255 - a.mean[2]) / a.std[2], 4 * EPS));
    tic_ctx_free(ctx);
}

Test(patchify, impossible_arguments_are_refused) {
    tic_ctx *ctx = check_ctx(1);
    tic_patchify_args a = make(1, 8, 4, TIC_F32);
    a.patch = 3;
    CHECK_FAILS(TIC_EUSAGE, "patches of 3", tic_patchify(ctx, &a, err));
    a.patch = 4;
    a.std[1] = 0;
    CHECK_FAILS(TIC_EUSAGE, "channel 1", tic_patchify(ctx, &a, err));
    a.std[1] = 1;
    a.out.ld = 47;
    CHECK_FAILS(TIC_EUSAGE, "narrow", tic_patchify(ctx, &a, err));
    a.n = 0;
    CHECK_OK(tic_patchify(ctx, &a, err));
    tic_ctx_free(ctx);
}
