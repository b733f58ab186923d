/* Hardware counters: which events, what their counts mean, why there are none; and the path that
 * opens, reads and closes a set a thread, which software events walk on every machine. */
#include "check.h"

#include <errno.h>
#include <papi.h>

/* ---- which, and what they mean --------------------------------------------------------------- */

Test(pmu, intel_counts_by_width_and_an_fma_twice) {
    tic_pmu_event events[TIC_PMU_EVENTS];
    const unsigned avx512 = TIC_ISA_PORTABLE | TIC_ISA_AVX2 | TIC_ISA_AVX512;
    cr_assert_eq(tic_pmu_events("GenuineIntel", TIC_ISA_AVX2, events), 3);
    cr_assert_eq(tic_pmu_events("GenuineIntel", avx512, events), 4);
    cr_assert_str_eq(events[3].name, "FP_ARITH_INST_RETIRED:512B_PACKED_SINGLE");
    /* A 14x32 tile over k = 100: 28 zmm FMAs a step. 2800 instructions are 5600 counts. */
    const int64_t tile[] = {0, 0, 0, 2 * 28 * 100};
    cr_assert_eq(tic_pmu_macs(events, 4, tile), 14 * 32 * 100);
    /* An ymm, an xmm and a scalar FMA: 8 + 4 + 1 lanes. */
    const int64_t widths[] = {2, 2, 2, 0};
    cr_assert_eq(tic_pmu_macs(events, 4, widths), 13);
    /* What cannot be told apart: two zmm additions look like one FMA. */
    const int64_t additions[] = {0, 0, 0, 2};
    cr_assert_eq(tic_pmu_macs(events, 4, additions), 16);
}

Test(pmu, amd_counts_flops_with_lanes) {
    tic_pmu_event events[TIC_PMU_EVENTS];
    cr_assert_eq(tic_pmu_events("AuthenticAMD", TIC_ISA_AVX2, events), 1);
    cr_assert_str_eq(events[0].name, "RETIRED_SSE_AVX_FLOPS:MAC_FLOPS");
    /* A 6x16 tile over k = 100: 12 ymm FMAs a step, 16 FLOPs each. */
    const int64_t tile[] = {12 * 16 * 100};
    cr_assert_eq(tic_pmu_macs(events, 1, tile), 6 * 16 * 100);
    cr_assert_eq(tic_pmu_events("AuthenticAMD", TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16, events), 2);
    /* Besides, one VDPBF16PS on zmm: 32 products, 64 FLOPs. */
    const int64_t both[] = {12 * 16 * 100, 64};
    cr_assert_eq(tic_pmu_macs(events, 2, both), 6 * 16 * 100 + 32);
}

Test(pmu, counts_of_a_long_run_do_not_overflow) {
    tic_pmu_event events[TIC_PMU_EVENTS];
    cr_assert_eq(tic_pmu_events("GenuineIntel", TIC_ISA_AVX512, events), 4);
    const int64_t counts[] = {0, 0, 0, (int64_t)1 << 59};
    cr_assert_eq(tic_pmu_macs(events, 4, counts), (uint64_t)1 << 62);
}

Test(pmu, no_events_are_known_of_other_vendors) {
    tic_pmu_event events[TIC_PMU_EVENTS];
    cr_assert_eq(tic_pmu_events("HygonGenuine", TIC_ISA_AVX2, events), 0);
}

/* ---- why there are none ---------------------------------------------------------------------- */

static void expect(tic_pmu_facts facts, const char *word) {
    char text[TIC_PMU_TEXT];
    const char *why = tic_pmu_reason(&facts, text);
    if (word == NULL)
        cr_assert_null(why, "%s", why);
    else
        cr_assert(why != NULL && strstr(why, word) != NULL, "\"%s\" does not mention \"%s\"",
                  why != NULL ? why : "", word);
}

