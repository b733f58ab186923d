/* Peaks are possible rates, and stand in the order that the units' widths give them. */
#include "autotune/autotune.h"

#include <criterion/criterion.h>

/* The loops with an instruction set of their own must beat those without by far more than noise. */
Test(peak, wider_units_are_faster) {
    double portable = tic_peak_rate(TIC_PEAK_F32, TIC_ISA_PORTABLE, 1, 0.02);
    cr_assert(portable > 0.01 && portable < 100, "%g GMAC/s", portable);
    if (!tic_peak_exists(TIC_PEAK_F32, TIC_ISA_AVX2))
        return;
    unsigned all = tic_cpu_get()->isa;
    double widest = tic_peak_rate(TIC_PEAK_F32, all, 1, 0.02);
    if (all & TIC_ISA_AVX2)
        cr_expect(widest > 1.2 * portable, "f32 %g, portable %g", widest, portable);
    if (!tic_peak_exists(TIC_PEAK_AMX, all))
        return;
    tic_peak_rate(TIC_PEAK_AMX, all, 1, 0.15);
    double amx = tic_peak_rate(TIC_PEAK_AMX, all, 1, 0.02);
    cr_expect(amx > 1.2 * widest, "AMX %g, f32 %g", amx, widest);
}

/* A mask without an instruction set hides its unit; what does not exist has no rate. */
Test(peak, a_mask_hides_units) {
    cr_expect(tic_peak_exists(TIC_PEAK_F32, TIC_ISA_PORTABLE));
    cr_expect_not(tic_peak_exists(TIC_PEAK_VDPBF16, TIC_ISA_AVX2 | TIC_ISA_AVX512));
    cr_expect_not(tic_peak_exists(TIC_PEAK_AMX, TIC_ISA_PORTABLE));
    cr_expect_eq(tic_peak_rate(TIC_PEAK_AMX, TIC_ISA_PORTABLE, 1, 0.01), 0);
    cr_expect_eq(tic_peak_for(TIC_F32, tic_cpu_get()->isa, 1), TIC_PEAK_F32);
    cr_expect_eq(tic_peak_for(TIC_BF16, TIC_ISA_PORTABLE, 1), TIC_PEAK_F32);
}

Test(peak, triad_moves_bytes) {
    enum { FLOATS = 3 << 16 };
    float *memory = NULL;
    tic_error err;
    cr_assert_eq(tic_alloc(&memory, FLOATS, sizeof *memory, &err), TIC_OK, "%s", err.text);
    double rate = tic_triad_rate(memory, FLOATS * sizeof *memory, 1, 0.02);
    cr_expect(rate > 0.05 && rate < 5000, "%g GB/s", rate);
    tic_free(memory);
}
