// What bench_kernels times: a problem of kernels/problems.c in a precision, as it is or, for gemm,
// its bare product, which is what other libraries have too.
#ifndef TICLIP_BENCHMARKS_KERNEL_CASE_H
#define TICLIP_BENCHMARKS_KERNEL_CASE_H

#include "bracket.h"
#include "peer_process.h"

#include <memory>
#include <string>
#include <vector>

struct KernelCase {
    tic_problem problem;
    tic_dtype precision;

    std::string Name() const; // OP/SHAPE/PRECISION
    bool HasWeight() const;   // a gemm whose B is a weight: X·Wᵀ, or dY·W
    bool Bare() const;        // a product of dense f32 or bf16 matrices, at most accumulated
};

// Every problem, and the bare product of every gemm that has an epilogue; no name twice.
std::vector<KernelCase> KernelCases();

// A case's operands, and contexts to run it in.
class KernelRun {
  public:
    KernelRun(const KernelCase &which, int threads, const tic_plan *plan);

    // Makes the operands, runs what dispatch picks, and has the reference agree with it.
    tic_status Prepare(tic_error *err);
    // From now on `variant` runs (NULL: dispatch's choice), after its output was checked. packed: B
    // is a weight that was packed before, as a training step has it.
    tic_status Choose(const char *variant, bool packed, tic_error *err);
    // Seconds of one call, of several back to back that take about `seconds`; negative, with *err,
    // when one fails. one_thread: in a context of one thread.
    double Time(double seconds, bool one_thread, tic_error *err);

    // The same operands given to a peer, its output checked likewise.
    tic_status ChoosePeer(PeerProcess *peer, PeerMemory *memory, tic_error *err);
    double TimePeer(double seconds, tic_error *err);

    tic_demand Demand() const;
    size_t LossMemory() const; // contrastive: bytes beside its inputs
    const char *Ran() const;   // the variant of the last call
    tic_ctx *ctx() const { return ctx_.get(); }
    const KernelCase &which() const { return which_; }

  private:
    using Ctx = std::unique_ptr<tic_ctx, decltype(&tic_ctx_free)>;
    tic_status Call(tic_ctx *ctx, tic_error *err);
    tic_status PackB(tic_error *err);
    tic_status Agree(const char *what, tic_error *err) const;

    KernelCase which_;
    int threads_;
    const tic_plan *plan_;
    Ctx ctx_{nullptr, tic_ctx_free}, one_{nullptr, tic_ctx_free};
    std::unique_ptr<tic_operands, decltype(&tic_operands_free)> operands_{nullptr,
                                                                          tic_operands_free};
    tic_gemm_args packed_args_{}; // while packed_.data: what is called instead
    tic_packed packed_{};
    std::unique_ptr<void, decltype(&tic_free)> packed_memory_{nullptr, tic_free};
    double estimate_ = 0; // seconds of one call
    PeerProcess *peer_ = nullptr;
    PeerMemory *memory_ = nullptr;
    PeerRequest request_{};
};

#endif
