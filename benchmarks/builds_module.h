// What bench_builds asks of libticlip_turns.so, which every build folder has: the kernels of that
// build behind these functions. Two of them live in one process, each with its own symbols, so that
// two builds run in turns, on the same cores, at the same moment's clock. The names have the
// interface's version: another build's may be older.
#ifndef TICLIP_BENCHMARKS_BUILDS_MODULE_H
#define TICLIP_BENCHMARKS_BUILDS_MODULE_H

extern "C" {

// A case's name, OP/SHAPE/PRECISION and, with a weight packed before, "/packed"; nullptr past the
// last. Builds may differ in their cases: they are found by name.
const char *ticlip_turns1_name(int i);

// How all cases are run. threads: 0: one a core. isa: "" or the highest tier to use, the same in
// every call. lines: of a plan, separated by ';', laid over what is shipped for this CPU. nullptr,
// and one line in why[size], when something of it is wrong; else the caller's (ticlip_turns1_end).
void *ticlip_turns1_begin(int threads, const char *isa, const char *lines, char *why, int size);
void ticlip_turns1_end(void *how);

// The i-th case, its output checked against the reference; how outlives it. nullptr, and one line
// in why[size], when it fails; else the caller's (ticlip_turns1_close).
void *ticlip_turns1_open(const void *how, int i, char *why, int size);
void ticlip_turns1_close(void *opened);
// Seconds of one call, of several back to back that take about `seconds`; negative, and one line in
// why[size], when one fails.
double ticlip_turns1_time(void *opened, double seconds, char *why, int size);
// The variant that ran; borrowed until the case is closed.
const char *ticlip_turns1_ran(const void *opened);
}

#endif
