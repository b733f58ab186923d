// A training step, gradients and AdamW update: pairs/s, nominal and logical GMAC/s, and MFU, the
// logical ones as a share of the peak that was measured around each step.
//
// Cases are MODEL/BATCH/PRECISION/CAPTIONS. Captions `full` are 77 tokens each, `web` have the
// lengths of web_lengths.txt. `bench_step --help` tells the flags; Google Benchmark's work too.
#include "bracket.h"
#include "program.h"
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
    "usage: bench_step [--threads N] [--plan FILE] [--isa NAME] [Google Benchmark's flags]\n"
    "       bench_step [--threads N] [--plan FILE] [--isa NAME] [--seconds X] --profile CASE |\n"
    "                  --profile-shapes CASE\n"
    "       bench_step --config MODEL\n"
    "       bench_step --list\n"
    "\n"
    "Times training steps; CASE is MODEL/BATCH/PRECISION/CAPTIONS, one of --list.\n"
    "  --threads N            0: one per core (default)\n"
    "  --plan FILE            what `ticlip tune` wrote; without it the plan that is shipped\n"
    "  --isa NAME             as if the CPU had no more: portable, avx2, avx512, avx512_bf16,\n"
    "                         amx_bf16\n"
    "  --profile CASE         a step's time by operation and purpose\n"
    "  --profile-shapes CASE  the same for each shape and variant\n"
    "  --seconds X            profile at least so long (2)\n"
    "  --config MODEL         the model's OpenCLIP json, for peers/torch_step.py\n"
    "  --list                 the cases\n";

struct Flags {
    int threads = 0;
    double seconds = 2;
    bool list = false, shapes = false;
    std::string profile, config, plan;
};
Flags flags;
tic_plan *plan = nullptr;

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

// Seconds of a step; negative, with *err, when it failed.
double TimeStep(StepSetup *setup, tic_error *err) {
    const double start = tic_now();
    return setup->Step(err) == TIC_OK ? tic_now() - start : -1;
}

// What reading the counters costs; the trainer does it twice an iteration.
double ReadMicroseconds(const tic_ctx *ctx) {
    constexpr int kReads = 1000;
    tic_counters counters;
    const double start = tic_now();
    for (int i = 0; i < kReads; i++)
        tic_ctx_counters(ctx, &counters);
    return (tic_now() - start) / kReads * 1e6;
}

void Run(benchmark::State &state, const StepCase &which) {
    tic_error err{};
    StepSetup setup;
    // The first step touches memory for the first time.
    if (setup.Make(which, flags.threads, plan, &err) != TIC_OK || setup.Step(&err) != TIC_OK)
        return state.SkipWithError(err.text);
    const tic_ctx *ctx = setup.ctx.get();
    const PeakBracket peak(which.precision, tic_ctx_isa(ctx), tic_ctx_threads(ctx));
    peak.WarmUp();

    tic_counters before, after;
    Samples samples;
    const double anonymous = AnonymousKib();
    tic_ctx_counters(ctx, &before);
    for (auto _ : state) {
        if (!samples.Take([&] { return peak.Rate(); }, [&] { return TimeStep(&setup, &err); }))
            return state.SkipWithError(err.text);
        state.SetIterationTime(samples.seconds.back());
    }
    tic_ctx_counters(ctx, &after);

    const tic_macs from = tic_counters_sum(&before), to = tic_counters_sum(&after);
    const double steps = samples.calls; // each is counted
    const double logical = static_cast<double>(to.logical - from.logical) / steps;
    const double issued = static_cast<double>(to.issued - from.issued) / steps;
    const double pairs = static_cast<double>(which.batch), seconds = samples.Seconds();
    const double nominal = pairs * static_cast<double>(tic_nominal_train(&setup.config));
    state.counters["pairs/s"] = pairs / seconds;
    state.counters["nominal_GMAC/s"] = nominal / seconds * 1e-9;
    state.counters["GMAC/s"] = logical / seconds * 1e-9;
    state.counters["mfu"] = samples.Share(logical);
    state.counters["peak_GMAC/s"] = samples.Rate() * 1e-9;
    state.counters["issued/logical"] = issued / logical;
    state.counters["read_us"] = ReadMicroseconds(ctx);
    state.counters["spread"] = samples.Spread();
    state.counters["tokens/caption"] = static_cast<double>(setup.batch.view.tokens) / pairs;
    state.counters["growth_KiB"] = AnonymousKib() - anonymous;
    state.SetLabel(std::string("peak: ") + tic_peak_name(peak.unit()));
}

void Register(const std::vector<StepCase> &cases) {
    for (const StepCase &which : cases)
        benchmark::RegisterBenchmark(which.Name().c_str(),
                                     [&which](benchmark::State &state) { Run(state, which); })
            ->UseManualTime()
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
            return PrintStepProfile(which, flags.threads, plan, flags.seconds, flags.shapes, err);
    return tic_fail(err, TIC_EUSAGE, "no case \"%s\"; --list shows them", flags.profile.c_str());
}

tic_status TakeValue(const std::string &flag, const char *value, tic_error *err) {
    double number = 0;
    if (flag == "--threads") {
        TIC_TRY(ParseNumber(flag, value, 0, 1024, &number, err));
        flags.threads = static_cast<int>(number);
    } else if (flag == "--seconds") {
        TIC_TRY(ParseNumber(flag, value, 0, 3600, &flags.seconds, err));
    } else if (flag == "--plan") {
        flags.plan = value;
    } else if (flag == "--isa") {
        return LimitIsa(value, err);
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
                   flag == "--plan" || flag == "--profile" || flag == "--profile-shapes" ||
                   flag == "--isa") {
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
    TIC_TRY(TakePlan(flags.plan, flags.threads, &plan, err));
    if (!flags.profile.empty())
        return PrintProfile(cases, err);
    Register(cases);
    DescribeMachine(flags.threads);
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
    WaitAsTiclipDoes(argv);
    if (RunAll(argc, argv, &err) != TIC_OK)
        std::fprintf(stderr, "bench_step: %s\n", err.text);
    tic_plan_free(plan);
    return err.status;
}
