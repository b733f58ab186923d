/* gemm: every variant against sums in double, under a bound derived from k; edges, epilogues,
 * types, strides, guard pages; the same bits for any number of threads; counters. */
#include "gemm_case.h"

/* Every m and n from 1 to two tiles and k from 0 past three blocks, one axis at a time. */
static void check_edges(tic_ctx *ctx, const tic_variant *variant) {
    const tic_gemm_micro *micro = micro_of(variant);
    int tile_m = micro != NULL ? micro->tile_m : 2, tile_n = micro != NULL ? micro->tile_n : 2;
    for (int trans = TIC_NN; trans <= TIC_TN; trans++) {
        setup s = {
            .trans = (tic_trans)trans, .n = 5, .k = 11}; /* whole rounds of a loop, and more */
        for (s.m = 1; s.m <= 2 * tile_m + 1; s.m++)
            check_case(ctx, &s);
        s.m = 5;
        for (s.n = 1; s.n <= 2 * tile_n + 1; s.n++)
            check_case(ctx, &s);
        s.n = tile_n + 1;
        for (s.k = 0; s.k <= 50; s.k++)
            check_case(ctx, &s);
    }
    for (int accumulate = 0; accumulate < 2; accumulate++) { /* no columns of B, but A's sums */
        setup s = {.trans = TIC_TN, .m = 5, .k = 7, .colsum = true, .accumulate = accumulate};
        check_case(ctx, &s);
    }
}

Test(gemm, edges) {
    for_each_variant(check_edges, 1);
}

static setup random_setup(uint64_t seed) {
    enum { DRAWS = 16 };
    static const int64_t primes[] = {1, 2, 3, 7, 13, 31, 37, 61, 67, 97, 101, 131};
    static const int64_t columns[] = {1, 3, 8, 13, 16, 31, 32, 61, 67, 96, 101, 128};
    tic_random key = {seed, TIC_RNG_BENCH, 1};
    uint32_t d[DRAWS];
    for (uint64_t i = 0; i < DRAWS; i++)
        d[i] = tic_random_u32(key, i);
    setup s = {.trans = (tic_trans)(d[0] % 3),
               .precision = (tic_dtype)(d[1] % 2),
               .a = (tic_dtype)(d[2] % 2),
               .b = (tic_dtype)(d[3] % 2),
               .c = (tic_dtype)(d[4] % 2),
               .pre = (tic_dtype)(d[5] % 2),
               .m = primes[d[6] % 11],
               .n = columns[d[7] % 12],
               .k = primes[d[8] % 12],
               .pad = d[9] % 40 < 20 ? d[9] % 20 : 0,
               .act = (tic_act)(d[10] % 3),
               .bias = d[11] & 1,
               .residual = d[11] & 2,
               .at_start = d[11] & 4};
    s.keep_pre = s.act != TIC_ACT_NONE && d[12] % 3 == 0;
    s.grad = s.act != TIC_ACT_NONE && d[12] % 3 == 1;
    s.accumulate = s.c == TIC_F32 && d[13] & 1;
    s.colsum = s.trans == TIC_TN && d[14] & 1;
    if (d[15] % 3 == 0) { /* nothing but a product: the direct path */
        s.bias = s.residual = s.keep_pre = s.grad = false;
        s.act = TIC_ACT_NONE;
        s.c = TIC_F32;
    }
    return s;
}

static void check_random(tic_ctx *ctx, const tic_variant *variant) {
    (void)variant;
    for (uint64_t seed = 0; seed < 150; seed++) {
        setup s = random_setup(seed);
        check_case(ctx, &s);
    }
}

Test(gemm, every_epilogue_type_and_stride) {
    for_each_variant(check_random, 2);
}

/* Those of a training step, which some variants compile for themselves; whole tiles and ragged
 * ones. */
