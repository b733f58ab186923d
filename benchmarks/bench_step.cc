// A training step, gradients and AdamW update: pairs/s and GMAC/s, nominal and logical.
//
// Cases are MODEL/BATCH/PRECISION/CAPTIONS. Captions `full` are 77 tokens each, `web` have the
// lengths of web_lengths.txt. `bench_step --help` tells the flags; Google Benchmark's work too.
#include "step_case.h"
#include "step_profile.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr char kHelp[] =
    "usage: bench_step [--threads N] [Google Benchmark's flags]\n"
    "       bench_step [--threads N] [--seconds X] --profile CASE | --profile-shapes CASE\n"
    "       bench_step --config MODEL\n"
    "       bench_step --list\n"
    "\n"
    "Times training steps; CASE is MODEL/BATCH/PRECISION/CAPTIONS, one of --list.\n"
    "  --threads N            0: one per core (default)\n"
    "  --profile CASE         a step's time by operation and purpose\n"
    "  --profile-shapes CASE  the same for each shape and variant\n"
    "  --seconds X            profile at least so long (2)\n"
    "  --config MODEL         the model's OpenCLIP json, for peers/torch_step.py\n"
    "  --list                 the cases\n";

struct Flags {
    int threads = 0;
    double seconds = 2;
    bool list = false, shapes = false;
    std::string profile, config;
};
Flags flags;

// Anonymous memory of the process, KiB: pages of program files come and go by sixteens. Not from
// statm, whose counts lag by dozens of pages.
double AnonymousKib() {
    std::ifstream file("/proc/self/smaps_rollup");
    double kib = 0;
    for (std::string word; file >> word;)
        if (word == "Anonymous:")
            file >> kib;
    return kib;
}

void Run(benchmark::State &state, const StepCase &which) {
    tic_error err{};
    StepSetup setup;
    // The first step touches memory for the first time.
    if (setup.Make(which, flags.threads, &err) != TIC_OK || setup.Step(&err) != TIC_OK)
        return state.SkipWithError(err.text);

    tic_counters before, after;
    const double anonymous = AnonymousKib();
    tic_ctx_counters(setup.ctx.get(), &before);
    for (auto _ : state) {
        if (setup.Step(&err) != TIC_OK)
            return state.SkipWithError(err.text);
    }
    tic_ctx_counters(setup.ctx.get(), &after);

    using benchmark::Counter;
    const tic_macs from = tic_counters_sum(&before), to = tic_counters_sum(&after);
    const double pairs = static_cast<double>(state.iterations() * which.batch);
    const double nominal = pairs * static_cast<double>(tic_nominal_train(&setup.config));
    state.counters["pairs/s"] = Counter(pairs, Counter::kIsRate);
    state.counters["nominal_GMAC/s"] = Counter(nominal * 1e-9, Counter::kIsRate);
    state.counters["logical_GMAC/s"] =
        Counter(static_cast<double>(to.logical - from.logical) * 1e-9, Counter::kIsRate);
    state.counters["tokens/caption"] =
        static_cast<double>(setup.batch.view.tokens) / static_cast<double>(setup.batch.view.n);
    state.counters["growth_KiB"] = AnonymousKib() - anonymous;
}

void Register(const std::vector<StepCase> &cases) {
    for (const StepCase &which : cases)
        benchmark::RegisterBenchmark(which.Name().c_str(),
                                     [&which](benchmark::State &state) { Run(state, which); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
}

tic_status PrintConfig(const std::string &name, tic_error *err) {
    tic_config config;
    char *text = nullptr;
    TIC_TRY(tic_config_find(&config, name.c_str(), err));
    TIC_TRY(tic_config_json(&config, &text, err));
    std::printf("%s\n", text);
    tic_free(text);
    return TIC_OK;
}

tic_status PrintProfile(const std::vector<StepCase> &cases, tic_error *err) {
    for (const StepCase &which : cases)
        if (which.Name() == flags.profile)
            return PrintStepProfile(which, flags.threads, flags.seconds, flags.shapes, err);
    return tic_fail(err, TIC_EUSAGE, "no case \"%s\"; --list shows them", flags.profile.c_str());
}

tic_status ParseNumber(const char *flag, const char *text, double most, double *out,
                       tic_error *err) {
    char *end;
    *out = std::strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(*out >= 0 && *out <= most))
        return tic_fail(err, TIC_EUSAGE, "%s %s is not in 0..%g", flag, text, most);
    return TIC_OK;
}

tic_status TakeValue(const std::string &flag, const char *value, tic_error *err) {
    double number = 0;
    if (flag == "--threads") {
        TIC_TRY(ParseNumber("--threads", value, 1024, &number, err));
        flags.threads = static_cast<int>(number);
    } else if (flag == "--seconds") {
        TIC_TRY(ParseNumber("--seconds", value, 3600, &flags.seconds, err));
    } else if (flag == "--config") {
        flags.config = value;
    } else {
        flags.profile = value;
        flags.shapes = flag == "--profile-shapes";
    }
    return TIC_OK;
}

// Takes our own flags out of argv and leaves Google Benchmark's.
tic_status TakeFlags(int *argc, char **argv, tic_error *err) {
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const std::string flag = argv[i];
        if (flag == "--list") {
            flags.list = true;
        } else if (flag == "--threads" || flag == "--seconds" || flag == "--config" ||
                   flag == "--profile" || flag == "--profile-shapes") {
            if (++i == *argc)
                return tic_fail(err, TIC_EUSAGE, "%s needs a value", flag.c_str());
            TIC_TRY(TakeValue(flag, argv[i], err));
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return TIC_OK;
}

tic_status RunAll(int argc, char **argv, tic_error *err) {
    const std::vector<StepCase> cases = StepCases();
    TIC_TRY(TakeFlags(&argc, argv, err));
    if (flags.list) {
        for (const StepCase &which : cases)
            std::printf("%s\n", which.Name().c_str());
        return TIC_OK;
    }
    if (!flags.config.empty())
        return PrintConfig(flags.config, err);
    if (!flags.profile.empty())
        return PrintProfile(cases, err);
    Register(cases);
    benchmark::Initialize(&argc, argv);
    if (argc > 1)
        return tic_fail(err, TIC_EUSAGE, "unknown argument %s; --help tells them", argv[1]);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return TIC_OK;
}

} // namespace

int main(int argc, char **argv) {
    tic_error err{};
    if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
        std::fputs(kHelp, stdout);
        return 0;
    }
    if (RunAll(argc, argv, &err) != TIC_OK)
        std::fprintf(stderr, "bench_step: %s\n", err.text);
    return err.status;
}
