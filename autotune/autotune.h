/* Tuning: this machine's fingerprint, its measured peaks, and plan files. The room's one public
 * header. */
#ifndef TIC_AUTOTUNE_H
#define TIC_AUTOTUNE_H

#include "kernels/kernels.h"

enum { TIC_FINGERPRINT_TEXT = 160 };
/* One line that keys a plan: "AuthenticAMD/25/17/1 avx512_bf16 l1d32768 l2... threads2 build..." */
void tic_fingerprint(const tic_ctx *ctx, char text[TIC_FINGERPRINT_TEXT]);

/* GMAC/s that this context reaches with gemm on a problem that stays in the last-level cache:
 * the best of a few runs, in about 0.3 s. Bits of results never depend on it. */
typedef struct tic_calibration {
    double f32, bf16;
} tic_calibration;
tic_status tic_calibrate(tic_ctx *ctx, tic_calibration *out, tic_error *err);
/* `auto`: bf16 where it is at least 1.5 times as fast as f32 (design: Precision). */
tic_dtype tic_precision_auto(const tic_calibration *calibration);

/* A plan file: a version line, the fingerprint, the plan's lines, and a last line with the SHA-256
 * of all before it. Written atomically. */
tic_status tic_plan_save(const tic_plan *plan, const char *fingerprint, const char *path,
                         tic_error *err);
/* Loads whole or not at all: damaged, cut or of another version is TIC_EINPUT naming the line; so
 * is another fingerprint unless `fingerprint` is NULL (a run resumes with its own plan wherever
 * its variants exist). On success *out is the caller's (tic_plan_free). */
tic_status tic_plan_load(tic_plan **out, const char *path, const char *fingerprint, tic_error *err);

#endif
