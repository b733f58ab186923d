/* Which variant computes a problem: forced, else the plan's line for it, else the plan's `any`
 * line, else the registry's first row that can. */
#include "kernels/drive/gemm_cut.h"
#include "kernels/room.h"

#include <stdio.h>
#include <string.h>

/* A test's own rows have the numbers behind the registry's; NULL: there are no more. */
static const tic_variant *row_at(int i) {
    if (i < tic_registry_size)
        return &tic_registry[i];
    return tic_test_row != NULL ? tic_test_row(i - tic_registry_size) : NULL;
}

int tic_variant_find(tic_op op, const char *name) {
    const tic_variant *row;
    for (int i = 0; (row = row_at(i)) != NULL; i++)
        if (row->info.op == op && strcmp(row->info.name, name) == 0)
            return i;
    return -1;
}

const tic_variant *tic_registry_find(tic_op op, const char *name) {
    const int i = tic_variant_find(op, name);
    return i < 0 ? NULL : row_at(i);
}

int tic_variant_count(void) {
    return tic_registry_size;
}

tic_variant_info tic_variant_get(int i) {
    return row_at(i)->info;
}

int tic_knob_count(const tic_variant *variant) {
    int count = 0;
    while (count < TIC_MAX_KNOBS && variant->knobs[count].name != NULL)
        count++;
    return count;
}

int tic_variant_knobs(int i, const tic_knob **knobs) {
    *knobs = row_at(i)->knobs;
    return tic_knob_count(row_at(i));
}

bool tic_variant_tile(int i, int *rows, int *columns, size_t *element) {
    const tic_variant *variant = row_at(i);
    const tic_gemm_micro *micro = variant->micro;
    if (variant->info.op != TIC_OP_GEMM || micro == NULL)
        return false;
    *rows = micro->tile_m;
    *columns = micro->tile_n;
    *element = (size_t)(4 / tic_panel_step(micro->format.panel));
    return true;
}

static bool is_direct(const tic_problem *p) {
    return p->c == TIC_F32 && !p->bias && p->act == TIC_ACT_NONE && !p->residual;
}

int64_t tic_variant_block(int i, const tic_problem *p, int64_t kc) {
    const tic_variant *variant = row_at(i);
    return variant->run == tic_gemm_blocked
               ? tic_gemm_block(variant->micro, is_direct(p), p->packed, kc)
               : kc;
}

bool tic_variant_takes_a_in_place(int i, const tic_problem *p, tic_dtype precision, int64_t kc) {
    const tic_variant *variant = row_at(i);
    return variant->run == tic_gemm_blocked && p->trans == TIC_TN && precision == TIC_F32 &&
           p->a == TIC_F32 &&
           tic_gemm_a_fits(variant->micro, is_direct(p), p->k,
                           tic_gemm_equal_block(variant->micro, p->k, tic_variant_block(i, p, kc)),
                           p->m);
}

/* ---- who can run what ----------------------------------------------------------------------- */

const char *tic_variant_refuses(const tic_variant *variant, unsigned isa) {
    static const struct {
        unsigned bit;
        const char *reason;
    } needs[] = {
        {TIC_ISA_AVX2, "it needs AVX2 and FMA"},
        {TIC_ISA_AVX512, "it needs AVX-512 F, BW, DQ and VL"},
        {TIC_ISA_AVX512_BF16, "it needs AVX-512 BF16"},
        {TIC_ISA_AMX_BF16, "it needs AMX BF16"},
    };
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (variant->info.isa & needs[i].bit & ~isa)
            return needs[i].reason;
    return variant->unavailable != NULL ? variant->unavailable(variant) : NULL;
}

static const char *declines(const tic_ctx *ctx, const tic_variant *variant, tic_dtype precision,
                            const void *args) {
    const char *reason = tic_variant_refuses(variant, ctx->isa);
    if (reason != NULL)
        return reason;
    if (!(variant->info.precisions & 1u << precision))
        return "it does not compute in this precision";
    return variant->declines != NULL ? variant->declines(ctx, args) : NULL;
}

const char *tic_variant_declines(const tic_ctx *ctx, int i, tic_dtype precision, const void *args) {
    return declines(ctx, row_at(i), precision, args);
}

const tic_variant *tic_registry_default(tic_op op, tic_dtype precision, unsigned isa) {
    for (int i = 0; i < tic_registry_size; i++) {
        const tic_variant *row = &tic_registry[i];
        if (row->info.op == op && row->info.precisions & 1u << precision &&
            tic_variant_refuses(row, isa) == NULL)
            return row;
    }
    return NULL;
}

tic_status tic_ctx_force(tic_ctx *ctx, tic_op op, const char *name, tic_error *err) {
    if (name == NULL) {
        ctx->forced[op] = NULL;
        return TIC_OK;
    }
    const tic_variant *variant = tic_registry_find(op, name);
    if (variant == NULL)
        return tic_fail(err, TIC_EUSAGE, "%s has no variant \"%s\"", tic_op_name(op), name);
    const char *reason = tic_variant_refuses(variant, ctx->isa);
    if (reason != NULL)
        return tic_fail(err, TIC_EUSAGE, "%s variant \"%s\" cannot run here: %s", tic_op_name(op),
                        name, reason);
    ctx->forced[op] = variant;
    return TIC_OK;
}

