// Flags that several programs have.
#ifndef TICLIP_BENCHMARKS_FLAGS_H
#define TICLIP_BENCHMARKS_FLAGS_H

extern "C" {
#include "kernels/kernels.h"
}

#include <string>

// --isa NAME, once: ticlip's kernels and the peaks keep to what a CPU of that tier has; forced
// peers are told.
tic_status LimitIsa(const std::string &name, tic_error *err);
// Whether the CPU has more than that.
bool IsaIsLimited();
const std::string &WholeIsa(); // what the CPU has then, as tic_isa_name has it
// Whether `text` begins with `prefix`; *rest is what follows.
bool StartsWith(const std::string &text, const char *prefix, std::string *rest);
// A number in least..most, the value of `flag`.
tic_status ParseNumber(const std::string &flag, const std::string &text, double least, double most,
                       double *out, tic_error *err);

#endif
