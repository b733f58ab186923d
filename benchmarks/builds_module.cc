// libticlip_turns.so: bench_kernels' cases of this build, for bench_builds to load
// (builds_module.h).
#include "builds_module.h"

#include "flags.h"
#include "kernel_case.h"

#include <cstdio>
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

struct How {
    int threads;
    std::unique_ptr<tic_plan, decltype(&tic_plan_free)> plan{nullptr, tic_plan_free};
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

// The same build may be loaded as both: it is limited once.
tic_status Limit(const std::string &isa, tic_error *err) {
    static std::string limited;
    if (isa == limited)
        return TIC_OK;
    limited = isa;
    return LimitIsa(isa, err);
}

tic_status Begin(const char *isa, const char *lines, How *how, tic_error *err) {
    TIC_TRY(Limit(isa, err));
    tic_ctx_options options{};
    options.threads = how->threads;
    tic_plan *plan = nullptr;
    const tic_status status = TakeLines(options, lines, &plan, err);
    how->plan.reset(plan);
    TIC_TRY(status);
    options.plan = plan;
    tic_ctx *ctx = nullptr; // refuses a variant that cannot run here
    TIC_TRY(tic_ctx_new(&ctx, &options, err));
    tic_ctx_free(ctx);
    return TIC_OK;
}

tic_status Open(const Named &which, KernelRun *run, tic_error *err) {
    TIC_TRY(run->Prepare(err));
    return run->Choose(nullptr, which.packed, err);
}

void Tell(const tic_error &err, char *why, int size) {
    std::snprintf(why, static_cast<size_t>(size), "%s", err.text);
}

} // namespace

const char *ticlip_turns1_name(int i) {
    return static_cast<size_t>(i) < Cases().size() ? Cases()[i].name.c_str() : nullptr;
}

void *ticlip_turns1_begin(int threads, const char *isa, const char *lines, char *why, int size) {
    auto how = std::make_unique<How>();
    tic_error err{};
    how->threads = threads;
    if (Begin(isa, lines, how.get(), &err) == TIC_OK)
        return how.release();
    Tell(err, why, size);
    return nullptr;
}

void ticlip_turns1_end(void *how) {
    delete static_cast<How *>(how);
}

void *ticlip_turns1_open(const void *how, int i, char *why, int size) {
    const auto *with = static_cast<const How *>(how);
    auto run = std::make_unique<KernelRun>(Cases()[i].which, with->threads, with->plan.get());
    tic_error err{};
    if (Open(Cases()[i], run.get(), &err) == TIC_OK)
        return run.release();
    Tell(err, why, size);
    return nullptr;
}

void ticlip_turns1_close(void *opened) {
    delete static_cast<KernelRun *>(opened);
}

double ticlip_turns1_time(void *opened, double seconds, char *why, int size) {
    tic_error err{};
    const double taken = static_cast<KernelRun *>(opened)->Time(seconds, false, &err);
    if (taken < 0)
        Tell(err, why, size);
    return taken;
}

const char *ticlip_turns1_ran(const void *opened) {
    return static_cast<const KernelRun *>(opened)->Ran();
}
