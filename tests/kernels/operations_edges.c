/* The operations bound by memory at their edges: the same bits wherever operands lie and whatever
 * lies beside them, denormals kept, NaN and infinities that go where arithmetic sends them. */
#include "operands.h"

/* ---- wherever operands lie ------------------------------------------------------------------- */

/* From a page's first byte on, up to a page's last one, and one element off the first; the pages
 * beside are nobody's. */
enum { AT_START, AT_END, SHIFTED, PLACES };
static int place;

static void *put(const void *x, size_t bytes, size_t element_bytes) {
    char *at = place == SHIFTED ? (char *)check_guarded_new(bytes + 64, true).data + element_bytes
                                : check_guarded_new(bytes, place == AT_START).data;
    return x != NULL ? memcpy(at, x, bytes) : memset(at, 0, bytes);
}

static float *some(int64_t n, uint32_t lane) {
    return put(normals(n, lane, 1), (size_t)n * sizeof(float), sizeof(float));
}

static float *none(int64_t n) {
    return put(NULL, (size_t)n * sizeof(float), sizeof(float));
}

static tic_mat some_mat(int64_t rows, int64_t ld, uint32_t lane, tic_dtype type) {
    const size_t element_bytes = tic_dtype_size(type), bytes = (size_t)(rows * ld) * element_bytes;
    const tic_mat from = mat_of(normals(rows * ld, lane, 1), rows, ld, type);
    return (tic_mat){put(from.data, bytes, element_bytes), type, ld};
}

enum { MOST_OUTPUTS = 8 };
typedef struct outputs {
    struct {
        const void *data;
        size_t bytes;
    } list[MOST_OUTPUTS];
    int count;
} outputs;

static void keep(outputs *o, const void *data, int64_t elements, tic_dtype type) {
    cr_assert(o->count < MOST_OUTPUTS);
    o->list[o->count].data = data;
    o->list[o->count++].bytes = (size_t)elements * tic_dtype_size(type);
}

static void layernorm(tic_ctx *ctx, int64_t rows, int64_t d, tic_dtype type, outputs *out) {
    const tic_layernorm_args a = {.rows = rows,
                                  .d = d,
                                  .eps = 1e-5f,
                                  .x = some(rows * d, 1),
                                  .ld_x = d,
                                  .gamma = some(d, 2),
                                  .beta = some(d, 3),
                                  .y = some_mat(rows, d, 4, type),
                                  .mean = none(rows),
                                  .rstd = none(rows),
                                  .dy = some_mat(rows, d, 5, type),
                                  .dx = some(rows * d, 6),
                                  .ld_dx = d,
                                  .add_dx = true,
                                  .dgamma = some(d, 7),
                                  .dbeta = some(d, 8)};
    CHECK_OK(tic_layernorm(ctx, &a, err));
    CHECK_OK(tic_layernorm_backward(ctx, &a, err));
    keep(out, a.y.data, rows * d, type);
    keep(out, a.mean, rows, TIC_F32);
    keep(out, a.rstd, rows, TIC_F32);
    keep(out, a.dx, rows * d, TIC_F32);
    keep(out, a.dgamma, d, TIC_F32);
    keep(out, a.dbeta, d, TIC_F32);
}

static void l2norm(tic_ctx *ctx, int64_t rows, int64_t d, tic_dtype type, outputs *out) {
    const tic_l2norm_args a = {.rows = rows,
                               .d = d,
                               .eps = 1e-12f,
                               .x = some(rows * d, 1),
                               .y = none(rows * d),
                               .inverse = none(rows),
                               .dy = some(rows * d, 2),
                               .dx = none(rows * d)};
    (void)type;
    CHECK_OK(tic_l2norm(ctx, &a, err));
    CHECK_OK(tic_l2norm_backward(ctx, &a, err));
    keep(out, a.y, rows * d, TIC_F32);
    keep(out, a.inverse, rows, TIC_F32);
    keep(out, a.dx, rows * d, TIC_F32);
}

