// What bench_builds asks of libticlip_turns.so, which every build folder has: the kernels of that
// build behind these functions. Two of them live in one process, each with its own symbols, so that
// two builds run in turns, on the same cores, at the same moment's clock.
#ifndef TICLIP_BENCHMARKS_BUILDS_MODULE_H
#define TICLIP_BENCHMARKS_BUILDS_MODULE_H

extern "C" {

// A case's name, OP/SHAPE/PRECISION and, with a weight packed before, "/packed"; nullptr past the
// last. Builds may differ in their cases: they are found by name.
const char *ticlip_turns_name(int i);
// The i-th case, its output checked against the reference. threads: 0: one a core. isa: "" or the
// highest tier to use. lines: of a plan, separated by ';', over what is shipped for this CPU.
// nullptr, and one line in why[size], when it fails; ticlip_turns_close otherwise.
void *ticlip_turns_open(int i, int threads, const char *isa, const char *lines, char *why,
                        int size);
// Seconds of one call, of several back to back that take about `seconds`; negative when one fails.
double ticlip_turns_time(void *opened, double seconds);
// The variant that ran; borrowed until the case is closed.
const char *ticlip_turns_ran(const void *opened);
void ticlip_turns_close(void *opened);
}

#endif
