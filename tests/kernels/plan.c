/* Plans, the registry, dispatch and contexts. */
#include "check.h"

#include <stdio.h>

static tic_plan *new_plan(void) {
    tic_plan *plan;
    CHECK_OK(tic_plan_new(&plan, err));
    return plan;
}

Test(registry, rows_are_sound) {
    bool has_ref[TIC_OP_COUNT] = {false};
    for (int i = 0; i < tic_variant_count(); i++) {
        tic_variant_info a = tic_variant_get(i);
        cr_assert(a.op >= 0 && a.op < TIC_OP_COUNT && a.name[0] != '\0' && a.about[0] != '\0');
        cr_assert(a.precisions != 0 && (a.precisions & ~3u) == 0, "%s", a.name);
        cr_assert(!has_ref[a.op], "%s stands after %s's reference", a.name, tic_op_name(a.op));
        cr_assert(!(a.isa & TIC_ISA_AVX512) || a.isa & TIC_ISA_AVX2, "%s", a.name);
        has_ref[a.op] = strcmp(a.name, "ref") == 0;
        for (int j = 0; j < i; j++) {
            tic_variant_info b = tic_variant_get(j);
            cr_assert(a.op != b.op || strcmp(a.name, b.name) != 0, "%s twice", a.name);
        }
    }
    for (int op = 0; op < TIC_OP_COUNT; op++)
        cr_assert(has_ref[op], "%s has no reference", tic_op_name((tic_op)op));
}

Test(plan, lines_are_kept_in_order_and_replaced) {
    tic_plan *plan = new_plan();
    CHECK_OK(tic_plan_add(plan, "gemm/f32/nt,m3,n4,k5 portable kc=64", err));
    CHECK_OK(tic_plan_add(plan, "gemm/f32/any portable", err));
    CHECK_OK(tic_plan_add(plan, "  gemm/bf16/any   ref ", err));
    CHECK_OK(tic_plan_add(plan, "gemm/f32/nt,m3,n4,k5 portable mc=24 kc=32", err));
    cr_assert(tic_plan_lines(plan) == 3);
    cr_assert_str_eq(tic_plan_line(plan, 0), "gemm/bf16/any ref");
    for (int i = 1; i < 3; i++)
        cr_assert(strcmp(tic_plan_line(plan, i - 1), tic_plan_line(plan, i)) < 0);
    cr_assert_str_eq(tic_plan_line(plan, 2), "gemm/f32/nt,m3,n4,k5 portable kc=32 mc=24 nc=4096");
    tic_plan_free(plan);
    tic_plan_free(NULL);
}

Test(plan, bad_lines_name_what_is_wrong) {
    static const char *const cases[][2] = {
        {"", "<key> <variant>"},
        {"gemm/f32/any", "<key> <variant>"},
        {"gemm/f32 portable", "<op>/<precision>/<shape>"},
        {"gemm portable", "<op>/<precision>/<shape>"},
        {"gemm/f32/ portable", "<op>/<precision>/<shape>"},
        {"gem/f32/any portable", "no operation \"gem\""},
        {"gemm/f16/any portable", "precision"},
        {"gemm/f32/any swift", "no variant \"swift\""},
        {"gemm/f32/any portable kb=3", "no knob \"kb\""},
        {"gemm/f32/any portable kc", "<knob>=<integer>"},
        {"gemm/f32/any portable kc=", "16..4096"},
        {"gemm/f32/any portable kc=64x", "16..4096"},
        {"gemm/f32/any portable kc=15", "16..4096"},
        {"gemm/f32/any portable kc=99999999999999999999", "16..4096"},
    };
    tic_plan *plan = new_plan();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(TIC_EINPUT, cases[i][1], tic_plan_add(plan, cases[i][0], err));
    cr_assert(tic_plan_lines(plan) == 0);
    tic_plan_free(plan);
}

/* A completed plan names what an empty one would run, for every operation. */
Test(plan, complete_names_the_defaults) {
    tic_plan *plan = new_plan();
    CHECK_OK(tic_plan_add(plan, "gemm/f32/any ref", err));
    CHECK_OK(tic_plan_complete(plan, TIC_ISA_LIMIT_PORTABLE, err));
    bool portable = false;
    int before = tic_plan_lines(plan);
    for (int i = 0; i < before; i++)
        portable |= strncmp(tic_plan_line(plan, i), "gemm/bf16/any portable", 22) == 0;
    cr_assert(portable && before >= TIC_OP_COUNT);
    CHECK_OK(tic_plan_complete(plan, 0, err));
    cr_assert(tic_plan_lines(plan) == before);
    tic_plan_free(plan);
}