static void adamw(tic_ctx *ctx, int64_t rows, int64_t d, tic_dtype type, outputs *out) {
    const int64_t n = rows * d;
    double *squares = put(NULL, sizeof *squares, sizeof *squares);
    const tic_adamw_args a = {.n = n,
                              .w = some(n, 1),
                              .g = some(n, 2),
                              .m = some(n, 3),
                              .v = none(n),
                              .lr = 1e-2f,
                              .beta1 = 0.9f,
                              .beta2 = 0.98f,
                              .eps = 1e-6f,
                              .weight_decay = 0.2f,
                              .grad_scale = 0.5f,
                              .step = 3,
                              .zero_grad = type == TIC_BF16, /* else g stays as it is */
                              .squares = squares};
    CHECK_OK(tic_adamw(ctx, &a, err));
    keep(out, a.w, n, TIC_F32);
    keep(out, a.g, n, TIC_F32);
    keep(out, a.m, n, TIC_F32);
    keep(out, a.v, n, TIC_F32);
    keep(out, squares, 2, TIC_F32);
}

/* `rows` sequences of three, of tokens or of a class and two patches. */
static void embedding(tic_ctx *ctx, int64_t rows, int64_t d, tic_dtype type, outputs *out) {
    enum { LENGTH = 3, MOST = 100, VOCAB = 7 };
    static int32_t offsets[MOST + 1], ids[LENGTH * MOST];
    const int64_t all = rows * LENGTH;
    cr_assert(rows <= MOST);
    for (int32_t i = 0; i <= rows; i++)
        offsets[i] = i * LENGTH;
    for (int32_t i = 0; i < all; i++)
        ids[i] = i * 5 % VOCAB;
    const size_t ids_bytes = (size_t)all * sizeof *ids;
    for (int vision = 0; vision < 2; vision++) {
        tic_embedding_args a = {
            .sequences = rows,
            .offsets = put(offsets, (size_t)(rows + 1) * sizeof *offsets, sizeof *offsets),
            .ids = vision ? NULL : put(ids, ids_bytes, sizeof *ids),
            .d = d,
            .vocab = VOCAB,
            .table = some(VOCAB * d, 1),
            .position = some(LENGTH * d, 2),
            .patches = some(rows * (LENGTH - 1) * d, 3),
            .x = none(all * d),
            .dx = some(all * d, 4),
            .dtable = some(VOCAB * d, 5),
            .dposition = some(LENGTH * d, 6)};
        if (vision)
            a.dpatches = some_mat(rows * (LENGTH - 1), d, 7, type);
        CHECK_OK(tic_embedding(ctx, &a, err));
        CHECK_OK(tic_embedding_backward(ctx, &a, err));
        keep(out, a.x, all * d, TIC_F32);
        keep(out, a.dtable, VOCAB * d, TIC_F32);
        keep(out, a.dposition, LENGTH * d, TIC_F32);
        if (vision)
            keep(out, a.dpatches.data, rows * (LENGTH - 1) * d, type);
    }
}

/* `rows` pictures of 2 x 2 patches. */
static void patchify(tic_ctx *ctx, int64_t rows, int64_t d, tic_dtype type, outputs *out) {
    const int patch = (int)(d % 9) + 1, size = 2 * patch;
    const size_t bytes = (size_t)rows * (size_t)(size * size * 3);
    uint8_t *pixels = put(NULL, bytes, 1);
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)tic_random_u32((tic_random){3, TIC_RNG_BENCH, 0}, i);
    const tic_patchify_args a = {.n = rows,
                                 .size = size,
                                 .patch = patch,
                                 .pixels = pixels,
                                 .mean = {.48f, .45f, .4f},
                                 .std = {.26f, .27f, .28f},
                                 .out = some_mat(rows * 4, 3 * patch * patch, 1, type)};
    CHECK_OK(tic_patchify(ctx, &a, err));
    keep(out, a.out.data, rows * 4 * a.out.ld, type);
}

typedef void operation(tic_ctx *ctx, int64_t rows, int64_t d, tic_dtype type, outputs *out);

/* A row may be any part of a vector, of two, of a block of four, and more. */
static void wherever(operation *run, tic_op forward, tic_op backward) {
    static const int64_t widths[] = {1, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 769};
    tic_ctx *ctx = check_ctx(2);
    for (int v = -1; (v = check_next(ctx, forward, v)) >= 0;) {
        force(ctx, backward, tic_variant_get(v).name);
        for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
            for (int type = TIC_F32; type <= TIC_BF16; type++) {
                outputs first = {.count = 0};
                for (place = 0; place < PLACES; place++) {
                    outputs got = {.count = 0};
                    run(ctx, 1 + 2 * (int64_t)i, widths[i], (tic_dtype)type, &got);
                    if (place == 0)
                        first = got;
                    for (int o = 0; o < got.count; o++)
                        cr_assert_eq(
                            memcmp(got.list[o].data, first.list[o].data, got.list[o].bytes), 0,
                            "%s, width %lld, output %d differs at place %d",
                            tic_variant_get(v).name, (long long)widths[i], o, place);
                }
            }
    }
    tic_ctx_free(ctx);
}