Test(pmu, the_reason_is_the_real_one) {
    const tic_pmu_facts good = {
        .vendor = "GenuineIntel", .family = 6, .model = 143, .events = 4, .version = 5};
    tic_pmu_facts f = good;
    expect(good, NULL);
    f.error = ENOENT;
    expect(f, "no driver for counters of a GenuineIntel family 6 model 143");
    f.version = 0;
    expect(f, "CPUID leaf 0xA tells no counters");
    f = good;
    f.error = EACCES;
    f.paranoid = 4;
    expect(f, "perf_event_paranoid is 4");
    f.paranoid = 2;
    expect(f, "EACCES, though perf_event_paranoid is 2");
    f.error = EPERM;
    expect(f, "EPERM, though");
    f.error = ENOSYS;
    expect(f, strerror(ENOSYS));
    f = good;
    f.missing = "FP_ARITH_INST_RETIRED:SCALAR_SINGLE";
    expect(f, "PAPI does not know FP_ARITH_INST_RETIRED:SCALAR_SINGLE");
    f = (tic_pmu_facts){.vendor = "CentaurHauls"};
    expect(f, "CentaurHauls");
    f = (tic_pmu_facts){
        .vendor = "AuthenticAMD", .family = 25, .model = 1, .events = 1, .error = ENOENT};
    expect(f, "no driver for counters of a AuthenticAMD family 25 model 1");
}

/* "Available" is what can be opened, and nothing else is. */
Test(pmu, what_is_found_here_is_what_is_said) {
    tic_pmu_facts facts = tic_pmu_look();
    const char *why = tic_papi_pmu();
    char text[TIC_PMU_TEXT];
    const char *reason = tic_pmu_reason(&facts, text);
    cr_assert(reason == NULL || (why != NULL && strstr(why, reason) != NULL), "%s: %s", why,
              reason);
    tic_ctx *ctx = check_ctx(1);
    tic_pmu *pmu;
    tic_pmu_event events[TIC_PMU_EVENTS];
    tic_error err = {.text = ""};
    const int count = tic_pmu_events(tic_cpu_get()->vendor, tic_cpu_get()->isa, events);
    const bool opens = tic_pmu_open(&pmu, ctx, events, count, &err) == TIC_OK;
    cr_assert_eq(opens, why == NULL, "said: %s; opened: %s", why != NULL ? why : "available",
                 opens ? "yes" : err.text);
    tic_pmu_close(pmu);
    tic_ctx_free(ctx);
    if (why != NULL)
        fprintf(stderr, "%s\n", why);
}

/* ---- a set a thread -------------------------------------------------------------------------- */

static void multiply(tic_ctx *ctx) {
    enum { SIDE = 512 };
    static float x[SIDE * SIDE], y[SIDE * SIDE];
    const tic_gemm_args args = {.m = SIDE,
                                .n = SIDE,
                                .k = SIDE,
                                .a = tic_f32(x, SIDE),
                                .b = tic_f32(x, SIDE),
                                .c = tic_f32(y, SIDE)};
    CHECK_OK(tic_gemm(ctx, &args, err));
}

/* The kernel's own events count without a PMU: time on the CPU, of each thread alone. */
static const tic_pmu_event software[] = {{"perf::TASK-CLOCK", 1, 0}, {"perf::PAGE-FAULTS", 1, 0}};

/* Why PAPI counts nothing at all here, NULL: it does. libpfm that does not know the CPU's model
 * disables the kernel's own events too. */
static const char *disabled(void) {
    tic_papi_pmu(); /* PAPI has begun */
    const PAPI_component_info_t *perf =
        PAPI_get_component_info(PAPI_get_component_index("perf_event"));
    return perf == NULL     ? "PAPI was built without perf_event"
           : perf->disabled ? perf->disabled_reason
                            : NULL;
}

