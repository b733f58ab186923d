// OpenBLAS's sgemm. By itself it takes kernels of a much older CPU where it does not know the
// model.
#include "peer.h"

#include <cblas.h>

namespace {

const char *CoreType(const PeerMachine &machine) {
    if (machine.isa == "portable" || machine.isa == "avx2")
        return machine.vendor == "AuthenticAMD" ? "Zen" : "Haswell";
    return "SkylakeX";
}

} // namespace

std::vector<std::pair<std::string, std::string>> PeerEnvironment(const PeerMachine &machine) {
    std::vector<std::pair<std::string, std::string>> variables;
    variables.emplace_back("OPENBLAS_NUM_THREADS", std::to_string(machine.threads));
    variables.emplace_back("OPENBLAS_THREAD_TIMEOUT", "20"); // idle threads sleep after 2^20 cycles
    if (machine.forced && machine.isa != "portable")
        variables.emplace_back("OPENBLAS_CORETYPE", CoreType(machine));
    return variables;
}

void PeerStart(const PeerMachine &machine) {
    openblas_set_num_threads(machine.threads);
}

std::function<void()> PeerPrepare(const PeerRequest &r, void *a, void *b, void *c,
                                  std::string *why) {
    if (r.bf16) {
        *why = "Debian's OpenBLAS has no bf16";
        return nullptr;
    }
    return [=] {
        cblas_sgemm(CblasRowMajor, r.a_transposed ? CblasTrans : CblasNoTrans,
                    r.b_transposed ? CblasTrans : CblasNoTrans, static_cast<blasint>(r.m),
                    static_cast<blasint>(r.n), static_cast<blasint>(r.k), 1,
                    static_cast<float *>(a), static_cast<blasint>(r.lda), static_cast<float *>(b),
                    static_cast<blasint>(r.ldb), r.accumulate ? 1 : 0, static_cast<float *>(c),
                    static_cast<blasint>(r.ldc));
    };
}