Test(operations_edges, layernorm_wherever_operands_lie) {
    wherever(layernorm, TIC_OP_LAYERNORM, TIC_OP_LAYERNORM_BACKWARD);
}
Test(operations_edges, l2norm_wherever_operands_lie) {
    wherever(l2norm, TIC_OP_L2NORM, TIC_OP_L2NORM_BACKWARD);
}
Test(operations_edges, adamw_wherever_operands_lie) {
    wherever(adamw, TIC_OP_ADAMW, TIC_OP_ADAMW);
}
Test(operations_edges, embedding_wherever_operands_lie) {
    wherever(embedding, TIC_OP_EMBEDDING, TIC_OP_EMBEDDING_BACKWARD);
}
Test(operations_edges, patchify_wherever_operands_lie) {
    wherever(patchify, TIC_OP_PATCHIFY, TIC_OP_PATCHIFY);
}

/* ---- denormals ------------------------------------------------------------------------------- */

#define LEAST 0x1p-149 /* a unit in the last place of a denormal */
enum { ROWS = 9, D = 53 };

/* x and dy are denormal, and so are y and dx: with beta zero a kernel that took them for zeros
 * would give zeros. rstd is 1 / sqrt(eps) = 2^6 forward; backward it is 1 or so. */
Test(operations_edges, layernorm_keeps_denormals) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_LAYERNORM, v)) >= 0;)
        for (int type = TIC_F32; type <= TIC_BF16; type++) {
            const char *name = tic_variant_get(v).name;
            tic_layernorm_args a = {.rows = ROWS,
                                    .d = D,
                                    .eps = 0x1p-12f,
                                    .x = normals(ROWS * D, 1, 0x1p-135),
                                    .ld_x = D,
                                    .gamma = normals(D, 2, 1),
                                    .beta = zeros(D),
                                    .mean = zeros(ROWS),
                                    .rstd = zeros(ROWS),
                                    .ld_dx = D};
            tic_mat y[2];
            float *dx[2];
            for (int ref = 0; ref < 2; ref++) {
                force(ctx, TIC_OP_LAYERNORM, ref ? "ref" : name);
                a.y = y[ref] = mat_of(zeros(ROWS * D), ROWS, D, (tic_dtype)type);
                CHECK_OK(tic_layernorm(ctx, &a, err));
            }
            /* mean and each difference err by a unit, times rstd and |gamma| < 4 */
            mat_close_to(y[0], y[1], ROWS * D, 4 * 64 * (2 + sqrt(D)) * LEAST, "y");
            cr_assert(largest(floats_of(y[1], ROWS * D), ROWS * D) > 0x1p-130);
            a.x = normals(ROWS * D, 3, 1);
            a.dy = mat_of(normals(ROWS * D, 4, 0x1p-135), ROWS, D, (tic_dtype)type);
            CHECK_OK(tic_layernorm(ctx, &a, err)); /* by the reference: mean and rstd */
            for (int ref = 0; ref < 2; ref++) {
                force(ctx, TIC_OP_LAYERNORM_BACKWARD, ref ? "ref" : name);
                a.dx = dx[ref] = zeros(ROWS * D);
                a.dgamma = zeros(D);
                a.dbeta = zeros(D);
                CHECK_OK(tic_layernorm_backward(ctx, &a, err));
                cr_assert(largest(a.dbeta, D) > 0x1p-136 && largest(a.dgamma, D) > 0x1p-136);
            }
            /* g and the sums of g and of g xhat, |xhat| < 4, each err by a unit a term */
            close_to(dx[0], dx[1], ROWS * D, 2 * (4 + D / 4 + 4) * LEAST, 0, "dx");
            cr_assert(largest(dx[1], ROWS * D) > 0x1p-136);
        }
    tic_ctx_free(ctx);
}

/* A row shorter than eps is divided by eps, so its denormals become numbers again; a gradient of
 * denormals goes back through norms of about 7. */
