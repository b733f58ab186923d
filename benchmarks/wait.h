// How OpenMP's threads wait in the benchmark programs.
#ifndef TICLIP_BENCHMARKS_WAIT_H
#define TICLIP_BENCHMARKS_WAIT_H

// As they do in ticlip itself (cli/main.c): sleeping, after a short spin. Starts the program anew
// when the environment has to be set.
void WaitAsTiclipDoes(char **argv);

#endif
