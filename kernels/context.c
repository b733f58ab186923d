/* A context: threads, the instruction sets it may use, plan, scratch and counters. */
#include "kernels/room.h"

#include "kernels/drive/share.h"

#include <string.h>

unsigned tic_isa_usable(unsigned limit) {
    unsigned tiers = limit & ~TIC_ISA_LIMIT_PORTABLE, mask = 0;
    if (limit == 0)
        return tic_cpu_get()->isa;
    while (mask < tiers) /* every tier up to the highest one named */
        mask = mask << 1 | 1;
    return tic_cpu_get()->isa & mask;
}

tic_status tic_ctx_new(tic_ctx **out, const tic_ctx_options *options, tic_error *err) {
    enum { MOST_THREADS = 1024 };
    static const tic_ctx_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    tic_ctx *ctx;
    *out = NULL;
    if (options->threads < 0 || options->threads > MOST_THREADS)
        return tic_fail(err, TIC_EUSAGE, "threads: %d is not in 0..%d", options->threads,
                        MOST_THREADS);
    TIC_TRY(tic_alloc(&ctx, 1, sizeof *ctx, err));
    ctx->threads = options->threads > 0 ? options->threads : tic_cpu_get()->cores;
    ctx->isa = tic_isa_usable(options->isa_limit);
    ctx->plan = options->plan;
    tic_status status = tic_alloc(&ctx->count, (size_t)ctx->threads, sizeof *ctx->count, err);
    if (status == TIC_OK)
        status = tic_alloc(&ctx->shares, (size_t)ctx->threads, sizeof *ctx->shares, err);
    if (status == TIC_OK && ctx->plan != NULL)
        status = tic_plan_runs(ctx->plan, ctx->isa, err);
    if (status == TIC_OK)
        *out = ctx;
    else
        tic_ctx_free(ctx);
    return status;
}

void tic_ctx_free(tic_ctx *ctx) {
    if (ctx == NULL)
        return;
    tic_papi_forget(ctx);
    tic_arena_free(&ctx->scratch);
    tic_free(ctx->count);
    tic_free(ctx->shares);
    tic_free(ctx);
}

int tic_ctx_threads(const tic_ctx *ctx) {
    return ctx->threads;
}

unsigned tic_ctx_isa(const tic_ctx *ctx) {
    return ctx->isa;
}

void tic_ctx_purpose(tic_ctx *ctx, tic_purpose purpose) {
    ctx->purpose = purpose;
}

void tic_ctx_site(tic_ctx *ctx, int site) {
    ctx->site = site;
}

void tic_ctx_pmu(tic_ctx *ctx, tic_pmu *pmu) {
    ctx->pmu = pmu;
}

/* ---- scratch -------------------------------------------------------------------------------- */

/* The old block is freed first: its contents are of no call that still runs, and the two together
 * could be too much. */
static tic_status book(tic_ctx *ctx, size_t bytes, tic_error *err) {
    tic_arena_free(&ctx->scratch);
    return tic_arena_new(&ctx->scratch, bytes, err);
}

tic_status tic_ctx_reserve(tic_ctx *ctx, size_t bytes, tic_error *err) {
    return bytes <= ctx->scratch.size ? TIC_OK : book(ctx, bytes, err);
}

tic_status tic_ctx_scratch(tic_ctx *ctx, size_t bytes, tic_error *err) {
    if (bytes <= ctx->scratch.size - ctx->scratch.used)
        return TIC_OK;
    if (ctx->scratch.used > 0)
        return tic_fail(err, TIC_EINTERNAL, "scratch of a part was not booked by the whole");
    ctx->growths++;
    return book(ctx, bytes, err);
}

int tic_ctx_growths(const tic_ctx *ctx) {
    return ctx->growths;
}

/* ---- counters ------------------------------------------------------------------------------- */

void tic_ctx_counters(const tic_ctx *ctx, tic_counters *out) {
    memset(out, 0, sizeof *out);
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        for (int op = 0; op < TIC_OP_COUNT; op++) {
            out->by[p][op].logical = ctx->logical[p][op];
            for (int t = 0; t < ctx->threads; t++)
                out->by[p][op].issued += ctx->count[t].issued[p][op];
        }
    }
    for (int site = 0; site < TIC_SITES; site++) {
        for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
            out->at[site][p].logical = ctx->logical_at[site][p];
            for (int t = 0; t < ctx->threads; t++)
                out->at[site][p].issued += ctx->count[t].at[site][p];
        }
    }
    if (ctx->pmu != NULL)
        out->hardware = tic_pmu_counted(ctx->pmu);
}

tic_macs tic_counters_purpose(const tic_counters *counters, tic_purpose purpose) {
    tic_macs sum = {0};
    for (int op = 0; op < TIC_OP_COUNT; op++) {
        sum.logical += counters->by[purpose][op].logical;
        sum.issued += counters->by[purpose][op].issued;
    }
    return sum;
}

tic_macs tic_counters_site(const tic_counters *counters, int site) {
    tic_macs sum = {0};
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        sum.logical += counters->at[site][p].logical;
        sum.issued += counters->at[site][p].issued;
    }
    return sum;
}

tic_macs tic_counters_sum(const tic_counters *counters) {
    tic_macs sum = {0};
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        tic_macs one = tic_counters_purpose(counters, (tic_purpose)p);
        sum.logical += one.logical;
        sum.issued += one.issued;
    }
    return sum;
}

/* ---- names and bf16 ------------------------------------------------------------------------- */

const char *tic_op_name(tic_op op) {
    static const char *const names[TIC_OP_COUNT] = {
        [TIC_OP_GEMM] = "gemm",
        [TIC_OP_ATTENTION] = "attention",
        [TIC_OP_ATTENTION_BACKWARD] = "attention_backward",
        [TIC_OP_CONTRASTIVE] = "contrastive",
        [TIC_OP_DISTILL] = "distill",
        [TIC_OP_LAYERNORM] = "layernorm",
        [TIC_OP_LAYERNORM_BACKWARD] = "layernorm_backward",
        [TIC_OP_PATCHIFY] = "patchify",
        [TIC_OP_EMBEDDING] = "embedding",
        [TIC_OP_EMBEDDING_BACKWARD] = "embedding_backward",
        [TIC_OP_L2NORM] = "l2norm",
        [TIC_OP_L2NORM_BACKWARD] = "l2norm_backward",
        [TIC_OP_ADAMW] = "adamw",
    };
    return names[op];
}

const char *tic_purpose_name(tic_purpose purpose) {
    static const char *const names[TIC_PURPOSE_COUNT] = {
        [TIC_FOR_FORWARD] = "forward",     [TIC_FOR_BACKWARD] = "backward",
        [TIC_FOR_RECOMPUTE] = "recompute", [TIC_FOR_TEACHER] = "teacher",
        [TIC_FOR_FISHER] = "fisher",       [TIC_FOR_SELECTION] = "selection",
        [TIC_FOR_PATCHING] = "patching",   [TIC_FOR_EVALUATION] = "evaluation",
        [TIC_FOR_TUNING] = "tuning",
    };
    return names[purpose];
}

const char *tic_dtype_name(tic_dtype type) {
    return type == TIC_F32 ? "f32" : "bf16";
}

float tic_from_bf16(tic_bf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

tic_bf16 tic_to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return (tic_bf16)(bits >> 16 | 0x40); /* quiet, so that no payload is cut to infinity */
    return (tic_bf16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
