// What the programs around Google Benchmark are: flags, waiting, plan, the machine they describe.
#ifndef TICLIP_BENCHMARKS_PROGRAM_H
#define TICLIP_BENCHMARKS_PROGRAM_H

#include "flags.h"
#include "wait.h"

// The plan that ticlip itself would begin with here (tic_plan_choose): the shipped one, and over it
// the lines of the file at `path` ("": none), which must be this machine's and this build's. The
// plan is the caller's; what it was put together from stands in the context of Google Benchmark's
// JSON.
tic_status TakePlan(const std::string &path, int threads, tic_plan **plan, tic_error *err);
// cpu, isa and, where it was limited, the CPU's own, threads, compiler and whether optimised, for
// the "context" of Google Benchmark's JSON.
void DescribeMachine(int threads);

#endif
