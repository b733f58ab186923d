// Plan and context of the benchmark programs, before Google Benchmark gets its flags.
#include "program.h"

extern "C" {
#include "autotune/autotune.h"
#include "kernels/base/file.h"
}

#include <benchmark/benchmark.h>

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
    if (IsaIsLimited())
        benchmark::AddCustomContext("isa_of_cpu", WholeIsa());
    benchmark::AddCustomContext("threads", number(threads > 0 ? threads : cpu->cores));
    benchmark::AddCustomContext("cores", number(cpu->cores));
    benchmark::AddCustomContext("compiler", __VERSION__);
#ifdef __OPTIMIZE__
    benchmark::AddCustomContext("optimised", "yes");
#else
    benchmark::AddCustomContext("optimised", "no");
#endif
}
