/* The line that says which machine and build a plan belongs to. */
#include "autotune/autotune.h"

#include <stdio.h>

/* Bumped when a change to kernels/ makes older measurements or variants meaningless. */
#define TIC_KERNELS_VERSION 1

void tic_fingerprint(const tic_ctx *ctx, char text[TIC_FINGERPRINT_TEXT]) {
    const tic_cpu *cpu = tic_cpu_get();
    snprintf(text, TIC_FINGERPRINT_TEXT,
             "%s/%d/%d/%d isa=%s l1d=%zu l2=%zu l3=%zu threads=%d kernels=%d cc=%d.%d%s",
             cpu->vendor, cpu->family, cpu->model, cpu->stepping, tic_isa_name(tic_ctx_isa(ctx)),
             cpu->l1d, cpu->l2, cpu->l3, tic_ctx_threads(ctx), TIC_KERNELS_VERSION, __GNUC__,
             __GNUC_MINOR__,
#ifdef __clang__
             "clang"
#else
             "gcc"
#endif
    );
}