static const char *runs(tic_ctx *ctx, tic_dtype precision, int64_t m) {
    float x[16] = {1}, y[16];
    tic_gemm_args args = {.m = m, .n = 2, .k = 2, .precision = precision};
    args.a = args.b = tic_f32(x, 2);
    args.c = tic_f32(y, 2);
    CHECK_OK(tic_gemm(ctx, &args, err));
    return tic_ctx_ran(ctx, TIC_OP_GEMM);
}

Test(dispatch, forced_then_shape_then_any_then_default) {
    tic_plan *plan = new_plan();
    tic_ctx *ctx;
    CHECK_OK(tic_plan_add(plan, "gemm/f32/nn,m3,n2,k2 portable", err));
    CHECK_OK(tic_plan_add(plan, "gemm/f32/any ref", err));
    tic_ctx_options options = {.threads = 1, .plan = plan};
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    cr_assert_str_eq(tic_ctx_ran(ctx, TIC_OP_GEMM), "");
    cr_assert_str_eq(runs(ctx, TIC_F32, 3), "portable");
    cr_assert_str_eq(runs(ctx, TIC_F32, 4), "ref");
    tic_ctx *plain = check_ctx(1);
    cr_assert_str_eq(runs(ctx, TIC_BF16, 3), runs(plain, TIC_BF16, 3));
    CHECK_OK(tic_ctx_force(ctx, TIC_OP_GEMM, "ref", err));
    cr_assert_str_eq(runs(ctx, TIC_F32, 3), "ref");
    CHECK_OK(tic_ctx_force(ctx, TIC_OP_GEMM, NULL, err));
    cr_assert_str_eq(runs(ctx, TIC_F32, 3), "portable");
    CHECK_FAILS(TIC_EUSAGE, "swift", tic_ctx_force(ctx, TIC_OP_GEMM, "swift", err));
    tic_ctx_free(plain);
    tic_ctx_free(ctx);
    tic_plan_free(plan);
}

/* A plan that names what the context may not run is refused with the reason, not run. */
Test(dispatch, isa_limit_is_kept) {
    tic_plan *plan = new_plan();
    tic_ctx *ctx;
    tic_ctx_options options = {.threads = 1, .isa_limit = TIC_ISA_LIMIT_PORTABLE};
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    cr_assert_str_eq(runs(ctx, TIC_F32, 3), "portable");
    CHECK_FAILS(TIC_EUSAGE, "AVX2", tic_ctx_force(ctx, TIC_OP_GEMM, "blis-haswell-6x16", err));
    tic_ctx_free(ctx);
    CHECK_OK(tic_plan_add(plan, "gemm/f32/any blis-skx-32x12", err));
    options.plan = plan;
    CHECK_FAILS(TIC_EUSAGE, "blis-skx-32x12", tic_ctx_new(&ctx, &options, err));
    cr_assert(ctx == NULL);
    options.threads = -1;
    CHECK_FAILS(TIC_EUSAGE, "threads", tic_ctx_new(&ctx, &options, err));
    tic_plan_free(plan);
}

Test(context, reserve_books_once) {
    tic_ctx *ctx = check_ctx(2);
    float *x = check_alloc(200 * 200, sizeof *x), *y = check_alloc(200 * 200, sizeof *y);
    tic_gemm_args args = {.m = 200, .n = 200, .k = 200};
    args.a = args.b = tic_f32(x, 200);
    args.c = tic_f32(y, 200);
    CHECK_OK(tic_ctx_reserve(ctx, tic_gemm_scratch(ctx, &args), err));
    CHECK_OK(tic_gemm(ctx, &args, err));
    cr_assert(tic_ctx_growths(ctx) == 0);
    tic_ctx_free(ctx);
    ctx = check_ctx(2);
    CHECK_OK(tic_gemm(ctx, &args, err));
    CHECK_OK(tic_gemm(ctx, &args, err));
    cr_assert(tic_ctx_growths(ctx) == 1);
    tic_ctx_free(ctx);
    tic_free(x);
    tic_free(y);
}

Test(bf16, every_value_comes_back) {
    for (uint32_t h = 0; h < 65536; h++) {
        float x = tic_from_bf16((tic_bf16)h);
        if (x == x)
            cr_assert(tic_to_bf16(x) == h, "%04x", h);
        else
            cr_assert(isnan(tic_from_bf16(tic_to_bf16(x))), "%04x", h);
    }
    cr_assert(tic_to_bf16(1.00390625f) == 0x3f80); /* tie: to even, down */
    cr_assert(tic_to_bf16(1.01171875f) == 0x3f82); /* tie: to even, up */
    cr_assert(isinf(tic_from_bf16(tic_to_bf16(FLT_MAX))));
    uint32_t payload = 0x7f800001;
    float nan_in_low_bits;
    memcpy(&nan_in_low_bits, &payload, 4);
    cr_assert(isnan(tic_from_bf16(tic_to_bf16(nan_in_low_bits))));
}
