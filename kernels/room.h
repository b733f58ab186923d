/* Inside kernels/ only: the context's insides, registry rows and dispatch. */
#ifndef TIC_KERNELS_ROOM_H
#define TIC_KERNELS_ROOM_H

#include "kernels/kernels.h"

/* ---- what counts as a MAC ----------------------------------------------------------------------
 * A MAC is a multiply-add of a matrix product that was executed by a *product micro-kernel*: a
 * function that is not inlined and stands in a section of its own, so that its addresses say what
 * it is. `ticlip audit` steps through calls, decodes every instruction, and demands that what was
 * executed in those functions is exactly what tic_count_issued was told:
 *
 *   TIC_PRODUCT       every FMA counts one MAC a lane (a lane that its mask leaves out counts
 *                     none), VDPBF16PS two a lane, TDPBF16PS as many as the tile configuration in
 *                     force says. Where a function has no FMA (portable tiers, references,
 *                     emulated tiles), a multiplication with an addition for it counts, one a lane;
 *                     the audit lists those apart.
 *   TIC_PRODUCT_BF16  only VDPBF16PS and TDPBF16PS count: for kernels that interleave an epilogue,
 *                     whose FMAs are elementwise work.
 *
 * All other multiply-adds are elementwise: polynomials of exp, statistics, sums along one row of
 * two operands (layernorm, attention's delta, the diagonal of scores), epilogues, Adam. They are
 * reported, never counted, and the audit refuses a call in which they grow with the length of
 * sums as a product's would. VDPBF16PS and TDPBF16PS outside of product micro-kernels are refused.
 *
 * So: keep epilogues out of TIC_PRODUCT functions; issue what the tile really executes (padding
 * counts; an accumulation by FMA counts too, see tic_gemm_micro.update); a loop that skips masked
 * lanes' products must not count them. Micro-kernels of a library are named by a function like
 * tic_gemm_blis_products. */
#define TIC_PRODUCT __attribute__((noinline, section("tic_product")))
#define TIC_PRODUCT_BF16 __attribute__((noinline, section("tic_product_bf16")))
/* Entries of BLIS's product micro-kernels that this process may call, i from 0; NULL at the end. */
const void *tic_gemm_blis_products(int i);

/* ---- a thread's counters: one cache line apart, added to by its own thread only -------------- */
typedef struct tic_thread_counters {
    uint64_t issued[TIC_PURPOSE_COUNT][TIC_OP_COUNT];
    uint64_t at[TIC_SITES][TIC_PURPOSE_COUNT]; /* the same MACs by site */
} __attribute__((aligned(128))) tic_thread_counters;

typedef struct tic_variant tic_variant;

/* One row of the registry. Rows of an operation stand best first: the default is the first whose
 * ISA the context may use, whose precision fits, and that does not decline. */
struct tic_variant {
    tic_variant_info info;
    /* NULL when this build and its libraries hold what the row needs, else why not. May be NULL. */
    const char *(*unavailable)(const tic_variant *variant);
    /* NULL when the variant accepts the problem, else why not (a static string). May be NULL. */
    const char *(*declines)(const tic_ctx *ctx, const void *args);
    /* knobs: this call's values, in the order of `knobs`. */
    tic_status (*run)(tic_ctx *ctx, const tic_variant *variant, const int *knobs, const void *args,
                      tic_error *err);
    const void *micro; /* the table of micro-kernels that the driver calls; its type is the op's */
    /* gemm: the packing of B that it reads (kernels/drive/gemm.h), or NULL */
    const struct tic_gemm_format *packs;
    tic_knob knobs[TIC_MAX_KNOBS];
};
extern const tic_variant tic_registry[];
extern const int tic_registry_size;
/* Rows that only a test's program has (tests/kernels/wrong_rows.c), i from 0; NULL at the end.
 * Absent, and so NULL itself, everywhere else. */
const tic_variant *tic_test_row(int i) __attribute__((weak));

struct tic_ctx {
    int threads;
    unsigned isa;
    const tic_plan *plan;
    tic_purpose purpose;
    int site;
    tic_op gemm_op; /* what gemms are counted as: TIC_OP_GEMM, or the operation they are part of */
    tic_arena scratch; /* grown between calls only */
    int growths;
    tic_thread_counters *count; /* [threads] */
    struct tic_share *shares;   /* [threads]: kernels/drive/share.h */
    uint64_t logical[TIC_PURPOSE_COUNT][TIC_OP_COUNT];
    uint64_t logical_at[TIC_SITES][TIC_PURPOSE_COUNT];
    const tic_variant *forced[TIC_OP_COUNT], *ran[TIC_OP_COUNT];
    struct tic_pmu *pmu;                              /* NULL: the CPU's counters are not asked */
    void (*watch)(void *state, const tic_call *call); /* NULL: nobody watches */
    void *watch_state;
};

