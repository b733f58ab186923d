/* Reads ticlip's software-defined events as any tool would: a program of its own, linked to the
 * shared library, that knows PAPI's API and the shapes it computes. Lists the events with their
 * descriptions (`papi_reader list`), or computes problems whose multiply-adds are known and demands
 * that every event counted exactly what it says, between PAPI_start and PAPI_read. */
#include "kernels/kernels.h"

#include <papi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_OPERATION = TIC_PURPOSE_COUNT, ISSUED = FIRST_OPERATION + TIC_OP_COUNT, LOGICAL, ALL };
static const char prefix[] = "sde:::ticlip::";
static int failures;

static void demand(bool holds, const char *what, const char *detail) {
    if (holds)
        return;
    fprintf(stderr, "papi_reader: %s: %s\n", what, detail);
    failures++;
}

static void ok(tic_status status, const tic_error *err) {
    if (status == TIC_OK)
        return;
    fprintf(stderr, "papi_reader: %s\n", err->text);
    exit(1);
}

static void papi(int code, const char *what) {
    if (code == PAPI_OK)
        return;
    fprintf(stderr, "papi_reader: %s: %s\n", what, PAPI_strerror(code));
    exit(1);
}

/* ---- the events ------------------------------------------------------------------------------ */

static void name_of(int event, char name[PAPI_MAX_STR_LEN]) {
    const char *part = event < FIRST_OPERATION ? tic_purpose_name((tic_purpose)event)
                       : event < ISSUED        ? tic_op_name((tic_op)(event - FIRST_OPERATION))
                                               : "";
    snprintf(name, PAPI_MAX_STR_LEN, "%sMACS_%s%s%s", prefix,
             event == LOGICAL ? "LOGICAL" : "ISSUED", part[0] != '\0' ? "_" : "", part);
    for (char *c = name + strlen(prefix); *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

/* What PAPI's component lists, one line each; the number of lines. */
static int list(bool print) {
    const int sde = PAPI_get_component_index("sde");
    int code = PAPI_NATIVE_MASK, count = 0;
    PAPI_event_info_t info;
    for (int next = PAPI_enum_cmp_event(&code, PAPI_ENUM_FIRST, sde); next == PAPI_OK;
         next = PAPI_enum_cmp_event(&code, PAPI_ENUM_EVENTS, sde)) {
        papi(PAPI_get_event_info(code, &info), "PAPI_get_event_info");
        if (strncmp(info.symbol, prefix, strlen(prefix)) != 0)
            continue;
        demand(strstr(info.long_descr, "multiply-adds") != NULL, info.symbol, "not described");
        if (print)
            printf("%s\t%s\n", info.symbol, info.long_descr);
        count++;
    }
    return count;
}

static int open_set(void) {
    int set = PAPI_NULL;
    papi(PAPI_create_eventset(&set), "PAPI_create_eventset");
    for (int event = 0; event < ALL; event++) {
        char name[PAPI_MAX_STR_LEN];
        int code = 0;
        name_of(event, name);
        papi(PAPI_event_name_to_code(name, &code), name);
        papi(PAPI_add_event(set, code), name);
    }
    return set;
}

/* ---- problems whose multiply-adds are known -------------------------------------------------- */

enum { SIDE = 8, ROWS = 6, MANY = 2016, COLUMNS = 192, DEEP = 64 };
static float zero[MANY * COLUMNS], out[MANY * COLUMNS], out2[MANY], out3[MANY];

typedef struct known {
    uint64_t issued, logical;
} known;

static known gemm(tic_ctx *ctx, int64_t m, int64_t n, int64_t k) {
    tic_error err = {0};
    const tic_gemm_args args = {
        .m = m, .n = n, .k = k, .a = tic_f32(zero, k), .b = tic_f32(zero, n), .c = tic_f32(out, n)};
    ok(tic_gemm(ctx, &args, &err), &err);
    return (known){(uint64_t)(m * n * k), (uint64_t)(m * n * k)};
}

/* Two sequences, of 2 and 4 tokens, causal: 3 + 10 pairs of a query and a key that it sees. The
 * reference multiplies those alone; backward once more than needed, to have P again. */
static known attention(tic_ctx *ctx, bool backward) {
    static const int32_t offsets[] = {0, 2, ROWS};
    const tic_mat in = tic_f32(zero, SIDE), to = tic_f32(out, SIDE);
    const uint64_t product = (3 + 10) * SIDE;
    tic_error err = {0};
    const tic_attention_args args = {.sequences = 2,
                                     .q_offsets = offsets,
                                     .kv_offsets = offsets,
                                     .heads = 2,
                                     .head_dim = SIDE / 2,
                                     .causal = true,
                                     .scale = 1,
                                     .q = in,
                                     .k = in,
                                     .v = in,
                                     .o = to,
                                     .lse = out2,
                                     .d_o = in,
                                     .dq = to,
                                     .dk = tic_f32(out + ROWS * SIDE, SIDE),
                                     .dv = tic_f32(out + 2 * ROWS * SIDE, SIDE)};
    ok(backward ? tic_attention_backward(ctx, &args, &err) : tic_attention(ctx, &args, &err), &err);
    return backward ? (known){5 * product, 4 * product} : (known){2 * product, 2 * product};
}

static known loss(tic_ctx *ctx, bool distill) {
    tic_error err = {0};
    tic_contrastive_args contrastive = {.b = ROWS,
                                        .d = SIDE,
                                        .image = zero,
                                        .text = zero,
                                        .scale = 1,
                                        .d_image = out,
                                        .d_text = out + ROWS * SIDE};
    tic_distill_args args = {.b = ROWS,
                             .d = SIDE,
                             .teacher_d = 4,
                             .image = zero,
                             .text = zero,
                             .teacher_image = zero,
                             .teacher_text = zero,
                             .scale = 1,
                             .teacher_scale = 1,
                             .d_image = out,
                             .d_text = out + ROWS * SIDE};
    ok(distill ? tic_distill(ctx, &args, &err) : tic_contrastive(ctx, &contrastive, &err), &err);
    const uint64_t macs = ROWS * ROWS * (distill ? 4 + 3 * SIDE : 3 * SIDE);
    return (known){macs, macs};
}

/* Elementwise work is no MACs: its events stay at zero. */
static known elementwise(tic_ctx *ctx, tic_op op) {
    static const int32_t offsets[] = {0, 2, ROWS}, ids[ROWS];
    static uint8_t pixels[3 * SIDE * SIDE];
    tic_error err = {0};
    const tic_layernorm_args norm = {.rows = ROWS,
                                     .d = SIDE,
                                     .eps = 1e-5f,
                                     .x = zero,
                                     .ld_x = SIDE,
                                     .gamma = zero,
                                     .beta = zero,
                                     .y = tic_f32(out, SIDE),
                                     .mean = out2,
                                     .rstd = out3,
                                     .dy = tic_f32(zero, SIDE),
                                     .dx = out,
                                     .ld_dx = SIDE,
                                     .dgamma = out + ROWS * SIDE,
                                     .dbeta = out + (ROWS + 1) * SIDE};
    const tic_patchify_args patches = {.n = 1,
                                       .size = SIDE,
                                       .patch = SIDE / 2,
                                       .pixels = pixels,
                                       .std = {1, 1, 1},
                                       .out = tic_f32(out, 3 * SIDE * SIDE / 4)};
    const tic_embedding_args embedding = {.sequences = 2,
                                          .offsets = offsets,
                                          .ids = ids,
                                          .d = SIDE,
                                          .vocab = 1,
                                          .table = zero,
                                          .position = zero,
                                          .x = out,
                                          .dx = zero,
                                          .dtable = out2,
                                          .dposition = out3};
    const tic_l2norm_args unit = {.rows = ROWS,
                                  .d = SIDE,
                                  .eps = 1e-6f,
                                  .x = zero,
                                  .y = out,
                                  .inverse = out2,
                                  .dy = zero,
                                  .dx = out};
    const tic_adamw_args adamw = {.n = SIDE,
                                  .w = out,
                                  .g = out2,
                                  .m = out3,
                                  .v = out3 + SIDE,
                                  .beta1 = 0.9f,
                                  .beta2 = 0.98f,
                                  .eps = 1e-6f,
                                  .grad_scale = 1,
                                  .step = 1};
    const tic_status status =
        op == TIC_OP_LAYERNORM            ? tic_layernorm(ctx, &norm, &err)
        : op == TIC_OP_LAYERNORM_BACKWARD ? tic_layernorm_backward(ctx, &norm, &err)
        : op == TIC_OP_PATCHIFY           ? tic_patchify(ctx, &patches, &err)
        : op == TIC_OP_EMBEDDING          ? tic_embedding(ctx, &embedding, &err)
        : op == TIC_OP_EMBEDDING_BACKWARD ? tic_embedding_backward(ctx, &embedding, &err)
        : op == TIC_OP_L2NORM             ? tic_l2norm(ctx, &unit, &err)
        : op == TIC_OP_L2NORM_BACKWARD    ? tic_l2norm_backward(ctx, &unit, &err)
                                          : tic_adamw(ctx, &adamw, &err);
    ok(status, &err);
    return (known){0, 0};
}

static known compute(tic_ctx *ctx, tic_op op) {
    switch (op) {
    case TIC_OP_GEMM:
        return gemm(ctx, 3, 5, 7);
    case TIC_OP_ATTENTION:
        return attention(ctx, false);
    case TIC_OP_ATTENTION_BACKWARD:
        return attention(ctx, true);
    case TIC_OP_CONTRASTIVE:
        return loss(ctx, false);
    case TIC_OP_DISTILL:
        return loss(ctx, true);
    default:
        return elementwise(ctx, op);
    }
}

/* ---- what the events must read
 * ------------------------------------------------------------------- */

static void check(int set, tic_purpose purpose, tic_op op, known macs, const char *what) {
    long long values[ALL];
    papi(PAPI_read(set, values), "PAPI_read");
    for (int event = 0; event < ALL; event++) {
        char name[PAPI_MAX_STR_LEN], text[PAPI_MAX_STR_LEN + 100];
        const bool counts =
            event == (int)purpose || event == FIRST_OPERATION + (int)op || event == ISSUED;
        const uint64_t want = event == LOGICAL ? macs.logical : counts ? macs.issued : 0;
        name_of(event, name);
        snprintf(text, sizeof text, "%s reads %lld, not %llu", name, values[event],
                 (unsigned long long)want);
        demand((uint64_t)values[event] == want, what, text);
        if (want > 0 && event != (int)ISSUED && event != (int)LOGICAL)
            printf("%s = %lld (%s, %s)\n", name, values[event], tic_op_name(op), what);
    }
}

static void count_once(tic_ctx *ctx, int set, tic_purpose purpose, tic_op op) {
    tic_error err = {0};
    tic_ctx_purpose(ctx, purpose);
    ok(tic_ctx_force(ctx, op, "ref", &err), &err);
    papi(PAPI_start(set), "PAPI_start");
    const known macs = compute(ctx, op);
    check(set, purpose, op, macs, tic_purpose_name(purpose));
    long long values[ALL];
    papi(PAPI_stop(set, values), "PAPI_stop");
    ok(tic_ctx_force(ctx, op, NULL, &err), &err);
}

/* A product of whole tiles, whatever the tile: every variant executes what the shape needs, and two
 * threads' shares add up. */
static void count_every_gemm(tic_ctx *ctx, int set) {
    tic_ctx_purpose(ctx, TIC_FOR_FORWARD);
    for (int v = 0; v < tic_variant_count(); v++) {
        const tic_variant_info info = tic_variant_get(v);
        tic_error err = {0};
        if (info.op != TIC_OP_GEMM || (info.precisions & 1u << TIC_F32) == 0)
            continue;
        if (tic_ctx_force(ctx, TIC_OP_GEMM, info.name, &err) != TIC_OK) {
            printf("not run here: %s\n", err.text);
            continue;
        }
        papi(PAPI_start(set), "PAPI_start");
        const known macs = gemm(ctx, MANY, COLUMNS, DEEP);
        check(set, TIC_FOR_FORWARD, TIC_OP_GEMM, macs, info.name);
        long long values[ALL];
        papi(PAPI_stop(set, values), "PAPI_stop");
        if (strcmp(tic_ctx_ran(ctx, TIC_OP_GEMM), info.name) != 0)
            printf("%s declined: %s ran\n", info.name, tic_ctx_ran(ctx, TIC_OP_GEMM));
    }
}

int main(int argc, char **argv) {
    tic_error err = {0};
    tic_ctx *ctx;
    const tic_ctx_options options = {.threads = 2};
    ok(tic_ctx_new(&ctx, &options, &err), &err);
    ok(tic_papi_export(ctx, &err), &err);
    if (PAPI_library_init(PAPI_VER_CURRENT) != PAPI_VER_CURRENT) {
        fprintf(stderr, "papi_reader: PAPI does not start\n");
        return 1;
    }
    const int events = list(argc > 1 && strcmp(argv[1], "list") == 0);
    demand(events == ALL, "events",
           "PAPI lists another number than one a purpose, one an "
           "operation, and the two sums");
    if (argc == 1) {
        const int set = open_set();
        for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
            count_once(ctx, set, (tic_purpose)p, TIC_OP_GEMM);
        for (int op = 0; op < TIC_OP_COUNT; op++)
            count_once(ctx, set, TIC_FOR_EVALUATION, (tic_op)op);
        count_every_gemm(ctx, set);
    }
    tic_ctx_free(ctx);
    return failures > 0;
}
