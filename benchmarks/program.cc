// Flags and context of the benchmark programs, before Google Benchmark gets theirs.
#include "program.h"

extern "C" {
#include "autotune/autotune.h"
#include "kernels/base/file.h"
}

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <unistd.h>

void WaitAsTiclipDoes(char **argv) {
    constexpr char kPolicy[] = "OMP_WAIT_POLICY", kSpins[] = "GOMP_SPINCOUNT";
    if (getenv(kPolicy) == nullptr && getenv(kSpins) == nullptr &&
        setenv(kPolicy, "passive", 1) == 0 && setenv(kSpins, "1000", 1) == 0)
        execv("/proc/self/exe", argv);
}

namespace {
std::string whole_isa; // what the CPU has, where a limit takes some of it
}

tic_status LimitIsa(const std::string &name, tic_error *err) {
    if (!whole_isa.empty())
        return tic_fail(err, TIC_EUSAGE, "--isa %s: there was one before", name.c_str());
    const unsigned whole = tic_cpu_get()->isa;
    for (unsigned tiers = 0; tiers < TIC_ISA_AMX_BF16 * 2; tiers = tiers << 1 | 1)
        if (name == tic_isa_name(tiers)) {
            if ((tiers & ~whole) != 0)
                return tic_fail(err, TIC_EUSAGE, "--isa %s: this CPU has %s only", name.c_str(),
                                tic_isa_name(whole));
            if (tiers != whole)
                whole_isa = tic_isa_name(whole);
            tic_cpu_limit(tiers);
            return TIC_OK;
        }
    return tic_fail(err, TIC_EUSAGE,
                    "--isa %s is not portable, avx2, avx512, avx512_bf16 or amx_bf16",
                    name.c_str());
}

bool IsaIsLimited() {
    return !whole_isa.empty();
}

tic_status TakePlan(const std::string &path, int threads, tic_plan **plan, tic_error *err) {
    tic_ctx_options options{};
    tic_plan_source source{};
    options.threads = threads;
    if (!path.empty() && !tic_file_exists(path.c_str()))
        return tic_fail(err, TIC_EINPUT, "--plan %s: there is no such file", path.c_str());
    TIC_TRY(tic_plan_choose(plan, path.c_str(), &options, &source, err));
    if (source.refused[0] != '\0')
        return tic_fail(err, TIC_EINPUT, "--plan %s: %s", path.c_str(), source.refused);
    std::string from = source.shipped;
    if (!path.empty())
        from += ", " + std::to_string(source.tuned) + " lines of a tuning";
    benchmark::AddCustomContext("plan", from);
    return TIC_OK;
}

void DescribeMachine(int threads) {
    const tic_cpu *cpu = tic_cpu_get();
    const auto number = [](int n) { return std::to_string(n); };
    benchmark::AddCustomContext("cpu", std::string(cpu->brand) + ", family " + number(cpu->family) +
                                           " model " + number(cpu->model));
    benchmark::AddCustomContext("isa", tic_isa_name(cpu->isa));
    if (!whole_isa.empty())
        benchmark::AddCustomContext("isa_of_cpu", whole_isa);
    benchmark::AddCustomContext("threads", number(threads > 0 ? threads : cpu->cores));
    benchmark::AddCustomContext("cores", number(cpu->cores));
    benchmark::AddCustomContext("compiler", __VERSION__);
#ifdef __OPTIMIZE__
    benchmark::AddCustomContext("optimised", "yes");
#else
    benchmark::AddCustomContext("optimised", "no");
#endif
}

bool StartsWith(const std::string &text, const char *prefix, std::string *rest) {
    const size_t length = std::strlen(prefix);
    if (text.compare(0, length, prefix) != 0)
        return false;
    *rest = text.substr(length);
    return true;
}

tic_status ParseNumber(const std::string &flag, const std::string &text, double least, double most,
                       double *out, tic_error *err) {
    char *end;
    *out = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(*out >= least && *out <= most))
        return tic_fail(err, TIC_EUSAGE, "%s %s is not in %g..%g", flag.c_str(), text.c_str(),
                        least, most);
    return TIC_OK;
}
