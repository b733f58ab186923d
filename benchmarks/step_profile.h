// Where a training step's time goes: bench_step --profile.
#ifndef TICLIP_BENCHMARKS_STEP_PROFILE_H
#define TICLIP_BENCHMARKS_STEP_PROFILE_H

#include "step_case.h"

// Runs the case for at least `seconds` and prints one row for each operation and purpose, or with
// `shapes` for each shape and variant too, the longest first, and what is spent outside operations.
tic_status PrintStepProfile(const StepCase &which, int threads, const tic_plan *plan,
                            double seconds, bool shapes, tic_error *err);

#endif