static void check_steps_own(tic_ctx *ctx, const tic_variant *variant) {
    static const setup kinds[] = {
        {.c = TIC_F32},
        {.c = TIC_BF16},
        {.accumulate = true},
        {.bias = true},
        {.bias = true, .c = TIC_BF16},
        {.bias = true, .residual = true},
        {.bias = true, .act = TIC_ACT_GELU, .keep_pre = true, .pre = TIC_BF16, .c = TIC_BF16},
        {.bias = true, .act = TIC_ACT_QUICK_GELU, .keep_pre = true, .pre = TIC_BF16, .c = TIC_BF16},
        {.act = TIC_ACT_GELU, .grad = true, .pre = TIC_BF16, .c = TIC_BF16},
        {.act = TIC_ACT_QUICK_GELU, .grad = true, .pre = TIC_BF16, .c = TIC_BF16},
    };
    (void)variant;
    for (size_t c = 0; c < sizeof kinds / sizeof kinds[0]; c++)
        for (int ragged = 0; ragged < 2; ragged++) {
            setup s = kinds[c];
            s.trans = TIC_NT;
            s.m = ragged ? 47 : 64;
            s.n = ragged ? 75 : 64;
            s.k = 96;
            check_case(ctx, &s);
        }
}

Test(gemm, epilogues_of_a_training_step) {
    for_each_variant(check_steps_own, 2);
}

/* ---- B packed before ------------------------------------------------------------------------- */

/* Packs b in ranges of rows, as an optimizer does, into memory that ends at a guard page. */
static check_guarded pack_in_parts(tic_packed *packed, const tic_gemm_args *args, int64_t parts) {
    const int64_t rows = args->trans == TIC_NT ? args->n : args->k;
    const int64_t unit = packed->rows_unit, share = (rows / parts / unit + 1) * unit;
    check_guarded memory = check_guarded_new(packed->bytes, false);
    packed->data = memory.data;
    for (int64_t first = rows > 0 ? (rows - 1) / share * share : -1; first >= 0; first -= share)
        tic_gemm_pack_rows(packed, args->b, first, first + share < rows ? share : rows - first);
    return memory;
}

/* The same bits with and without, for any m; packed in one go or row by row. */
static void check_packed(tic_ctx *ctx, const tic_variant *variant) {
    (void)variant;
    for (uint64_t seed = 1000; seed < 1100; seed++) {
        setup s = random_setup(seed);
        if (s.trans == TIC_TN)
            s.trans = TIC_NN;
        s.colsum = false;
        operands plain = new_operands(&s), with = new_operands(&s);
        tic_packed packed = tic_gemm_packing(ctx, &with.args);
        if (packed.bytes > 0) {
            check_guarded memory = pack_in_parts(&packed, &with.args, (int64_t)(seed % 4) + 1);
            with.args.packed_b = &packed;
            CHECK_OK(tic_gemm(ctx, &with.args, err));
            CHECK_OK(tic_gemm(ctx, &plain.args, err));
            const size_t count = (size_t)((s.m - 1) * with.args.c.ld + s.n);
            cr_assert(memcmp(with.args.c.data, plain.args.c.data, count * tic_dtype_size(s.c)) == 0,
                      "m %lld n %lld k %lld trans %d", (long long)s.m, (long long)s.n,
                      (long long)s.k, s.trans);
            check_guarded_free(&memory);
        } else {
            CHECK_OK(tic_gemm(ctx, &with.args, err));
        }
        free_operands(&plain);
        free_operands(&with);
    }
}

Test(gemm, packed_weights_give_the_same_bits) {
    for_each_variant(check_packed, 2);
}

/* The packing decides among variants that were not forced; a forced one packs for itself. */
Test(gemm, packed_weights_choose_their_reader) {
    setup s = {.trans = TIC_NT, .m = 9, .n = 40, .k = 20};
    tic_ctx *ctx = check_ctx(1);
    operands o = new_operands(&s);
    CHECK_OK(tic_ctx_force(ctx, TIC_OP_GEMM, "portable", err));
    tic_packed packed = tic_gemm_packing(ctx, &o.args), none = {0};
    check_guarded memory = pack_in_parts(&packed, &o.args, 1);
    o.args.packed_b = &packed;
    CHECK_OK(tic_ctx_force(ctx, TIC_OP_GEMM, NULL, err));
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    const tic_variant *ran = tic_registry_find(TIC_OP_GEMM, tic_ctx_ran(ctx, TIC_OP_GEMM));
    cr_assert(ran->packs != NULL && tic_gemm_same_format(ran->packs, packed.format));
    CHECK_OK(tic_ctx_force(ctx, TIC_OP_GEMM, "ref", err));
    cr_assert_eq(tic_gemm_packing(ctx, &o.args).bytes, 0);
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    cr_assert_str_eq(tic_ctx_ran(ctx, TIC_OP_GEMM), "ref");
    o.args.n = 39;
    CHECK_FAILS(TIC_EUSAGE, "another B", tic_gemm(ctx, &o.args, err));
    o.args.packed_b = &none;
    CHECK_FAILS(TIC_EUSAGE, "holds nothing", tic_gemm(ctx, &o.args, err));
    check_guarded_free(&memory);
    free_operands(&o);
    tic_ctx_free(ctx);
}

