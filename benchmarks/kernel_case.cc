// Operands of bench_kernels' rows, runs by ticlip and peers, and the comparison before timing.
#include "kernel_case.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <unistd.h>

// ---- cases

namespace {

// As a plan's key for gemm, but of one shape and not of a class of shapes.
std::string GemmShape(const tic_problem &p) {
    static const char *const trans[] = {"nn", "nt", "tn"}, *acts[] = {"", ",gelu", ",quick_gelu"};
    std::string shape = std::string(trans[p.trans]) + ",m" + std::to_string(p.m) + ",n" +
                        std::to_string(p.n) + ",k" + std::to_string(p.k);
    shape += p.bias ? ",bias" : "";
    shape += acts[p.act];
    shape += p.pre ? ",pre" : "";
    shape += p.grad_pre ? ",grad" : "";
    shape += p.residual ? ",residual" : "";
    shape += p.accumulate ? ",accumulate" : "";
    shape += p.colsum ? ",colsum" : "";
    return shape + (p.c == TIC_BF16 ? ",out16" : "");
}

std::string Shape(const tic_problem &p) {
    if (p.op == TIC_OP_GEMM)
        return GemmShape(p);
    if (p.op == TIC_OP_ADAMW)
        return "n" + std::to_string(p.n);
    if (p.op != TIC_OP_ATTENTION && p.op != TIC_OP_ATTENTION_BACKWARD)
        return "m" + std::to_string(p.m) + ",n" + std::to_string(p.n) +
               (p.k > 0 ? ",k" + std::to_string(p.k) : "") +
               (p.length > 0 ? ",l" + std::to_string(p.length) : "");
    return "s" + std::to_string(p.m) + ",h" + std::to_string(p.heads) + ",d" +
           std::to_string(p.head_dim) + ",l" + std::to_string(p.length) +
           (p.causal ? ",causal" : "") + (p.pooled ? ",pooled" : "");
}

// Beside the table: operations that no plan decides, and shapes that no cache holds.
tic_problem Rows(const char *name, tic_op op, int64_t m, int64_t n, int64_t k = 0, int length = 0) {
    tic_problem p{};
    p.name = name;
    p.op = op;
    p.m = m;
    p.n = n;
    p.k = k;
    p.length = length;
    return p;
}

std::vector<tic_problem> MoreProblems() {
    return {
        Rows("large batch, contrastive", TIC_OP_CONTRASTIVE, 8192, 512),
        Rows("ViT-B-32, LwF's distillation", TIC_OP_DISTILL, 1024, 512, 512),
        Rows("out of cache, layernorm", TIC_OP_LAYERNORM, 131072, 768),
        Rows("out of cache, layernorm dX", TIC_OP_LAYERNORM_BACKWARD, 131072, 768),
        Rows("ViT-B-32, patchify", TIC_OP_PATCHIFY, 32, 224, 32),
        Rows("ViT-B-32 vision, embedding", TIC_OP_EMBEDDING, 32, 768, 0, 50),
        Rows("ViT-B-32 text, embedding", TIC_OP_EMBEDDING, 32, 512, 49408, 20),
        Rows("ViT-B-32 vision, embedding dX", TIC_OP_EMBEDDING_BACKWARD, 32, 768, 0, 50),
        Rows("ViT-B-32 text, embedding dX", TIC_OP_EMBEDDING_BACKWARD, 32, 512, 49408, 20),
        Rows("large batch, l2norm", TIC_OP_L2NORM, 8192, 512),
        Rows("large batch, l2norm dX", TIC_OP_L2NORM_BACKWARD, 8192, 512),
        Rows("demo, AdamW", TIC_OP_ADAMW, 1, 7585296),
        Rows("out of cache, AdamW", TIC_OP_ADAMW, 1, 1 << 26),
    };
}

// The types that the model's activations and gradients have in bf16 (tic_model_problems).
tic_problem InBf16(tic_problem p) {
    if (p.op != TIC_OP_GEMM)
        return p;
    const std::string name = p.name;
    const bool after_residual =
        name.find("projection") != std::string::npos || name.find("down") != std::string::npos;
    p.a = p.trans != TIC_NT && after_residual ? TIC_F32 : TIC_BF16; // dY of the f32 stream
    p.b = p.trans == TIC_TN ? TIC_BF16 : TIC_F32;
    p.c = p.residual || p.trans == TIC_TN ? TIC_F32 : TIC_BF16;
    p.kept = p.pre || p.grad_pre ? TIC_BF16 : TIC_F32;
    return p;
}

tic_problem BareOf(tic_problem p) {
    p.act = TIC_ACT_NONE;
    p.bias = p.pre = p.grad_pre = p.residual = p.colsum = false;
    p.c = TIC_F32;
    return p;
}

bool HasPrecision(tic_op op, tic_dtype precision) {
    for (int i = 0; i < tic_variant_count(); i++)
        if (tic_variant_get(i).op == op && tic_variant_get(i).precisions >> precision & 1)
            return true;
    return false;
}

} // namespace

