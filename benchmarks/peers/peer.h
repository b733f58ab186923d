// A peer: another library's GEMM in a process of its own, so that its environment (which chooses
// its kernels when it loads), its threads and its crashes stay there, and no symbol clashes with
// the BLIS inside ticlip. bench_kernels starts it (peer_process.h) with the shared memory that
// holds the operands as file descriptor 3, and both talk over the peer's stdin and stdout.
#ifndef TICLIP_BENCHMARKS_PEERS_PEER_H
#define TICLIP_BENCHMARKS_PEERS_PEER_H

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

enum { kPeerMemory = 3 }; // the file descriptor

// C[m,n] = op(A) op(B), or += with accumulate; row-major, ld in elements, C in f32.
struct PeerRequest {
    int64_t m, n, k, lda, ldb, ldc;
    uint64_t a, b, c; // bytes from the start of the shared memory
    int32_t a_transposed, b_transposed;
    int32_t bf16; // A and B
    int32_t accumulate;
    int32_t calls; // back to back
};

struct PeerReply {
    double seconds; // of all calls
    char why[120];  // "" when it was done
};

// Which machine to run on: from the command line `PROGRAM forced|default ISA VENDOR THREADS`.
struct PeerMachine {
    bool forced;             // choose the kernels by ISA, whatever the library would take by itself
    std::string isa, vendor; // as tic_isa_name and tic_cpu have them
    int threads;
};

// ---- what each peer_<library>.cc defines

// Variables that must be set before the library loads.
std::vector<std::pair<std::string, std::string>> PeerEnvironment(const PeerMachine &machine);
// Called once, in the process that has them.
void PeerStart(const PeerMachine &machine);
// A function that does one call on these operands, or an empty one and *why.
std::function<void()> PeerPrepare(const PeerRequest &request, void *a, void *b, void *c,
                                  std::string *why);

#endif