/* The same bits, whoever computes them. */
static void same_for_threads(const tic_variant *variant, const char *knobs, const setup *s) {
    static const int threads[] = {2, 3, 4, 7};
    const size_t count = (size_t)(s->m * s->n + s->m);
    float *first = check_alloc(count, sizeof *first), *other = check_alloc(count, sizeof *other);
    run_gemm(variant, knobs, 1, false, s, first);
    for (size_t t = 0; t < 4; t++) {
        run_gemm(variant, knobs, threads[t], false, s, other);
        cr_assert(memcmp(first, other, count * sizeof *first) == 0, "%s: %d threads differ",
                  variant->info.name, threads[t]);
    }
    tic_free(first);
    tic_free(other);
}

/* What the driver of tiles distinguishes (gemm_amx.c): A's rows read in place, with a last strip
 * that is packed, or whole; of two and of three tiles; copied chunk by chunk, at either height or
 * at three only; dW's packed by bands, of an odd number of tiles, in several spans, in several
 * slabs; a group of strips to a chunk; nothing to sum. */
static const setup tiled[] = {
    {.trans = TIC_NT, .a = TIC_BF16, .m = 101, .n = 70, .k = 96},
    {.trans = TIC_NT, .a = TIC_BF16, .m = 96, .n = 70, .k = 96, .bias = true},
    {.trans = TIC_NN, .a = TIC_BF16, .m = 33, .n = 70, .k = 64},
    {.trans = TIC_NT, .a = TIC_BF16, .m = 100, .n = 420, .k = 1024, .residual = true},
    {.trans = TIC_NT, .a = TIC_BF16, .m = 113, .n = 70, .k = 512},
    {.trans = TIC_TN,
     .a = TIC_BF16,
     .b = TIC_BF16,
     .m = 529,
     .n = 397,
     .k = 1700,
     .accumulate = true,
     .colsum = true},
    {.trans = TIC_TN, .m = 529, .n = 100, .k = 801, .colsum = true},
    {.trans = TIC_TN, .m = 4100, .n = 40, .k = 40, .accumulate = true, .colsum = true},
    {.trans = TIC_TN, .m = 530, .n = 64, .k = 900, .bias = true},
    {.trans = TIC_TN, .m = 512, .n = 5, .k = 0, .bias = true},
    {.trans = TIC_NT, .a = TIC_BF16, .m = 100, .n = 1024, .k = 704, .bias = true},
};
enum { TILED = sizeof tiled / sizeof tiled[0] };

