// What both benchmark programs are: their surroundings, their flags, the machine they describe.
#ifndef TICLIP_BENCHMARKS_PROGRAM_H
#define TICLIP_BENCHMARKS_PROGRAM_H

extern "C" {
#include "kernels/kernels.h"
}

#include <string>

// OpenMP's threads wait as they do in ticlip itself (cli/main.c): sleeping, after a short spin.
// Starts the program anew when the environment has to be set.
void WaitAsTiclipDoes(char **argv);
// --isa NAME, once: ticlip's kernels and the peaks keep to what a CPU of that tier has; forced
// peers are told.
tic_status LimitIsa(const std::string &name, tic_error *err);
// Whether the CPU has more than that.
bool IsaIsLimited();
// The plan that ticlip itself would begin with here (tic_plan_choose): the shipped one, and over it
// the lines of the file at `path` ("": none), which must be this machine's and this build's. The
// plan is the caller's; what it was put together from stands in the context of Google Benchmark's
// JSON.
tic_status TakePlan(const std::string &path, int threads, tic_plan **plan, tic_error *err);
// cpu, isa and, where it was limited, the CPU's own, threads, compiler and whether optimised, for
// the "context" of Google Benchmark's JSON.
void DescribeMachine(int threads);
// Whether `text` begins with `prefix`; *rest is what follows.
bool StartsWith(const std::string &text, const char *prefix, std::string *rest);
// A number in least..most, the value of `flag`.
tic_status ParseNumber(const std::string &flag, const std::string &text, double least, double most,
                       double *out, tic_error *err);

#endif