std::string KernelCase::Name() const {
    return std::string(tic_op_name(problem.op)) + "/" + Shape(problem) + "/" +
           tic_dtype_name(precision);
}

bool KernelCase::HasWeight() const {
    return problem.op == TIC_OP_GEMM && problem.trans != TIC_TN;
}

bool KernelCase::Bare() const {
    return problem.op == TIC_OP_GEMM && problem.act == TIC_ACT_NONE && !problem.bias &&
           !problem.pre && !problem.grad_pre && !problem.residual && !problem.colsum &&
           problem.c == TIC_F32;
}

std::vector<KernelCase> KernelCases() {
    std::vector<tic_problem> problems = MoreProblems();
    for (int i = tic_problem_count() - 1; i >= 0; i--)
        problems.insert(problems.begin(), *tic_problem_get(i));
    std::vector<KernelCase> cases;
    std::set<std::string> names;
    for (tic_dtype precision : {TIC_F32, TIC_BF16})
        for (const tic_problem &in_f32 : problems) {
            const tic_problem problem = precision == TIC_BF16 ? InBf16(in_f32) : in_f32;
            for (const tic_problem &p : {problem, BareOf(problem)}) {
                const KernelCase fresh = {p, precision};
                if (HasPrecision(p.op, precision) && names.insert(fresh.Name()).second)
                    cases.push_back(fresh);
            }
        }
    return cases;
}

// ---- running

KernelRun::KernelRun(const KernelCase &which, int threads, const tic_plan *plan)
    : which_(which), threads_(threads), plan_(plan) {}

tic_status KernelRun::Prepare(tic_error *err) {
    tic_ctx_options options{};
    tic_ctx *ctx = nullptr;
    tic_operands *operands = nullptr;
    options.threads = threads_;
    options.plan = plan_;
    TIC_TRY(tic_ctx_new(&ctx, &options, err));
    ctx_.reset(ctx);
    options.threads = 1;
    TIC_TRY(tic_ctx_new(&ctx, &options, err));
    one_.reset(ctx);
    TIC_TRY(tic_operands_new(&operands, &which_.problem, which_.precision, err));
    operands_.reset(operands);
    TIC_TRY(tic_operands_prepare(operands, ctx_.get(), err));
    tic_operands_reset(operands);
    TIC_TRY(tic_operands_run(operands, ctx_.get(), err));
    return tic_operands_expect(operands, ctx_.get(), err);
}

tic_status KernelRun::Agree(const char *what, tic_error *err) const {
    double worst;
    if (tic_operands_agree(operands_.get(), &worst))
        return TIC_OK;
    return tic_fail(err, TIC_EVERIFY, "%s is off by %.3g from the reference: not timed", what,
                    worst);
}

tic_status KernelRun::PackB(tic_error *err) {
    packed_args_ = *static_cast<const tic_gemm_args *>(tic_operands_args(operands_.get()));
    packed_ = tic_gemm_packing(ctx_.get(), &packed_args_);
    if (packed_.bytes == 0)
        return tic_fail(err, TIC_EUSAGE, "what dispatch picks packs nothing");
    TIC_TRY(tic_alloc(&packed_.data, packed_.bytes, 1, err));
    packed_memory_.reset(packed_.data);
    tic_gemm_pack(&packed_, packed_args_.b);
    packed_args_.packed_b = &packed_;
    return TIC_OK;
}

tic_status KernelRun::Call(tic_ctx *ctx, tic_error *err) {
    return packed_.data != nullptr ? tic_gemm(ctx, &packed_args_, err)
                                   : tic_operands_run(operands_.get(), ctx, err);
}

tic_status KernelRun::Choose(const char *variant, bool packed, tic_error *err) {
    peer_ = nullptr;
    packed_ = {};
    TIC_TRY(tic_ctx_force(one_.get(), which_.problem.op, variant, err));
    TIC_TRY(tic_ctx_force(ctx_.get(), which_.problem.op, variant, err));
    if (packed)
        TIC_TRY(PackB(err));
    tic_operands_reset(operands_.get());
    TIC_TRY(Call(ctx_.get(), err));
    TIC_TRY(Agree(Ran(), err));
    const double start = tic_now(); // the second call: caches and scratch are warm
    TIC_TRY(Call(ctx_.get(), err));
    estimate_ = tic_now() - start;
    return TIC_OK;
}