static void check_threads(tic_ctx *ctx, const tic_variant *variant) {
    static const setup small[] = {
        {.trans = TIC_NT, .m = 211, .n = 203, .k = 101, .bias = true, .act = TIC_ACT_GELU},
        {.trans = TIC_TN, .m = 131, .n = 139, .k = 307, .accumulate = true, .colsum = true},
        {.trans = TIC_NN, .m = 13, .n = 1201, .k = 97, .residual = true},
        /* Tiles take these in several spans of k (gemm_amx.c); by rows, by columns. */
        {.trans = TIC_TN, .m = 67, .n = 61, .k = 16500, .accumulate = true, .colsum = true},
        {.trans = TIC_TN, .m = 45, .n = 93, .k = 16500, .colsum = true},
    };
    /* To 4 threads each packs B for itself: all of it, or its columns of C. */
    static const setup own[] = {
        {.trans = TIC_TN,
         .a = TIC_BF16,
         .b = TIC_BF16,
         .m = 797,
         .n = 397,
         .k = 135,
         .accumulate = true,
         .colsum = true},
        {.trans = TIC_TN, .m = 67, .n = 797, .k = 135, .accumulate = true, .colsum = true},
        {.trans = TIC_NT, .m = 797, .n = 131, .k = 71, .bias = true},
    };
    /* The same in spans of k, between which threads do not wait for each other; and B read where it
     * stands, by 7 threads as well. */
    static const setup deep[] = {
        {.trans = TIC_TN, .m = 389, .n = 67, .k = 4100, .accumulate = true, .colsum = true},
        {.trans = TIC_TN, .m = 643, .n = 64, .k = 2100, .accumulate = true, .colsum = true},
    };
    static const setup whole[] = {
        {.trans = TIC_NN, .m = 20, .n = 1851, .k = 70}, /* few rows: shared out by columns */
        {.trans = TIC_TN, .m = 131, .n = 395, .k = 41, .accumulate = true}, /* shallow */
    };
    const tic_gemm_micro *micro = micro_of(variant);
    const bool tiles = micro != NULL && micro->format.panel == TIC_PANEL_TILES;
    setup one = {.m = 1, .n = 1, .k = 1}; /* so that the caller sees the variant run */
    check_case(ctx, &one);
    if (tiles)
        for (int c = 0; c < TILED; c++) {
            check_case(ctx, &tiled[c]);
            same_for_threads(variant, " kc=64 mc=24 nc=64 strip=2", &tiled[c]);
            same_for_threads(variant, " kc=256 mc=96 nc=1024 strip=3", &tiled[c]);
        }
    for (size_t c = 0; c < (tiles ? 5 : 3); c++) {
        if (c >= 3)
            check_case(ctx, &small[c]);
        same_for_threads(variant, " kc=16 mc=24 nc=64", &small[c]);
    }
    for (size_t c = 0; c < sizeof own / sizeof own[0]; c++) {
        check_case(ctx, &own[c]);
        same_for_threads(variant, " kc=16 mc=24 nc=64", &own[c]);
        same_for_threads(variant, " kc=256 mc=96 nc=4096", &own[c]);
    }
    for (size_t c = 0; c < sizeof deep / sizeof deep[0]; c++) {
        check_case(ctx, &deep[c]);
        same_for_threads(variant, " kc=1024 mc=96 nc=4096", &deep[c]);
    }
    for (size_t c = 0; c < sizeof whole / sizeof whole[0]; c++) {
        check_case(ctx, &whole[c]);
        same_for_threads(variant, " kc=256 mc=96 nc=4096", &whole[c]);
    }
}

Test(gemm, threads_do_not_change_a_bit) {
    for_each_variant(check_threads, 1);
}

/* What is booked for the longest k is enough for every shorter one, wherever it is cut: where sums
 * go to C, where they are gathered before a bias is added, and where the weight came packed. */
static void check_scratch(tic_ctx *unused, const tic_variant *variant) {
    static const char *const knobs[] = {" kc=768 mc=96 nc=4096", " kc=17 mc=96 nc=4096"};
    float bias;
    setup one = {.m = 1, .n = 1, .k = 1};
    check_case(unused, &one);
    for (int which = 0; which < 6; which++) {
        tic_plan *plan;
        tic_ctx *ctx = with_knobs(variant, knobs[which % 2], 2, &plan);
        size_t before = 0;
        for (int64_t k = 1; k < 6000; k += 7) {
            tic_gemm_args args = {.trans = TIC_TN, .m = 512, .n = 385, .k = k};
            args.precision = variant->info.precisions & 1u << TIC_F32 ? TIC_F32 : TIC_BF16;
            args.a = (tic_mat){NULL, TIC_F32, 512};
            args.b = args.c = (tic_mat){NULL, TIC_F32, 385};
            args.bias = which / 2 == 1 ? &bias : NULL;
            args.accumulate = which / 2 == 0;
            tic_packed packed;
            if (which / 2 == 2) {
                args.trans = TIC_NN;
                args.a.ld = 6144; /* rows share a set of L1: of a high tile too many, and copied */
                packed = tic_gemm_packing(ctx, &args);
                args.packed_b = packed.bytes > 0 ? &packed : NULL;
            }
            const size_t bytes = tic_gemm_scratch(ctx, &args);
            if (micro_of(variant) != NULL)
                cr_assert_geq(bytes, before, "%s%s: %zu bytes at k %lld, %zu before",
                              variant->info.name, knobs[which % 2], bytes, (long long)k, before);
            before = bytes;
        }
        tic_ctx_free(ctx);
        tic_plan_free(plan);
    }
}

