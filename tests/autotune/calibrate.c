/* Calibration gives rates, and `auto` follows them. */
#include "autotune/autotune.h"

#include <criterion/criterion.h>

Test(calibrate, auto_takes_bf16_at_one_and_a_half_times) {
    cr_expect_eq(tic_precision_auto(&(tic_calibration){.f32 = 100, .bf16 = 149}), TIC_F32);
    cr_expect_eq(tic_precision_auto(&(tic_calibration){.f32 = 100, .bf16 = 150}), TIC_BF16);
}

Test(calibrate, rates_are_possible_and_charged_to_tuning) {
    tic_error err;
    tic_ctx *ctx = NULL;
    tic_calibration rates = {0};
    cr_assert_eq(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 1}, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(tic_calibrate(ctx, &rates, &err), TIC_OK, "%s", err.text);
    /* One core: from a slow emulator to 16 tiles of AMX at 5 GHz. */
    cr_expect(rates.f32 > 0.001 && rates.f32 < 1e3, "%g", rates.f32);
    cr_expect(rates.bf16 > 0.001 && rates.bf16 < 1e4, "%g", rates.bf16);
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    cr_expect_gt(tic_counters_purpose(&counters, TIC_FOR_TUNING).logical, 0);
    cr_expect_eq(tic_counters_purpose(&counters, TIC_FOR_TUNING).logical,
                 tic_counters_sum(&counters).logical);
    tic_ctx_free(ctx);
}
