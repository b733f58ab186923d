/* The auditor: what it sees executed is what was issued, whatever the data, the threads and the
 * addresses; wrong counters and wrong kernels are caught and named. */
#include "tests/kernels/check.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct outcome { /* of one audited call, told through shared memory */
    uint64_t issued, executed, caught, elementwise, calls;
    tic_executed stepped;
    char teller[64], worker[64], misplaced_in[64];
} outcome;

typedef struct asked {
    const char *variant;
    tic_dtype precision;
    int threads;
    int64_t m, n, k;
    uint64_t seed; /* of the operands; 0: small integers times `fill` */
    float fill;
    size_t shift; /* bytes of the heap taken before */
    bool accumulate;
    bool catch_too;
} asked;

static tic_ctx *ctx;
static tic_gemm_args args;

static tic_status call(void *user, tic_error *failed) {
    (void)user;
    return tic_gemm(ctx, &args, failed);
}

static float *filled(int64_t count, float value) {
    float *memory;
    CHECK_OK(tic_alloc(&memory, (size_t)count, sizeof *memory, err));
    for (int64_t i = 0; i < count; i++)
        memory[i] = value * (float)(i % 7 - 3);
    return memory;
}

static tic_mat operand(const asked *ask, int64_t rows, int64_t columns) {
    float *memory = filled(rows * columns, ask->fill);
    if (ask->seed != 0)
        check_fill(memory, (size_t)(rows * columns), ask->seed + (uint64_t)columns, 1);
    return tic_f32(memory, columns);
}

static uint64_t issued_now(void) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    return tic_counters_sum(&counters).issued;
}

static void audit(const asked *ask, outcome *out) {
    const tic_ctx_options options = {.threads = ask->threads};
    tic_executed executed;
    tic_parting parting;
    tic_trace *trace;
    void *taken;
    CHECK_OK(tic_alloc(&taken, ask->shift + 1, 1, err));
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    CHECK_OK(tic_ctx_force(ctx, TIC_OP_GEMM, ask->variant, err));
    args = (tic_gemm_args){.trans = TIC_NT,
                           .precision = ask->precision,
                           .m = ask->m,
                           .n = ask->n,
                           .k = ask->k,
                           .a = operand(ask, ask->m, ask->k),
                           .b = operand(ask, ask->n, ask->k),
                           .c = tic_f32(filled(ask->m * ask->n, 1), ask->n),
                           .accumulate = ask->accumulate};
    CHECK_OK(tic_trace_new(&trace, ctx, err));
    CHECK_OK(call(NULL, err)); /* books the scratch */
    const uint64_t before = issued_now();
    CHECK_OK(tic_trace_step(trace, call, NULL, &executed, &parting, err));
    out->issued = issued_now() - before;
    out->executed = tic_executed_macs(&executed);
    out->elementwise = executed.elementwise;
    out->calls = executed.calls;
    out->stepped = executed;
    if (executed.misplaced_in != NULL)
        snprintf(out->misplaced_in, sizeof out->misplaced_in, "%s", executed.misplaced_in);
    if (parting.teller != NULL) {
        snprintf(out->teller, sizeof out->teller, "%s", parting.teller);
        snprintf(out->worker, sizeof out->worker, "%s", parting.worker);
    }
    if (ask->catch_too) {
        CHECK_OK(tic_trace_catch(trace, call, NULL, 0, 0, &executed, err));
        out->caught = tic_executed_macs(&executed);
        cr_assert_eq(executed.calls, out->calls);
    }
}

/* In a process of its own. */
static outcome audited(const asked *ask) {
    int status;
    outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(shared != MAP_FAILED);
    const pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        audit(ask, shared);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the audit died", ask->variant);
    return *shared;
}

static bool runs_here(const char *name) {
    tic_ctx *probe;
    tic_error why = {0};
    CHECK_OK(tic_ctx_new(&probe, NULL, err));
    const bool runs = tic_ctx_force(probe, TIC_OP_GEMM, name, &why) == TIC_OK;
    if (!runs)
        fprintf(stderr, "not run here: %s\n", why.text);
    tic_ctx_free(probe);
    return runs;
}