/* ---- registry and plan ----------------------------------------------------------------------- */

enum { TIC_SHAPE_TEXT = 160, TIC_KEY_TEXT = TIC_PROBLEM_KEY }; /* bytes, with the NUL */

typedef struct tic_choice { /* what a problem is computed with */
    const tic_variant *variant;
    int knobs[TIC_MAX_KNOBS]; /* in the order of variant->knobs */
} tic_choice;

const tic_variant *tic_registry_find(tic_op op, const char *name); /* NULL: there is none */
/* The first row for that operation and precision that can run with `isa`; NULL: there is none. */
const tic_variant *tic_registry_default(tic_op op, tic_dtype precision, unsigned isa);
/* NULL when the variant can run with the instruction sets in `isa`, else why not. */
const char *tic_variant_refuses(const tic_variant *variant, unsigned isa);
int tic_knob_count(const tic_variant *variant);
/* What the CPU has within a limit as in tic_ctx_options. */
unsigned tic_isa_usable(unsigned limit);
/* False when the plan has no line with that key. */
bool tic_plan_find(const tic_plan *plan, const char *key, tic_choice *choice);
/* TIC_EUSAGE naming the first line whose variant cannot run with `isa`. */
tic_status tic_plan_runs(const tic_plan *plan, unsigned isa, tic_error *err);
uint64_t tic_pmu_counted(tic_pmu *pmu);   /* MACs of all threads so far; 0 when it cannot be read */
void tic_papi_forget(const tic_ctx *ctx); /* ends its export, if it has one */

/* ---- dispatch and scratch -------------------------------------------------------------------- */

/* Picks a variant: forced, else the plan's for `<op>/<precision>/<shape>`, else the plan's `any`,
 * else the registry's default. `shape` is like "nt,m1024+,n768,k3072,bias,gelu". A gemm whose B is
 * packed takes, of each of these, only variants that read such panels, unless there is none. */
tic_status tic_choose(const tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                      const void *args, tic_choice *choice, tic_error *err);
/* Picks one and runs it. */
tic_status tic_dispatch(tic_ctx *ctx, tic_op op, tic_dtype precision, const char *shape,
                        const void *args, tic_error *err);

/* Scratch of at least `bytes` for this call, on top of what is taken (grows when it was not
 * reserved, which only a call that nothing else is taken by can do); the caller hands it out with
 * tic_arena_take(&ctx->scratch, ...) and releases to its mark before it returns, also on failure.
 */
tic_status tic_ctx_scratch(tic_ctx *ctx, size_t bytes, tic_error *err);

/* tic_gemm as a part of operation `op`: its MACs are counted there, and its scratch (book
 * tic_gemm_scratch for it) comes on top of what the caller has taken. */
tic_status tic_gemm_for(tic_ctx *ctx, tic_op op, const tic_gemm_args *args, tic_error *err);

/* A build without counters (-Dcounters=false) is only for measuring what they cost: the compiler
 * then drops what nobody reads, sums in loops too (benchmarks/counter_cost.py). */
#ifdef TIC_UNCOUNTED
static inline void tic_count_issued(tic_ctx *ctx, int thread, tic_op op, uint64_t macs) {
    (void)ctx, (void)thread, (void)op, (void)macs;
}
static inline void tic_count_logical(tic_ctx *ctx, tic_op op, uint64_t macs) {
    (void)ctx, (void)op, (void)macs;
}
#else
/* Called by the thread that did the work, thread = omp_get_thread_num(). */
static inline void tic_count_issued(tic_ctx *ctx, int thread, tic_op op, uint64_t macs) {
    ctx->count[thread].issued[ctx->purpose][op] += macs;
    ctx->count[thread].at[ctx->site][ctx->purpose] += macs;
}
/* Called once a call. */
static inline void tic_count_logical(tic_ctx *ctx, tic_op op, uint64_t macs) {
    ctx->logical[ctx->purpose][op] += macs;
    ctx->logical_at[ctx->site][ctx->purpose] += macs;
}
#endif

/* Every file in kernels/vec/ is compiled once a tier, with TIC_TIER defined as one of
 * portable, avx2, avx512; its table is named TIC_TIERED(tic_<op>_micro). */
#define TIC_PASTE_(a, b) a##_##b
#define TIC_PASTE(a, b) TIC_PASTE_(a, b)
#define TIC_TIERED(name) TIC_PASTE(name, TIC_TIER)

#endif