Test(pmu, counts_every_thread_from_when_it_was_opened) {
    tic_ctx *ctx = check_ctx(2);
    tic_pmu *pmu;
    int64_t first[2][2], then[2][2], all[2];
    if (disabled() != NULL)
        cr_skip_test("PAPI: %s", disabled());
    multiply(ctx); /* threads exist, memory is there */
    CHECK_OK(tic_pmu_open(&pmu, ctx, software, 2, err));
    for (int t = 0; t < 2; t++)
        CHECK_OK(tic_pmu_read(pmu, t, first[t], err));
    for (int i = 0; i < 20; i++)
        multiply(ctx);
    for (int t = 0; t < 2; t++) {
        CHECK_OK(tic_pmu_read(pmu, t, then[t], err));
        cr_assert(then[t][0] - first[t][0] > 100000, "thread %d worked %lld ns", t,
                  (long long)(then[t][0] - first[t][0]));
    }
    CHECK_OK(tic_pmu_read(pmu, -1, all, err));
    cr_assert(all[0] >= then[0][0] + then[1][0], "%lld is less than %lld and %lld",
              (long long)all[0], (long long)then[0][0], (long long)then[1][0]);
    /* A context that is told of them has their MACs among its counters. */
    tic_counters counters;
    tic_ctx_pmu(ctx, pmu);
    tic_ctx_counters(ctx, &counters);
    cr_assert(counters.hardware >= (uint64_t)(all[0] + all[1]) / 2);
    tic_ctx_pmu(ctx, NULL);
    tic_ctx_counters(ctx, &counters);
    cr_assert_eq(counters.hardware, 0);
    tic_pmu_close(pmu);
    /* Anew: counting starts from zero. */
    CHECK_OK(tic_pmu_open(&pmu, ctx, software, 2, err));
    CHECK_OK(tic_pmu_read(pmu, -1, all, err));
    cr_assert(all[0] < then[0][0] + then[1][0]);
    tic_pmu_close(pmu);
    tic_ctx_free(ctx);
}

Test(pmu, an_event_that_is_not_there_is_named) {
    tic_ctx *ctx = check_ctx(2);
    tic_pmu *pmu;
    const tic_pmu_event unknown[] = {{"NO_SUCH_EVENT:AT_ALL", 1, 0}};
    CHECK_FAILS(TIC_ERESOURCE, "NO_SUCH_EVENT:AT_ALL", tic_pmu_open(&pmu, ctx, unknown, 1, err));
    cr_assert_null(pmu);
    CHECK_FAILS(TIC_ERESOURCE, "0 events", tic_pmu_open(&pmu, ctx, unknown, 0, err));
    tic_ctx_free(ctx);
}

/* Where there are counters, a product's are in them, whichever way it is computed. */
Test(pmu, hardware_counts_at_least_what_was_issued) {
    tic_ctx *ctx;
    const tic_ctx_options options = {.threads = 2, .isa_limit = TIC_ISA_AVX2};
    tic_pmu *pmu;
    tic_pmu_event events[TIC_PMU_EVENTS];
    int64_t counts[TIC_PMU_EVENTS];
    tic_counters before, after;
    if (tic_papi_pmu() != NULL)
        cr_skip("%s", tic_papi_pmu());
    CHECK_OK(tic_ctx_new(&ctx, &options, err));
    const int count = tic_pmu_events(tic_cpu_get()->vendor, tic_cpu_get()->isa, events);
    CHECK_OK(tic_pmu_open(&pmu, ctx, events, count, err));
    tic_ctx_counters(ctx, &before);
    multiply(ctx);
    tic_ctx_counters(ctx, &after);
    CHECK_OK(tic_pmu_read(pmu, -1, counts, err));
    const uint64_t issued = tic_counters_sum(&after).issued - tic_counters_sum(&before).issued;
    const uint64_t counted = tic_pmu_macs(events, count, counts);
    cr_assert(counted >= issued && (double)counted <= 1.05 * (double)issued, "%llu for %llu",
              (unsigned long long)counted, (unsigned long long)issued);
    tic_pmu_close(pmu);
    tic_ctx_free(ctx);
}
