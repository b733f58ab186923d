/* The software-defined events say what the counters say, read through PAPI's own API. */
#include "check.h"

static void multiply(tic_ctx *ctx, tic_purpose purpose, int64_t m) {
    float x[400], y[400];
    check_fill(x, 400, 1, 1);
    tic_gemm_args args = {.m = m, .n = 20, .k = 20};
    args.a = args.b = tic_f32(x, 20);
    args.c = tic_f32(y, 20);
    tic_ctx_purpose(ctx, purpose);
    CHECK_OK(tic_gemm(ctx, &args, err));
}

static int64_t event(const char *name) {
    int64_t value = -1;
    CHECK_OK(tic_papi_read(name, &value, err));
    return value;
}

Test(papi, events_read_back_the_counters) {
    tic_ctx *ctx = check_ctx(2), *other = check_ctx(1);
    tic_counters counters;
    CHECK_OK(tic_papi_export(ctx, err));
    CHECK_FAILS(TIC_EUSAGE, "already", tic_papi_export(other, err));
    cr_assert(event("MACS_ISSUED") == 0); /* counts from here on */
    multiply(ctx, TIC_FOR_FORWARD, 20);
    multiply(ctx, TIC_FOR_BACKWARD, 7);
    multiply(other, TIC_FOR_FORWARD, 20); /* not exported: changes nothing */
    tic_ctx_counters(ctx, &counters);
    tic_macs sum = tic_counters_sum(&counters);
    cr_assert(sum.logical == 27 * 400 && sum.issued >= sum.logical);
    cr_assert((uint64_t)event("MACS_ISSUED") == sum.issued);
    cr_assert((uint64_t)event("MACS_LOGICAL") == sum.logical);
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        char name[64] = "MACS_ISSUED_";
        size_t used = strlen(name);
        for (const char *c = tic_purpose_name((tic_purpose)p); *c != '\0'; c++)
            name[used++] = (char)(*c - 'a' + 'A');
        cr_assert((uint64_t)event(name) == tic_counters_purpose(&counters, (tic_purpose)p).issued,
                  "%s", name);
    }
    cr_assert((uint64_t)event("MACS_ISSUED_GEMM") == sum.issued);
    cr_assert(event("MACS_ISSUED_ATTENTION") == 0);
    multiply(ctx, TIC_FOR_FORWARD, 1);
    cr_assert((uint64_t)event("MACS_LOGICAL") == sum.logical + 400);
    tic_ctx_free(ctx);
    tic_ctx_free(other);
}

Test(papi, unknown_event_is_refused) {
    tic_ctx *ctx = check_ctx(1);
    int64_t value;
    CHECK_FAILS(TIC_EUSAGE, "exported", tic_papi_read("MACS_ISSUED", &value, err));
    CHECK_OK(tic_papi_export(ctx, err));
    CHECK_FAILS(TIC_EUSAGE, "MACS_NONE", tic_papi_read("MACS_NONE", &value, err));
    tic_ctx_free(ctx);
}

Test(papi, pmu_is_there_or_says_why) {
    const char *why = tic_papi_pmu();
    cr_assert(why == NULL || strncmp(why, "PMU: unavailable (", 18) == 0);
}