Test(operations_edges, l2norm_keeps_denormals) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_L2NORM, v)) >= 0;) {
        tic_l2norm_args a = {.rows = ROWS,
                             .d = D,
                             .eps = 1e-12f,
                             .x = normals(ROWS * D, 1, 0x1p-135),
                             .y = zeros(ROWS * D),
                             .inverse = zeros(ROWS)};
        CHECK_OK(tic_l2norm(ctx, &a, err));
        for (int64_t i = 0; i < ROWS * D; i++) {
            const double want = a.x[i] / 1e-12;
            cr_assert(check_near(a.y[i], want, 4 * EPS * fabs(want)), "%g, not %g", a.y[i], want);
        }
        float *dx[2];
        a.x = normals(ROWS * D, 2, 1);
        a.dy = normals(ROWS * D, 3, 0x1p-135);
        for (int ref = 0; ref < 2; ref++) {
            force(ctx, TIC_OP_L2NORM_BACKWARD, ref ? "ref" : tic_variant_get(v).name);
            a.dx = dx[ref] = zeros(ROWS * D);
            CHECK_OK(tic_l2norm(ctx, &a, err));
            CHECK_OK(tic_l2norm_backward(ctx, &a, err));
        }
        close_to(dx[0], dx[1], ROWS * D, (4 + D) * LEAST, 0, "dx"); /* the dot product: d terms */
        cr_assert(largest(dx[1], ROWS * D) > 0x1p-139);
    }
    tic_ctx_free(ctx);
}

/* g and m are denormal, g squared is nothing: the step is lr / (1 - b1) m / eps. */
Test(operations_edges, adamw_keeps_denormals) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_ADAMW, v)) >= 0;) {
        const tic_adamw_args a = {.n = D,
                                  .w = zeros(D),
                                  .g = normals(D, 1, 0x1p-130),
                                  .m = zeros(D),
                                  .v = zeros(D),
                                  .lr = 1,
                                  .beta1 = 0.5f,
                                  .beta2 = 0.5f,
                                  .eps = 0x1p-40f,
                                  .grad_scale = 1,
                                  .step = 1};
        CHECK_OK(tic_adamw(ctx, &a, err));
        for (int i = 0; i < D; i++) {
            const double m = 0.5 * a.g[i], w = -m / 0.5 / 0x1p-40;
            cr_assert(check_near(a.m[i], m, LEAST));
            cr_assert(check_near(a.w[i], w, 2 * LEAST * 0x1p40 + 4 * EPS * fabs(w)));
            cr_assert(a.w[i] != 0 || a.g[i] == 0);
        }
    }
    tic_ctx_free(ctx);
}

/* ---- embedding: exact, whatever the numbers -------------------------------------------------- */

static const float specials[] = {NAN, INFINITY, -INFINITY, 0x1p-140f, -0x1p-149f, -0.0f, 3e38f};
enum { SPECIALS = sizeof specials / sizeof specials[0] };

static void poison(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i += 3)
        x[i] = specials[i / 3 % SPECIALS];
}

static void same_numbers(const float *got, const float *want, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++)
        cr_assert(isnan(want[i]) ? isnan(got[i]) : memcmp(got + i, want + i, sizeof *got) == 0,
                  "%s[%lld]: %g, not %g", what, (long long)i, got[i], want[i]);
}