Test(gemm, scratch_rises_with_k) {
    for_each_variant(check_scratch, 1);
}

/* A NaN or an infinity in A reaches its whole row and no other; in B its column. */
static void check_special(tic_ctx *ctx, const tic_variant *variant) {
    static const float specials[] = {NAN, INFINITY};
    for (int x = 0; x < 4; x++) {
        setup s = {.trans = TIC_NN, .m = 17, .n = 41, .k = 37};
        operands o = new_operands(&s);
        bool in_a = x < 2;
        ((float *)(in_a ? o.args.a.data : o.args.b.data))[in_a ? 5 * 37 + 20 : 20 * 41 + 9] =
            specials[x % 2];
        CHECK_OK(tic_gemm(ctx, &o.args, err));
        for (int64_t i = 0; i < s.m; i++)
            for (int64_t j = 0; j < s.n; j++)
                cr_assert(isfinite(at(o.args.c, i, j)) == (in_a ? i != 5 : j != 9), "%s %d: %d,%d",
                          variant->info.name, x, (int)i, (int)j);
        free_operands(&o);
    }
}

Test(gemm, nan_and_infinity_stay_in_their_row_and_column) {
    for_each_variant(check_special, 2);
}

/* Numbers too small to be normal are summed as they are; VDPBF16PS takes them for zeros, which its
 * definition says, and so do tiles. */
static void check_denormals(tic_ctx *ctx, const tic_variant *variant) {
    setup s = {.trans = TIC_NT, .m = 15, .n = 33, .k = 19};
    operands o = new_operands(&s);
    for (int64_t i = 0; i < s.m * s.k; i++)
        ((float *)o.args.a.data)[i] = tic_from_bf16((tic_bf16)(1 + i % 100));
    for (int64_t i = 0; i < s.n * s.k; i++)
        ((float *)o.args.b.data)[i] = 1;
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    for (int64_t i = 0; i < s.m; i++) {
        double sum = 0;
        for (int64_t p = 0; p < s.k; p++)
            sum += at(o.args.a, i, p);
        for (int64_t j = 0; j < s.n; j++) {
            double got = at(o.args.c, i, j);
            cr_assert(got == sum || (bf16_only && got == 0), "%s: %g, not %g", variant->info.name,
                      got, sum);
        }
    }
    free_operands(&o);
}

Test(gemm, denormals_are_not_lost) {
    for_each_variant(check_denormals, 1);
}

/* C may hold NaN before: what is not accumulated to is not read. And C may be the residual. */
static void check_output_memory(tic_ctx *ctx, const tic_variant *variant) {
    (void)variant;
    setup s = {.trans = TIC_NT, .m = 25, .n = 70, .k = 40};
    for (int bias = 0; bias < 2; bias++) {
        s.bias = bias;
        operands o = new_operands(&s);
        for (int64_t i = 0; i < s.m * s.n; i++)
            ((float *)o.args.c.data)[i] = NAN;
        CHECK_OK(tic_gemm(ctx, &o.args, err));
        for (int64_t i = 0; i < s.m * s.n; i++)
            cr_assert(isfinite(((float *)o.args.c.data)[i]));
        free_operands(&o);
    }
    operands apart = new_operands(&s), same = new_operands(&s);
    apart.args.residual = apart.before;
    apart.args.ld_residual = same.args.ld_residual = s.n;
    same.args.residual = same.args.c.data;
    CHECK_OK(tic_gemm(ctx, &apart.args, err));
    CHECK_OK(tic_gemm(ctx, &same.args, err));
    cr_assert(memcmp(apart.args.c.data, same.args.c.data, (size_t)(s.m * s.n) * 4) == 0);
    free_operands(&apart);
    free_operands(&same);
}

Test(gemm, output_memory) {
    for_each_variant(check_output_memory, 2);
}

/* All rows, whole vectors of columns, whole steps of k; or whole tiles, and what it costs them to
 * add a later block. */
