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
    CHECK_OK(tic_plan_add(plan, "gemm/f32/nt,m2+,n4,k5 portable kc=64", err));
    CHECK_OK(tic_plan_add(plan, "gemm/f32/any portable", err));
    CHECK_OK(tic_plan_add(plan, "  gemm/bf16/any   ref ", err));
    CHECK_OK(tic_plan_add(plan, "gemm/f32/nt,m2+,n4,k5 portable mc=24 kc=32", err));
    cr_assert(tic_plan_lines(plan) == 3);
    cr_assert_str_eq(tic_plan_line(plan, 0), "gemm/bf16/any ref");
    for (int i = 1; i < 3; i++)
        cr_assert(strcmp(tic_plan_line(plan, i - 1), tic_plan_line(plan, i)) < 0);
    cr_assert_str_eq(tic_plan_line(plan, 2), "gemm/f32/nt,m2+,n4,k5 portable kc=32 mc=24 nc=4096");
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
    CHECK_OK(tic_plan_add(plan, "gemm/f32/nn,m2+,n2,k2 portable", err));
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

/* ---- watching calls -------------------------------------------------------------------------- */

typedef struct seen {
    int calls;
    tic_call last;
    char shape[64];
} seen;

static void see(void *state, const tic_call *call) {
    seen *s = state;
    s->calls++;
    s->last = *call;
    snprintf(s->shape, sizeof s->shape, "%s", call->shape);
}

Test(watch, sees_whole_calls_with_their_demand) {
    enum { B = 40, D = 24 };
    tic_ctx *ctx = check_ctx(2);
    float *x = check_alloc(4 * B * D, sizeof *x);
    check_fill(x, 2 * B * D, 1, 0.2f);
    seen state = {0};
    tic_ctx_purpose(ctx, TIC_FOR_TEACHER);
    tic_ctx_watch(ctx, see, &state);
    tic_contrastive_args args = {.b = B,
                                 .d = D,
                                 .image = x,
                                 .text = x + B * D,
                                 .scale = 10,
                                 .d_image = x + 2 * B * D,
                                 .d_text = x + 3 * B * D};
    CHECK_OK(tic_contrastive(ctx, &args, err));
    cr_assert_eq(state.calls, 1, "its gemms are part of it: %d calls", state.calls);
    cr_assert(state.last.op == TIC_OP_CONTRASTIVE && state.last.purpose == TIC_FOR_TEACHER);
    cr_assert(state.last.seconds > 0);
    cr_assert_eq(state.last.demand.macs, tic_contrastive_macs(B, D, true));
    cr_assert_eq(state.last.demand.bytes, 4 * B * D * sizeof(float));
    cr_assert_str_eq(state.last.variant, tic_ctx_ran(ctx, TIC_OP_CONTRASTIVE));

    tic_gemm_args gemm = {.trans = TIC_TN,
                          .m = D,
                          .n = D,
                          .k = B,
                          .a = tic_f32(x, D),
                          .b = tic_f32(x, D),
                          .c = tic_f32(x + 2 * B * D, D),
                          .accumulate = true};
    CHECK_OK(tic_gemm(ctx, &gemm, err));
    cr_assert_str_eq(state.shape, "tn,m24,n24,k32+,accumulate");
    cr_assert_eq(state.last.demand.bytes, (2 * B * D + 2 * D * D) * sizeof(float));
    tic_ctx_watch(ctx, NULL, NULL);
    CHECK_OK(tic_gemm(ctx, &gemm, err));
    cr_assert_eq(state.calls, 2, "nobody watches any more");
    tic_ctx_free(ctx);
    tic_free(x);
}

Test(watch, demand_of_every_operation) {
    const int32_t offsets[] = {0, 3, 7};
    const tic_attention_args attention = {.sequences = 2,
                                          .q_offsets = offsets,
                                          .kv_offsets = offsets,
                                          .heads = 2,
                                          .head_dim = 8,
                                          .q = {.type = TIC_BF16}};
    tic_demand d = tic_demand_of(TIC_OP_ATTENTION, &attention);
    cr_assert(d.macs == 2 * (9 + 16) * 16 && d.bytes == 4 * 7 * 16 * 2 && d.precision == TIC_BF16);
    d = tic_demand_of(TIC_OP_ATTENTION_BACKWARD, &attention);
    cr_assert(d.macs == 4 * (9 + 16) * 16 && d.bytes == 8 * 7 * 16 * 2);
    const tic_layernorm_args norm = {.rows = 3, .d = 5, .y.type = TIC_BF16, .add_dx = true};
    cr_assert_eq(tic_demand_of(TIC_OP_LAYERNORM, &norm).bytes, 15 * 6);
    cr_assert_eq(tic_demand_of(TIC_OP_LAYERNORM_BACKWARD, &norm).bytes, 15 * 16);
    const tic_adamw_args adamw = {.n = 10};
    cr_assert_eq(tic_demand_of(TIC_OP_ADAMW, &adamw).bytes, 10 * 28);
    const tic_l2norm_args l2 = {.rows = 3, .d = 5};
    cr_assert_eq(tic_demand_of(TIC_OP_L2NORM, &l2).bytes, 15 * 8);
    cr_assert_eq(tic_demand_of(TIC_OP_L2NORM_BACKWARD, &l2).bytes, 15 * 12);
    const tic_patchify_args patchify = {.n = 2, .size = 4, .patch = 2};
    cr_assert_eq(tic_demand_of(TIC_OP_PATCHIFY, &patchify).bytes, 2 * 48 * 5);
    const tic_embedding_args words = {.sequences = 2, .offsets = offsets, .ids = offsets, .d = 4};
    cr_assert_eq(tic_demand_of(TIC_OP_EMBEDDING, &words).bytes, 28 * 12);
    cr_assert_eq(tic_demand_of(TIC_OP_EMBEDDING_BACKWARD, &words).bytes, 28 * 20);
    const tic_distill_args distill = {.b = 10, .d = 4, .teacher_d = 6};
    cr_assert_eq(tic_demand_of(TIC_OP_DISTILL, &distill).bytes, 2 * 10 * (4 + 6) * 4);
    cr_assert_eq(tic_demand_of(TIC_OP_DISTILL, &distill).macs, tic_distill_macs(10, 4, 6, false));
}