Test(operations_edges, embedding_passes_every_number_on) {
    enum { WIDTH = 37, VOCAB = 4, LENGTH = 3, SEQUENCES = 5, ALL = LENGTH * SEQUENCES };
    static const int32_t offsets[] = {0, 3, 6, 9, 12, 15};
    static const int32_t ids[ALL] = {0, 1, 2, 3, 0, 1, 1, 1, 2, 3, 3, 3, 2, 1, 0};
    tic_ctx *ctx = check_ctx(2);
    for (int v = -1; (v = check_next(ctx, TIC_OP_EMBEDDING, v)) >= 0;)
        for (int vision = 0; vision < 2; vision++)
            for (int type = TIC_F32; type <= TIC_BF16; type++) {
                tic_embedding_args a[2];
                const int64_t patches = SEQUENCES * (LENGTH - 1) * WIDTH;
                for (int ref = 0; ref < 2; ref++) {
                    const char *name = ref ? "ref" : tic_variant_get(v).name;
                    a[ref] = (tic_embedding_args){.sequences = SEQUENCES,
                                                  .offsets = offsets,
                                                  .ids = vision ? NULL : ids,
                                                  .d = WIDTH,
                                                  .vocab = VOCAB,
                                                  .table = normals(VOCAB * WIDTH, 1, 1),
                                                  .position = normals(LENGTH * WIDTH, 2, 0x1p-130),
                                                  .patches = normals(patches, 3, 0x1p-135),
                                                  .x = zeros(ALL * WIDTH),
                                                  .dx = normals(ALL * WIDTH, 4, 0x1p-135),
                                                  .dtable = normals(VOCAB * WIDTH, 5, 0x1p-135),
                                                  .dposition = zeros(LENGTH * WIDTH),
                                                  .dpatches = mat_of(zeros(patches),
                                                                     SEQUENCES * (LENGTH - 1),
                                                                     WIDTH, (tic_dtype)type)};
                    poison((float *)a[ref].table, VOCAB * WIDTH);
                    poison((float *)a[ref].patches, patches);
                    poison((float *)a[ref].dx, ALL * WIDTH);
                    force(ctx, TIC_OP_EMBEDDING, name);
                    force(ctx, TIC_OP_EMBEDDING_BACKWARD, name);
                    CHECK_OK(tic_embedding(ctx, &a[ref], err));
                    CHECK_OK(tic_embedding_backward(ctx, &a[ref], err));
                }
                same_numbers(a[0].x, a[1].x, ALL * WIDTH, "x");
                same_numbers(a[0].dtable, a[1].dtable, VOCAB * WIDTH, "dtable");
                same_numbers(a[0].dposition, a[1].dposition, LENGTH * WIDTH, "dposition");
                same_numbers(floats_of(a[0].dpatches, patches), floats_of(a[1].dpatches, patches),
                             patches, "dpatches");
            }
    tic_ctx_free(ctx);
}

/* ---- NaN and infinities ---------------------------------------------------------------------- */

/* In dy they stay in their row of dx, and in their column of dgamma and dbeta. */
Test(operations_edges, layernorm_backward_spreads_no_further) {
    tic_ctx *ctx = check_ctx(2);
    for (int v = -1; (v = check_next(ctx, TIC_OP_LAYERNORM_BACKWARD, v)) >= 0;)
        for (int type = TIC_F32; type <= TIC_BF16; type++)
            for (int bad = 0; bad < 3; bad++) {
                float *dy = normals(ROWS * D, 4, 1);
                dy[4 * D + 50] = specials[bad];
                const tic_layernorm_args a = {.rows = ROWS,
                                              .d = D,
                                              .eps = 1e-5f,
                                              .x = normals(ROWS * D, 1, 1),
                                              .ld_x = D,
                                              .gamma = normals(D, 2, 1),
                                              .beta = zeros(D),
                                              .y = mat_of(zeros(ROWS * D), ROWS, D, TIC_F32),
                                              .mean = zeros(ROWS),
                                              .rstd = zeros(ROWS),
                                              .dy = mat_of(dy, ROWS, D, (tic_dtype)type),
                                              .dx = zeros(ROWS * D),
                                              .ld_dx = D,
                                              .dgamma = zeros(D),
                                              .dbeta = zeros(D)};
                CHECK_OK(tic_layernorm(ctx, &a, err));
                CHECK_OK(tic_layernorm_backward(ctx, &a, err));
                for (int64_t i = 0; i < ROWS * D; i++)
                    cr_assert_eq(isfinite(a.dx[i]), i / D != 4);
                for (int64_t j = 0; j < D; j++) {
                    cr_assert_eq(isfinite(a.dgamma[j]), j != 50);
                    cr_assert_eq(isfinite(a.dbeta[j]), j != 50);
                }
            }
    tic_ctx_free(ctx);
}

Test(operations_edges, l2norm_backward_spreads_no_further) {
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = check_next(ctx, TIC_OP_L2NORM_BACKWARD, v)) >= 0;)
        for (int bad = 0; bad < 3; bad++) {
            float *dy = normals(ROWS * D, 2, 1);
            dy[4 * D + 50] = specials[bad];
            const tic_l2norm_args a = {.rows = ROWS,
                                       .d = D,
                                       .eps = 1e-12f,
                                       .x = normals(ROWS * D, 1, 1),
                                       .y = zeros(ROWS * D),
                                       .inverse = zeros(ROWS),
                                       .dy = dy,
                                       .dx = zeros(ROWS * D)};
            CHECK_OK(tic_l2norm(ctx, &a, err));
            CHECK_OK(tic_l2norm_backward(ctx, &a, err));
            for (int64_t i = 0; i < ROWS * D; i++)
                cr_assert_eq(isfinite(a.dx[i]), i / D != 4);
        }
    tic_ctx_free(ctx);
}