static uint64_t issued_by(const tic_gemm_micro *micro, uint64_t m, uint64_t n, uint64_t k) {
    const uint64_t tm = (uint64_t)micro->tile_m, tn = (uint64_t)micro->tile_n;
    const uint64_t lanes = (uint64_t)micro->lanes, unit = (uint64_t)micro->format.k_unit;
    k = (k + unit - 1) / unit * unit;
    if (lanes > 0)
        return m * ((n + lanes - 1) / lanes * lanes) * k;
    uint64_t tiles = (m + tm - 1) / tm * ((n + tn - 1) / tn);
    uint64_t updates = k > 0 ? (k - 1) / SMALL_KC * tiles : 0;
    return tiles * tm * tn * k + updates * (uint64_t)micro->update;
}

/* logical = m n k; issued as above. */
static void check_counters(tic_ctx *ctx, const tic_variant *variant) {
    const tic_gemm_micro *micro = micro_of(variant);
    tic_counters before, after;
    static const int64_t sizes[][3] = {{1, 1, 1},     {12, 32, 16}, {13, 33, 17}, {130, 150, 100},
                                       {5, 400, 600}, {7, 9, 0},    {0, 3, 3}};
    for (size_t c = 0; c < sizeof sizes / sizeof sizes[0]; c++) {
        setup s = {.m = sizes[c][0], .n = sizes[c][1], .k = sizes[c][2]};
        operands o = new_operands(&s);
        tic_ctx_purpose(ctx, TIC_FOR_TEACHER);
        tic_ctx_counters(ctx, &before);
        CHECK_OK(tic_gemm(ctx, &o.args, err));
        tic_ctx_counters(ctx, &after);
        tic_macs was = before.by[TIC_FOR_TEACHER][TIC_OP_GEMM];
        tic_macs is = after.by[TIC_FOR_TEACHER][TIC_OP_GEMM];
        uint64_t m = (uint64_t)s.m, n = (uint64_t)s.n, k = (uint64_t)s.k;
        cr_assert(is.logical - was.logical == m * n * k);
        uint64_t issued = micro != NULL ? issued_by(micro, m, n, k) : m * n * k;
        cr_assert(is.issued - was.issued == issued, "%s: %llu issued, not %llu", variant->info.name,
                  (unsigned long long)(is.issued - was.issued), (unsigned long long)issued);
        cr_assert(tic_counters_sum(&after).issued - tic_counters_sum(&before).issued ==
                  is.issued - was.issued);
        free_operands(&o);
    }
}

