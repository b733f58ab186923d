// oneDNN's matmul, in f32 and bf16. Version 2.6 dies of an illegal instruction where it takes AMX.
#include "peer.h"

#include <dnnl.hpp>

#include <unordered_map>

namespace {

const char *MostIsa(const std::string &isa) {
    if (isa == "avx2")
        return "AVX2";
    if (isa == "avx512")
        return "AVX512_CORE";
    return isa == "amx_bf16" || isa == "avx512_bf16" ? "AVX512_CORE_BF16" : nullptr;
}

} // namespace

std::vector<std::pair<std::string, std::string>> PeerEnvironment(const PeerMachine &machine) {
    std::vector<std::pair<std::string, std::string>> variables;
    variables.emplace_back("OMP_NUM_THREADS", std::to_string(machine.threads));
    const char *most = MostIsa(machine.isa);
    if (machine.forced && most != nullptr)
        variables.emplace_back("DNNL_MAX_CPU_ISA", most);
    return variables;
}

void PeerStart(const PeerMachine &) {}

std::function<void()> PeerPrepare(const PeerRequest &r, void *a, void *b, void *c,
                                  std::string *why) {
    using dnnl::memory;
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    static dnnl::stream stream(engine);
    const auto type = r.bf16 ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::dims a_strides = r.a_transposed ? memory::dims{1, r.lda} : memory::dims{r.lda, 1};
    const memory::dims b_strides = r.b_transposed ? memory::dims{1, r.ldb} : memory::dims{r.ldb, 1};
    const memory::desc a_desc({r.m, r.k}, type, a_strides), b_desc({r.k, r.n}, type, b_strides);
    const memory::desc c_desc({r.m, r.n}, memory::data_type::f32, memory::dims{r.ldc, 1});
    try {
        dnnl::primitive_attr attributes;
        if (r.accumulate) {
            dnnl::post_ops add;
            add.append_sum(1);
            attributes.set_post_ops(add);
        }
        const dnnl::matmul matmul(
            dnnl::matmul::primitive_desc({a_desc, b_desc, c_desc}, attributes, engine));
        const std::unordered_map<int, memory> arguments = {
            {DNNL_ARG_SRC, memory(a_desc, engine, a)},
            {DNNL_ARG_WEIGHTS, memory(b_desc, engine, b)},
            {DNNL_ARG_DST, memory(c_desc, engine, c)}};
        return [=] {
            matmul.execute(stream, arguments);
            stream.wait();
        };
    } catch (const dnnl::error &error) {
        *why = error.what();
        return nullptr;
    }
}
