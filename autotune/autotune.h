/* Tuning: this machine's peaks, its fingerprint, and plan files. The room's one public header. */
#ifndef TIC_AUTOTUNE_H
#define TIC_AUTOTUNE_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- peaks: what a share of peak is a share of --------------------------------------------- */

typedef enum tic_peak {                   /* of multiply-adds */
                        TIC_PEAK_F32,     /* FMA at the widest vectors the mask has */
                        TIC_PEAK_VDPBF16, /* pairs of bf16 into f32 */
                        TIC_PEAK_AMX,     /* tiles of bf16, loads from L1 included */
                        TIC_PEAK_COUNT
} tic_peak;
const char *tic_peak_name(tic_peak peak); /* "f32 FMA", "VDPBF16PS", "AMX bf16" */
/* Whether this CPU has it and `isa` (a context's mask) admits it. */
bool tic_peak_exists(tic_peak peak, unsigned isa);
/* GMAC/s of `threads` threads together, each in a loop of its own for about `seconds`; 0 where it
 * does not exist. A millisecond or two before and after a sample brackets it. AMX has two speeds
 * and may stay at the slow one for 100 ms: warm it up once for at least 0.15 s. Nothing is added to
 * any counter. */
double tic_peak_rate(tic_peak peak, unsigned isa, int threads, double seconds);
/* The unit that computes fastest in that precision here, measured (0.25 s for bf16): what a share
 * of peak is taken of. bf16 operands may go through FMAs too. */
tic_peak tic_peak_for(tic_dtype precision, unsigned isa, int threads);
/* Triad, a = b + s c over the three thirds of `memory`: GB/s of the best of some runs, as STREAM
 * counts them (three arrays). The caller's size decides which cache or memory is measured. */
double tic_triad_rate(float *memory, size_t bytes, int threads, double seconds);

/* ---- fingerprint, calibration, plan files --------------------------------------------------- */

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

#ifdef __cplusplus
}
#endif
#endif