double KernelRun::Time(double seconds, bool one_thread, tic_error *err) {
    tic_ctx *ctx = one_thread ? one_.get() : ctx_.get();
    const int calls = static_cast<int>(std::clamp(seconds / estimate_, 1.0, 1e6));
    tic_operands_reset(operands_.get()); // sums that grow, moments that fade
    const double start = tic_now();
    for (int i = 0; i < calls; i++)
        if (Call(ctx, err) != TIC_OK)
            return -1;
    return (tic_now() - start) / calls;
}

tic_demand KernelRun::Demand() const {
    return tic_demand_of(which_.problem.op, tic_operands_args(operands_.get()));
}

size_t KernelRun::LossMemory() const {
    const int64_t b = which_.problem.m, d = which_.problem.n;
    return tic_contrastive_scratch(ctx_.get(), which_.precision, b, d) +
           2 * static_cast<size_t>(b * d) * sizeof(float);
}

const char *KernelRun::Ran() const {
    return tic_ctx_ran(ctx_.get(), which_.problem.op);
}

// ---- peers

namespace {

struct Dense { // rows x cols, ld == cols
    int64_t rows, cols;
    int64_t Count() const { return rows * cols; }
};

// The elements in the type that a peer takes.
void CopyOut(const tic_mat &from, int64_t count, bool bf16, void *to) {
    if (bf16 == (from.type == TIC_BF16)) {
        std::memcpy(to, from.data, static_cast<size_t>(count) * tic_dtype_size(from.type));
        return;
    }
    for (int64_t i = 0; i < count; i++)
        if (bf16)
            static_cast<tic_bf16 *>(to)[i] = tic_to_bf16(static_cast<float *>(from.data)[i]);
        else
            static_cast<float *>(to)[i] = tic_from_bf16(static_cast<tic_bf16 *>(from.data)[i]);
}

size_t RoundUp(size_t bytes) {
    return (bytes + 4095) / 4096 * 4096;
}

// Peers' threads look for work for a moment after a call.
constexpr useconds_t kSettle = 2000;

} // namespace

tic_status KernelRun::ChoosePeer(PeerProcess *peer, PeerMemory *memory, tic_error *err) {
    const auto *args = static_cast<const tic_gemm_args *>(tic_operands_args(operands_.get()));
    const bool ta = args->trans == TIC_TN, tb = args->trans == TIC_NT;
    const bool bf16 = which_.precision == TIC_BF16;
    const Dense a = {ta ? args->k : args->m, ta ? args->m : args->k};
    const Dense b = {tb ? args->n : args->k, tb ? args->k : args->n};
    const Dense c = {args->m, args->n};
    const size_t element = bf16 ? 2 : 4;
    request_ = {args->m, args->n, args->k, a.cols, b.cols, c.cols,           0,
                0,       0,       ta,      tb,     bf16,   args->accumulate, 1};
    request_.b = RoundUp(static_cast<size_t>(a.Count()) * element);
    request_.c = request_.b + RoundUp(static_cast<size_t>(b.Count()) * element);
    const size_t c_bytes = static_cast<size_t>(c.Count()) * sizeof(float);
    char *at = memory->Grow(request_.c + RoundUp(c_bytes));
    if (at == nullptr)
        return tic_fail(err, TIC_ERESOURCE, "no memory for a peer's operands");
    CopyOut(args->a, a.Count(), bf16, at + request_.a);
    CopyOut(args->b, b.Count(), bf16, at + request_.b);
    std::memset(at + request_.c, 0, c_bytes);
    peer_ = peer;
    memory_ = memory;
    std::string why;
    if (!peer->Run(*memory, request_, &estimate_, &why))
        return tic_fail(err, TIC_EUSAGE, "%s", why.c_str());
    std::memcpy(args->c.data, at + request_.c, c_bytes);
    TIC_TRY(Agree("the peer", err));
    return TimePeer(0, err) < 0 ? err->status : TIC_OK; // warm, and a better estimate
}

double KernelRun::TimePeer(double seconds, tic_error *err) {
    std::string why;
    double taken = 0;
    request_.calls = static_cast<int32_t>(std::clamp(seconds / estimate_, 1.0, 1e6));
    if (!peer_->Run(*memory_, request_, &taken, &why)) {
        tic_fail(err, TIC_EUSAGE, "%s", why.c_str());
        return -1;
    }
    usleep(kSettle);
    if (request_.calls == 1)
        estimate_ = taken;
    return taken / request_.calls;
}