const char *tic_ctx_ran(const tic_ctx *ctx, tic_op op) {
    return ctx->ran[op] == NULL ? "" : ctx->ran[op]->info.name;
}

/* ---- choosing ------------------------------------------------------------------------------- */

static void take_defaults(tic_choice *choice, const tic_variant *variant) {
    choice->variant = variant;
    for (int i = 0; i < TIC_MAX_KNOBS; i++)
        choice->knobs[i] = variant->knobs[i].value;
}

/* The packing that a call brings along; NULL: none. */
static const tic_gemm_format *brought(tic_op op, const void *args) {
    const tic_gemm_args *gemm = args;
    return op == TIC_OP_GEMM && gemm->packed_b != NULL ? gemm->packed_b->format : NULL;
}

static bool reads(const tic_variant *variant, const tic_gemm_format *packing) {
    return packing == NULL ||
           (variant->packs != NULL && tic_gemm_same_format(variant->packs, packing));
}

/* The plan's line for this shape, or its `any` line, when that variant takes the problem. */
static bool take_planned(const tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                         const void *args, const tic_gemm_format *packing, tic_choice *choice) {
    const char *shapes[2] = {shape, "any"};
    for (int i = 0; i < 2; i++) {
        char key[TIC_KEY_TEXT];
        snprintf(key, sizeof key, "%s/%s/%s", tic_op_name(op), tic_dtype_name(precision),
                 shapes[i]);
        if (tic_plan_find(ctx->plan, key, choice) && reads(choice->variant, packing) &&
            declines(ctx, choice->variant, precision, args) == NULL)
            return true;
    }
    return false;
}

/* Among the variants that read `packing`. */
static bool take(const tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                 const void *args, const tic_gemm_format *packing, tic_choice *choice) {
    if (ctx->plan != NULL && take_planned(ctx, op, precision, shape, args, packing, choice))
        return true;
    for (int i = 0; i < tic_registry_size; i++) {
        const tic_variant *row = &tic_registry[i];
        if (row->info.op == op && reads(row, packing) &&
            declines(ctx, row, precision, args) == NULL) {
            take_defaults(choice, row);
            return true;
        }
    }
    return false;
}

tic_status tic_choose(const tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                      const void *args, tic_choice *choice, tic_error *err) {
    const tic_variant *forced = ctx->forced[op];
    if (forced != NULL) {
        const char *reason = declines(ctx, forced, precision, args);
        if (reason != NULL)
            return tic_fail(err, TIC_EUSAGE, "%s variant \"%s\" declines %s/%s: %s",
                            tic_op_name(op), forced->info.name, tic_dtype_name(precision), shape,
                            reason);
        take_defaults(choice, forced);
        return TIC_OK;
    }
    const tic_gemm_format *packing = brought(op, args);
    if (packing != NULL && take(ctx, op, precision, shape, args, packing, choice))
        return TIC_OK;
    if (take(ctx, op, precision, shape, args, NULL, choice))
        return TIC_OK;
    return tic_fail(err, TIC_EINTERNAL, "%s: no variant takes %s/%s", tic_op_name(op),
                    tic_dtype_name(precision), shape);
}

tic_status tic_ctx_choice(const tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                          const void *args, int *variant, int knobs[TIC_MAX_KNOBS],
                          tic_error *err) {
    tic_choice choice;
    TIC_TRY(tic_choose(ctx, op, precision, shape, args, &choice, err));
    *variant = tic_variant_find(op, choice.variant->info.name);
    memcpy(knobs, choice.knobs, sizeof choice.knobs);
    return TIC_OK;
}

/* ---- running -------------------------------------------------------------------------------- */

void tic_ctx_watch(tic_ctx *ctx, void (*watch)(void *state, const tic_call *call), void *state) {
    ctx->watch = watch;
    ctx->watch_state = state;
}

/* Nobody watches what is a part of the call. */
static tic_status run_watched(tic_ctx *ctx, tic_op op, const tic_choice *choice, const char *shape,
                              const void *args, tic_error *err) {
    void (*watch)(void *state, const tic_call *call) = ctx->watch;
    ctx->watch = NULL;
    const double start = tic_now();
    tic_status status = choice->variant->run(ctx, choice->variant, choice->knobs, args, err);
    const tic_call call = {.op = op,
                           .purpose = ctx->purpose,
                           .variant = choice->variant->info.name,
                           .shape = shape,
                           .seconds = tic_now() - start,
                           .demand = tic_demand_of(op, args)};
    ctx->watch = watch;
    if (status == TIC_OK)
        watch(ctx->watch_state, &call);
    return status;
}

tic_status tic_dispatch(tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                        const void *args, tic_error *err) {
    tic_choice choice;
    TIC_TRY(tic_choose(ctx, op, precision, shape, args, &choice, err));
    ctx->ran[op] = choice.variant;
    if (ctx->watch != NULL)
        return run_watched(ctx, op, &choice, shape, args, err);
    return choice.variant->run(ctx, choice.variant, choice.knobs, args, err);
}