static const asked small = {.threads = 1, .m = 7, .n = 17, .k = 9, .fill = 1, .catch_too = true};

/* What is executed is what is issued, stepped and caught. */
static void holds(const asked *ask, const outcome *got) {
    cr_assert_gt(got->issued, 0);
    cr_assert_eq(got->executed, got->issued, "%s: %llu executed, %llu issued", ask->variant,
                 (unsigned long long)got->executed, (unsigned long long)got->issued);
    cr_assert_eq(got->caught, got->issued, "%s: %llu caught, %llu issued", ask->variant,
                 (unsigned long long)got->caught, (unsigned long long)got->issued);
    cr_assert_eq(got->stepped.misplaced, 0);
    cr_assert_str_eq(got->teller, "");
}

/* AddressSanitizer's checks are stepped too, twenty instructions for one; what depends on the
 * operands' numbers does so without it. */
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Whatever numbers the operands hold. */
static void holds_for_two_seeds(asked ask) {
    ask.seed = 1;
    const outcome first = audited(&ask);
    holds(&ask, &first);
    if (SANITIZED)
        return;
    ask.seed = 2;
    const outcome second = audited(&ask);
    holds(&ask, &second);
    cr_assert_eq(second.executed, first.executed, "%s: %llu, of other operands %llu", ask.variant,
                 (unsigned long long)first.executed, (unsigned long long)second.executed);
    cr_assert_eq(second.calls, first.calls);
}

Test(audit, issued_is_what_is_executed_by_every_gemm) {
    for (int i = 0; i < tic_variant_count(); i++) {
        const tic_variant_info info = tic_variant_get(i);
        if (info.op != TIC_OP_GEMM || !runs_here(info.name))
            continue;
        asked ask = small;
        ask.variant = info.name;
        for (int precision = 0; precision <= TIC_BF16; precision++)
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                ask.precision = (tic_dtype)precision;
                ask.accumulate = accumulate;
                if (info.precisions & 1u << precision)
                    holds_for_two_seeds(ask);
            }
    }
}

Test(audit, data_and_addresses_do_not_matter) {
    asked ask = small;
    ask.variant = "portable";
    const outcome first = audited(&ask);
    static const float fills[] = {0, 1e-40f, 3e38f, INFINITY, NAN};
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        ask.fill = fills[i];
        ask.shift = 4096 * i + 64 * (i % 3) + (i == 4 ? 3 << 20 : 0);
        const outcome got = audited(&ask);
        cr_assert_eq(got.executed, first.executed);
        cr_assert_eq(got.caught, first.caught);
        cr_assert_eq(got.calls, first.calls);
    }
}

/* Attention shares its heads out whatever their size. */
static tic_attention_args heads;
static tic_status call_attention(void *user, tic_error *failed) {
    (void)user;
    return tic_attention_backward(ctx, &heads, failed);
}

static void audit_threads(int threads, outcome *out) {
    static const int32_t offsets[] = {0, 3, 5, 9, 10};
    enum { ROWS = 10, WIDTH = 16 };
    const tic_ctx_options options = {.threads = threads};
    tic_mat *const mats[] = {&heads.q,   &heads.k,  &heads.v,  &heads.o,
                             &heads.d_o, &heads.dq, &heads.dk, &heads.dv};
    tic_executed executed;
    tic_parting parting;
    tic_trace *trace;
    heads = (tic_attention_args){.sequences = 4,
                                 .q_offsets = offsets,
                                 .kv_offsets = offsets,
                                 .heads = 2,
                                 .head_dim = 8,
                                 .causal = true,
                                 .scale = 0.3f};
    for (size_t i = 0; i < sizeof mats / sizeof mats[0]; i++)
        *mats[i] = tic_f32(filled((int64_t)ROWS * WIDTH, 1), WIDTH);
    heads.lse = filled((int64_t)ROWS * 2, 1);
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    CHECK_OK(tic_trace_new(&trace, ctx, err));
    CHECK_OK(call_attention(NULL, err));
    const uint64_t before = issued_now();
    CHECK_OK(tic_trace_step(trace, call_attention, NULL, &executed, &parting, err));
    out->issued = issued_now() - before;
    out->executed = tic_executed_macs(&executed);
    out->calls = executed.calls;
}

