// libticlip_turns.so: bench_kernels' cases of this build, for bench_builds to load
// (builds_module.h).
#include "builds_module.h"

#include "kernel_case.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>

namespace {

struct Named {
    std::string name;
    KernelCase which;
    bool packed;
};

const std::vector<Named> &Cases() {
    static const std::vector<Named> all = [] {
        std::vector<Named> cases;
        for (const KernelCase &which : KernelCases()) {
            cases.push_back({which.Name(), which, false});
            if (which.HasWeight())
                cases.push_back({which.Name() + "/packed", which, true});
        }
        return cases;
    }();
    return all;
}

struct Opened {
    std::unique_ptr<tic_plan, decltype(&tic_plan_free)> plan{nullptr, tic_plan_free};
    std::unique_ptr<KernelRun> run;
};

// The shipped plan with the given lines over it.
tic_status TakeLines(const tic_ctx_options &options, const char *lines, tic_plan **plan,
                     tic_error *err) {
    tic_plan_source source;
    TIC_TRY(tic_plan_choose(plan, nullptr, &options, &source, err));
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line, ';');)
        TIC_TRY(tic_plan_add(*plan, line.c_str(), err));
    return TIC_OK;
}

tic_status LimitTo(const char *isa, tic_error *err) {
    for (unsigned tiers = 0; tiers < TIC_ISA_AMX_BF16 * 2; tiers = tiers << 1 | 1)
        if (std::strcmp(isa, tic_isa_name(tiers)) == 0) {
            tic_cpu_limit(tiers);
            return TIC_OK;
        }
    return tic_fail(err, TIC_EUSAGE, "there is no tier %s", isa);
}

tic_status Open(const Named &which, int threads, const char *isa, const char *lines, Opened *opened,
                tic_error *err) {
    tic_ctx_options options{};
    options.threads = threads;
    tic_plan *plan = nullptr;
    if (*isa != '\0')
        TIC_TRY(LimitTo(isa, err));
    const tic_status status = TakeLines(options, lines, &plan, err);
    opened->plan.reset(plan);
    TIC_TRY(status);
    opened->run = std::make_unique<KernelRun>(which.which, threads, plan);
    TIC_TRY(opened->run->Prepare(err));
    return opened->run->Choose(nullptr, which.packed, err);
}

} // namespace

const char *ticlip_turns_name(int i) {
    return static_cast<size_t>(i) < Cases().size() ? Cases()[i].name.c_str() : nullptr;
}

void *ticlip_turns_open(int i, int threads, const char *isa, const char *lines, char *why,
                        int size) {
    auto opened = std::make_unique<Opened>();
    tic_error err{};
    if (Open(Cases()[i], threads, isa, lines, opened.get(), &err) == TIC_OK)
        return opened.release();
    std::snprintf(why, static_cast<size_t>(size), "%s", err.text);
    return nullptr;
}

double ticlip_turns_time(void *opened, double seconds) {
    tic_error err{};
    return static_cast<Opened *>(opened)->run->Time(seconds, false, &err);
}

const char *ticlip_turns_ran(const void *opened) {
    return static_cast<const Opened *>(opened)->run->Ran();
}

void ticlip_turns_close(void *opened) {
    delete static_cast<Opened *>(opened);
}
