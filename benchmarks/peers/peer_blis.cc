// BLIS's sgemm. By itself it chooses by the CPU's brand string and misses AVX-512 on some machines.
#include "peer.h"

#include <blis.h>

namespace {

int Arch(const PeerMachine &machine) {
    if (machine.isa != "portable" && machine.isa != "avx2")
        return BLIS_ARCH_SKX;
    return machine.vendor == "AuthenticAMD" ? BLIS_ARCH_ZEN3 : BLIS_ARCH_HASWELL;
}

} // namespace

std::vector<std::pair<std::string, std::string>> PeerEnvironment(const PeerMachine &machine) {
    std::vector<std::pair<std::string, std::string>> variables;
    variables.emplace_back("BLIS_NUM_THREADS", std::to_string(machine.threads));
    if (machine.forced && machine.isa != "portable")
        variables.emplace_back("BLIS_ARCH_TYPE", std::to_string(Arch(machine)));
    return variables;
}

void PeerStart(const PeerMachine &) {}

std::function<void()> PeerPrepare(const PeerRequest &r, void *a, void *b, void *c,
                                  std::string *why) {
    if (r.bf16) {
        *why = "BLIS has no bf16";
        return nullptr;
    }
    return [=] {
        float one = 1, beta = r.accumulate ? 1 : 0;
        bli_sgemm(r.a_transposed ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE,
                  r.b_transposed ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE, r.m, r.n, r.k, &one,
                  static_cast<float *>(a), r.lda, 1, static_cast<float *>(b), r.ldb, 1, &beta,
                  static_cast<float *>(c), r.ldc, 1);
    };
}