Test(audit, threads_do_not_matter, .timeout = 300) {
    uint64_t first = 0;
    static const int counts[] = {1, 2, 3, 4, 7};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const int threads = counts[i];
        outcome *shared =
            mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int status;
        const pid_t child = fork();
        cr_assert(child >= 0);
        if (child == 0) {
            audit_threads(threads, shared);
            _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d threads", threads);
        cr_assert_gt(shared->executed, 0);
        cr_assert_eq(shared->executed, shared->issued, "%d threads", threads);
        first = threads == 1 ? shared->executed : first;
        cr_assert_eq(shared->executed, first, "%d threads", threads);
    }
}

Test(audit, a_wrong_counter_is_caught_and_named) {
    asked ask = small;
    ask.variant = "wrong-counter";
    const outcome got = audited(&ask);
    cr_assert_eq(got.executed, (uint64_t)(7 * 17 * 9));
    cr_assert_eq(got.issued, got.executed - 12);
    cr_assert_eq(got.caught, got.executed);
    cr_assert_str_eq(got.teller, "miscounted");
}

Test(audit, a_multiply_add_too_many_is_caught_and_named) {
    asked ask = small;
    ask.variant = "wrong-kernel";
    const outcome got = audited(&ask);
    const uint64_t tiles = (7 + 5) / 6 * ((17 + 7) / 8);
    cr_assert_eq(got.executed, got.issued + tiles);
    cr_assert_eq(got.caught, got.issued + tiles);
    cr_assert_str_eq(got.worker, "tile");
    cr_assert_str_eq(got.teller, "tic_gemm_item");
}

Test(audit, hidden_products_show_as_elementwise_work) {
    asked ask = small;
    ask.variant = "hidden";
    const outcome got = audited(&ask);
    cr_assert_eq(got.executed + got.issued, 0);
    cr_assert_geq(got.elementwise, (uint64_t)(7 * 17 * 9));
}

Test(audit, bf16_outside_of_products_is_told_apart) {
    asked ask = small;
    ask.variant = "misplaced";
    if (!runs_here(ask.variant))
        cr_skip("no VDPBF16PS on this machine");
    const outcome got = audited(&ask);
    cr_assert_eq(got.executed, got.issued);
    cr_assert_eq(got.stepped.misplaced, 32); /* 16 lanes, two products each */
    cr_assert_str_eq(got.misplaced_in, "stray");
}

/* ---- what is left behind --------------------------------------------------------------------- */

static volatile sig_atomic_t traps;
static void count_trap(int number) {
    (void)number;
    traps++;
}

static void traps_are_the_programs_again(int threads) {
    const tic_ctx_options options = {.threads = threads};
    struct sigaction own = {.sa_handler = count_trap}, now;
    tic_executed executed;
    tic_parting parting;
    tic_trace *trace;
    sigaction(SIGTRAP, &own, NULL);
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    args = (tic_gemm_args){.m = 64,
                           .n = 64,
                           .k = 8,
                           .a = tic_f32(filled(64 * 8, 1), 8),
                           .b = tic_f32(filled(8 * 64, 1), 64),
                           .c = tic_f32(filled(64 * 64, 1), 64)};
    CHECK_OK(tic_trace_new(&trace, ctx, err));
    CHECK_OK(tic_trace_step(trace, call, NULL, &executed, &parting, err));
    if (threads == 1)
        CHECK_OK(tic_trace_catch(trace, call, NULL, 0, 0, &executed, err));
    cr_assert_eq(sigaction(SIGTRAP, NULL, &now), 0);
    cr_assert(now.sa_handler == count_trap);
    tic_trace_free(trace);
    raise(SIGTRAP);
    CHECK_OK(call(NULL, err)); /* no breakpoint is left */
    cr_assert_eq(traps, 1);
}

Test(audit, traps_are_the_programs_again_after_a_call) {
    for (int threads = 1; threads <= 2; threads++) {
        int status;
        const pid_t child = fork();
        cr_assert(child >= 0);
        if (child == 0) {
            traps_are_the_programs_again(threads);
            _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d threads", threads);
    }
}