Test(gemm, counters_match_the_tiles) {
    for_each_variant(check_counters, 3);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

static size_t matrix_bytes(const setup *s, tic_mat mat) {
    return (size_t)((s->m - 1) * mat.ld + s->n) * tic_dtype_size(mat.type);
}

/* Everything that two variants write, bit for bit. */
static void expect_same_bits(const setup *s, const char *first, const char *second, int threads) {
    const tic_variant *variants[2] = {tic_registry_find(TIC_OP_GEMM, first),
                                      tic_registry_find(TIC_OP_GEMM, second)};
    operands o[2];
    for (int v = 0; v < 2; v++) {
        tic_plan *plan;
        tic_ctx *ctx = small_blocks(variants[v], threads, &plan);
        o[v] = new_operands(s);
        CHECK_OK(tic_gemm(ctx, &o[v].args, err));
        cr_assert_str_eq(tic_ctx_ran(ctx, TIC_OP_GEMM), variants[v]->info.name);
        tic_ctx_free(ctx);
        tic_plan_free(plan);
    }
    const tic_gemm_args *a = &o[0].args, *b = &o[1].args;
    cr_assert(memcmp(a->c.data, b->c.data, matrix_bytes(s, a->c)) == 0, "c: m %lld n %lld k %lld",
              (long long)s->m, (long long)s->n, (long long)s->k);
    if (s->keep_pre)
        cr_assert(memcmp(a->pre.data, b->pre.data, matrix_bytes(s, a->pre)) == 0, "pre");
    if (s->colsum)
        cr_assert(memcmp(a->colsum, b->colsum, (size_t)s->m * 4) == 0, "colsum");
    free_operands(&o[0]);
    free_operands(&o[1]);
}

/* Packing, edges, chunks of k and epilogues are then tested by the emulation wherever there is no
 * AMX, and the instructions are the only thing that is not. */
Test(gemm, emulated_tiles_give_the_same_bits) {
    if (!(tic_cpu_get()->isa & TIC_ISA_AMX_BF16))
        cr_skip_test("this CPU lacks amx_bf16");
    bf16_only = true;
    for (uint64_t seed = 2000; seed < 2200; seed++) {
        setup s = random_setup(seed);
        expect_same_bits(&s, "amx-32x32", "amx-emulated-32x32", (int)(seed % 3) + 1);
    }
    for (int64_t size = 1; size <= 100; size++) {
        setup sizes[] = {
            {.trans = TIC_NT, .m = size, .n = 33, .k = 40, .bias = true, .act = TIC_ACT_GELU},
            {.trans = TIC_NN, .m = 49, .n = size, .k = 40, .residual = true},
            {.trans = TIC_TN, .m = 49, .n = 33, .k = size, .accumulate = true, .colsum = true}};
        for (int x = 0; x < 3; x++)
            expect_same_bits(&sizes[x], "amx-32x32", "amx-emulated-32x32", 2);
    }
    for (int c = 0; c < TILED; c++)
        expect_same_bits(&tiled[c], "amx-32x32", "amx-emulated-32x32", 2);
    bf16_only = false;
}

/* The case by two lines of a plan. */
static void expect_same_bits_by(const setup *s, const char *const lines[2], const char *variant) {
    operands o[2];
    for (int v = 0; v < 2; v++) {
        tic_plan *plan;
        tic_ctx *ctx;
        CHECK_OK(tic_plan_new(&plan, err));
        CHECK_OK(tic_plan_add(plan, lines[v], err));
        tic_ctx_options options = {.threads = 2, .plan = plan};
        CHECK_OK(tic_ctx_new(&ctx, &options, err));
        o[v] = new_operands(s);
        CHECK_OK(tic_gemm(ctx, &o[v].args, err));
        cr_assert_str_eq(tic_ctx_ran(ctx, TIC_OP_GEMM), variant);
        tic_ctx_free(ctx);
        tic_plan_free(plan);
    }
    cr_assert(memcmp(o[0].args.c.data, o[1].args.c.data, matrix_bytes(s, o[0].args.c)) == 0,
              "m %lld n %lld k %lld: %s, %s", (long long)s->m, (long long)s->n, (long long)s->k,
              lines[0], lines[1]);
    free_operands(&o[0]);
    free_operands(&o[1]);
}

/* Strips of two and of three row tiles run different micro-kernels over the same sums. */
Test(gemm, strips_of_either_height_give_the_same_bits) {
    static const char *const lines[] = {
        "gemm/bf16/any amx-emulated-32x32 kc=32 mc=100 nc=64 strip=2",
        "gemm/bf16/any amx-emulated-32x32 kc=32 mc=100 nc=64 strip=3"};
    for (int64_t m = 1; m <= 150; m += 7) {
        const setup s = {.trans = TIC_NT,
                         .precision = TIC_BF16,
                         .m = m,
                         .n = 70,
                         .k = 75,
                         .bias = true,
                         .act = TIC_ACT_GELU};
        expect_same_bits_by(&s, lines, "amx-emulated-32x32");
    }
}

/* The table's problems at full size, the default variant against the reference on sampled elements:
 * the truth in double for the whole of each would take minutes. */
static void sample_problem(tic_ctx *ctx, const tic_problem *problem, int samples) {
    setup s = {.trans = problem->trans,
               .m = problem->m,
               .n = problem->n,
               .k = problem->k,
               .act = problem->act,
               .bias = problem->bias,
               .keep_pre = problem->pre,
               .grad = problem->grad_pre,
               .residual = problem->residual,
               .accumulate = problem->accumulate,
               .colsum = problem->colsum};
    operands o = new_operands(&s);
    float first = s.colsum ? o.args.colsum[0] : 0, last = s.colsum ? o.args.colsum[s.m - 1] : 0;
    CHECK_OK(tic_ctx_reserve(ctx, tic_gemm_scratch(ctx, &o.args), err));
    CHECK_OK(tic_gemm(ctx, &o.args, err));
    tic_random key = {11, TIC_RNG_BENCH, 2};
    for (int x = 0; x < samples; x++)
        expect_element(&s, &o, (int64_t)tic_random_below(key, (uint64_t)x, (uint64_t)s.m),
                       (int64_t)tic_random_below(key, (uint64_t)(x + samples), (uint64_t)s.n));
    expect_element(&s, &o, s.m - 1, s.n - 1);
    if (s.colsum) {
        expect_colsum(&s, &o, first, 0);
        expect_colsum(&s, &o, last, s.m - 1);
    }
    free_operands(&o);
}

Test(gemm, problems_that_matter) {
    tic_ctx *ctx = check_ctx(2);
    int seen = 0;
    for (int i = 0; i < tic_problem_count(); i++) {
        const tic_problem *problem = tic_problem_get(i);
        bool mid = problem->m * problem->n * problem->k <= (int64_t)1 << 28;
        if (problem->op == TIC_OP_GEMM && mid) {
            sample_problem(ctx, problem, 200);
            seen++;
        }
    }
    cr_assert(seen >= 20 && tic_ctx_growths(ctx) == 0);
    tic_ctx_free(ctx);
}

/* A plan's line under a problem's key is what that problem runs. */
Test(gemm, problem_keys_are_the_dispatched_keys) {
    for (int i = 0; i < tic_problem_count(); i++) {
        const tic_problem *problem = tic_problem_get(i);
        if (problem->op != TIC_OP_GEMM)
            continue;
        setup s = {.trans = problem->trans,
                   .m = 1,
                   .n = 1,
                   .k = 1,
                   .act = problem->act,
                   .bias = problem->bias,
                   .keep_pre = problem->pre,
                   .grad = problem->grad_pre,
                   .residual = problem->residual,
                   .accumulate = problem->accumulate,
                   .colsum = problem->colsum};
        operands o = new_operands(&s);
        char key[TIC_PROBLEM_KEY], shape[TIC_SHAPE_TEXT], expected[TIC_PROBLEM_KEY + 16];
        o.args.m = problem->m;
        o.args.n = problem->n;
        o.args.k = problem->k;
        tic_gemm_shape(&o.args, shape);
        snprintf(expected, sizeof expected, "gemm/bf16/%s", shape);
        tic_problem_key(problem, TIC_BF16, key);
        cr_assert_str_eq(key, expected);
        free_operands(&o);
    }
}

Test(gemm, bad_arguments_are_named) {
    tic_ctx *ctx = check_ctx(1);
    float x[64] = {0};
    const tic_gemm_args good = {
        .m = 4, .n = 4, .k = 4, .a = tic_f32(x, 4), .b = tic_f32(x, 4), .c = tic_f32(x + 32, 4)};
    tic_gemm_args bad = good;
    CHECK_OK(tic_gemm(ctx, &good, err));
    bad.a.ld = 3;
    CHECK_FAILS(TIC_EUSAGE, "a has ld 3", tic_gemm(ctx, &bad, err));
    bad = good;
    bad.c.data = NULL;
    CHECK_FAILS(TIC_EUSAGE, "c is NULL", tic_gemm(ctx, &bad, err));
    bad = good;
    bad.b.data = (char *)x + 1;
    CHECK_FAILS(TIC_EUSAGE, "b is not aligned", tic_gemm(ctx, &bad, err));
    bad = good;
    bad.m = -1;
    CHECK_FAILS(TIC_EUSAGE, "m -1", tic_gemm(ctx, &bad, err));
    bad = good;
    bad.colsum = x;
    CHECK_FAILS(TIC_EUSAGE, "colsum", tic_gemm(ctx, &bad, err));
    bad = good;
    bad.pre = tic_f32(x, 4);
    CHECK_FAILS(TIC_EUSAGE, "activation", tic_gemm(ctx, &bad, err));
    bad.act = TIC_ACT_GELU;
    bad.grad_pre = bad.pre;
    CHECK_FAILS(TIC_EUSAGE, "exclude", tic_gemm(ctx, &bad, err));
    bad = good;
    bad.c.type = TIC_BF16;
    bad.accumulate = true;
    CHECK_FAILS(TIC_EUSAGE, "accumulated", tic_gemm(ctx, &bad, err));
    tic_ctx_free(ctx);
}
