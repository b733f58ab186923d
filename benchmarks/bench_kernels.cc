// Every operation over the shapes that matter: OP/SHAPE/PRECISION/VARIANT, a row for each variant
// that runs here and for each peer, on the same operands. `bench_kernels --help` tells the flags;
// docs/performance.md the counters.
#include "kernel_case.h"
#include "program.h"

#include <benchmark/benchmark.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace {

constexpr char kHelp[] =
    "usage: bench_kernels [flags] [Google Benchmark's flags]\n"
    "\n"
    "Times OP/SHAPE/PRECISION/VARIANT: every variant that runs here, `auto` for what dispatch or "
    "the\n"
    "plan picks, and peer:LIBRARY. Output is checked against the reference before it is timed.\n"
    "  --list                     the rows, without running them\n"
    "  --all                      slower variants too; without it and without a filter: auto, "
    "peers\n"
    "  --benchmark_filter=REGEX   only rows whose names match; all variants\n"
    "  --benchmark_min_time=X     seconds measured for each row (0.05), in --samples parts\n"
    "  --samples N                samples of a row, each between two calibrations (5)\n"
    "  --threads N                0: one per core (default)\n"
    "  --isa NAME                 as if the CPU had no more: portable, avx2, avx512, avx512_bf16,\n"
    "                             amx_bf16; forced peers too\n"
    "  --scaling                  also time one thread, in turn: counter `scaling`\n"
    "  --plan FILE                what `ticlip tune` wrote, over what is shipped: decides `auto`\n"
    "  --benchmark_format=json    for performance_page.py\n";

struct Flags {
    int threads = 0, samples = 5;
    double seconds = 0.05;
    bool list = false, all = false, scaling = false;
    std::string plan, filter;
};
Flags flags;
tic_plan *plan = nullptr;

// ---- rows

struct Row {
    const KernelCase *which;
    std::string variant; // "auto", "packed", a variant's name, "peer:..."
    std::string Name() const { return which->Name() + "/" + variant; }
};

bool Dispatched(const Row &row) { // not forced
    return row.variant == "auto" || row.variant == "packed";
}

struct PeerKind {
    const char *name, *program;
    bool forced;
};
constexpr PeerKind kPeers[] = {
    {"peer:blis", "peer_blis", true},         {"peer:blis-default", "peer_blis", false},
    {"peer:openblas", "peer_openblas", true}, {"peer:openblas-default", "peer_openblas", false},
    {"peer:onednn", "peer_onednn", true},
};

PeerMachine Machine(bool forced) {
    const tic_cpu *cpu = tic_cpu_get();
    return {forced, tic_isa_name(cpu->isa), cpu->vendor,
            flags.threads > 0 ? flags.threads : cpu->cores};
}

// Started when first needed; all end with the program.
std::map<std::string, std::unique_ptr<PeerProcess>> peers;

void MakePeers() {
    const bool portable = std::strcmp(tic_isa_name(tic_cpu_get()->isa), "portable") == 0;
    for (const PeerKind &kind : kPeers) {
        if (IsaIsLimited() && (portable || !kind.forced))
            continue; // nothing would keep it to the limit
        auto peer = std::make_unique<PeerProcess>(kind.program, Machine(kind.forced));
        if (peer->Exists())
            peers[kind.name] = std::move(peer);
        else
            std::fprintf(stderr, "bench_kernels: no %s: %s was not built\n", kind.name,
                         kind.program);
    }
}

// BLIS and OpenBLAS have no bf16.
bool PeerTakes(const std::string &name, const KernelCase &which) {
    return which.Bare() && (which.precision == TIC_F32 || name == "peer:onednn");
}

bool RunsHere(const tic_variant_info &info, const KernelCase &which) {
    return info.op == which.problem.op && info.precisions >> which.precision & 1 &&
           (info.isa & ~tic_cpu_get()->isa) == 0 && std::strcmp(info.name, "ref") != 0;
}

std::vector<Row> Rows(const std::vector<KernelCase> &cases) {
    std::vector<Row> rows;
    for (const KernelCase &which : cases) {
        rows.push_back({&which, "auto"});
        if (which.HasWeight())
            rows.push_back({&which, "packed"});
        for (int i = 0; i < tic_variant_count(); i++)
            if ((flags.all || !flags.filter.empty()) && RunsHere(tic_variant_get(i), which))
                rows.push_back({&which, tic_variant_get(i).name});
        for (const auto &[name, peer] : peers)
            if (PeerTakes(name, which))
                rows.push_back({&which, name});
    }
    return rows;
}

// ---- running a row

// The operands of the case before are kept: its rows stand beside each other.
KernelRun *RunOf(const KernelCase &which, tic_error *err) {
    static std::unique_ptr<KernelRun> run;
    static tic_error failed;
    if (run == nullptr || &run->which() != &which || run->ctx() == nullptr) {
        run = std::make_unique<KernelRun>(which, flags.threads, plan);
        failed = {};
        run->Prepare(&failed);
    }
    *err = failed;
    return failed.status == TIC_OK ? run.get() : nullptr;
}

// Measured once for each precision: for bf16 it takes a quarter of a second.
const PeakBracket &PeakOf(const KernelRun &run) {
    static std::map<tic_dtype, PeakBracket> peaks;
    const tic_ctx *ctx = run.ctx();
    return peaks
        .try_emplace(run.which().precision, run.which().precision, tic_ctx_isa(ctx),
                     tic_ctx_threads(ctx))
        .first->second;
}

struct Measured {
    Samples samples;
    std::vector<double> scaling; // one thread's seconds / all threads'
};

// Fills samples, `rate` being measured around each.
tic_status Measure(KernelRun *run, bool peer, const std::function<double()> &rate, Measured *out,
                   tic_error *err) {
    const double seconds = flags.seconds / flags.samples;
    for (int i = 0; i < flags.samples; i++) {
        const auto call = [&] {
            return peer ? run->TimePeer(seconds, err) : run->Time(seconds, false, err);
        };
        if (!out->samples.Take(rate, call))
            return err->status;
        if (!flags.scaling || peer)
            continue;
        const double one = run->Time(seconds, true, err);
        if (one < 0)
            return err->status;
        out->scaling.push_back(one / out->samples.seconds.back());
    }
    return TIC_OK;
}

tic_status MeasureRow(const Row &row, benchmark::State *state, tic_error *err) {
    static PeerMemory memory;
    const auto peer = peers.find(row.variant);
    KernelRun *run = RunOf(*row.which, err);
    if (run == nullptr)
        return err->status;
    if (peer != peers.end())
        TIC_TRY(run->ChoosePeer(peer->second.get(), &memory, err));
    else
        TIC_TRY(run->Choose(Dispatched(row) ? nullptr : row.variant.c_str(),
                            row.variant == "packed", err));

    const tic_demand demand = run->Demand();
    const double macs = static_cast<double>(demand.macs), bytes = static_cast<double>(demand.bytes);
    std::string label = row.which->problem.name;
    Measured measured;
    auto &counters = state->counters;
    if (macs > 0) {
        const PeakBracket &peak = PeakOf(*run);
        peak.WarmUp();
        TIC_TRY(Measure(
            run, peer != peers.end(), [&] { return peak.Rate(); }, &measured, err));
        counters["GMAC/s"] = macs / measured.samples.Seconds() * 1e-9;
        counters["peak"] = measured.samples.Share(macs);
        counters["peak_GMAC/s"] = measured.samples.Rate() * 1e-9;
    } else {
        TriadBracket triad(static_cast<size_t>(bytes), tic_ctx_threads(run->ctx()));
        TIC_TRY(Measure(
            run, false, [&] { return triad.Rate(); }, &measured, err));
        counters["GB/s"] = bytes / measured.samples.Seconds() * 1e-9;
        counters["triad"] = measured.samples.Share(bytes);
        counters["triad_GB/s"] = measured.samples.Rate() * 1e-9;
    }
    counters["us"] = measured.samples.Seconds() * 1e6;
    if (row.which->problem.op == TIC_OP_CONTRASTIVE)
        counters["memory"] = static_cast<double>(run->LossMemory());
    counters["spread"] = measured.samples.Spread();
    counters["threads"] = tic_ctx_threads(run->ctx());
    if (!measured.scaling.empty())
        counters["scaling"] = Median(measured.scaling);
    if (Dispatched(row))
        label += std::string(", ") + run->Ran();
    state->SetLabel(label);
    for (double seconds : measured.samples.seconds) {
        if (!state->KeepRunning())
            break;
        state->SetIterationTime(seconds);
    }
    state->KeepRunning(); // says that all iterations were done
    return TIC_OK;
}

void Register(const std::vector<Row> &rows) {
    for (const Row &row : rows)
        benchmark::RegisterBenchmark(row.Name().c_str(),
                                     [&row](benchmark::State &state) {
                                         tic_error err{};
                                         if (MeasureRow(row, &state, &err) != TIC_OK)
                                             state.SkipWithError(err.text);
                                     })
            ->Iterations(flags.samples)
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
}

// ---- flags

tic_status TakeValue(const std::string &flag, const char *value, tic_error *err) {
    double number = 0;
    if (flag == "--plan") {
        flags.plan = value;
    } else if (flag == "--isa") {
        return LimitIsa(value, err);
    } else if (flag == "--threads") {
        TIC_TRY(ParseNumber(flag, value, 0, 1024, &number, err));
        flags.threads = static_cast<int>(number);
    } else {
        TIC_TRY(ParseNumber(flag, value, 1, 10000, &number, err));
        flags.samples = static_cast<int>(number);
    }
    return TIC_OK;
}

// Takes our own flags out of argv and leaves Google Benchmark's.
tic_status TakeFlags(int *argc, char **argv, tic_error *err) {
    int kept = 1;
    std::string rest;
    for (int i = 1; i < *argc; i++) {
        const std::string flag = argv[i];
        if (flag == "--list") {
            flags.list = true;
        } else if (flag == "--all") {
            flags.all = true;
        } else if (flag == "--scaling") {
            flags.scaling = true;
        } else if (flag == "--threads" || flag == "--samples" || flag == "--plan" ||
                   flag == "--isa") {
            if (++i == *argc)
                return tic_fail(err, TIC_EUSAGE, "%s needs a value", flag.c_str());
            TIC_TRY(TakeValue(flag, argv[i], err));
        } else if (StartsWith(flag, "--benchmark_min_time=", &rest)) {
            TIC_TRY(ParseNumber("--benchmark_min_time", rest, 0, 3600, &flags.seconds, err));
        } else {
            if (StartsWith(flag, "--benchmark_filter=", &rest))
                flags.filter = rest;
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return TIC_OK;
}

tic_status List(const std::vector<Row> &rows, tic_error *err) {
    try {
        const std::regex filter(flags.filter, std::regex::extended);
        for (const Row &row : rows)
            if (std::regex_search(row.Name(), filter))
                std::printf("%s  %s\n", row.Name().c_str(), row.which->problem.name);
    } catch (const std::regex_error &error) {
        return tic_fail(err, TIC_EUSAGE, "--benchmark_filter: %s", error.what());
    }
    return TIC_OK;
}

tic_status RunAll(int argc, char **argv, tic_error *err) {
    TIC_TRY(TakeFlags(&argc, argv, err));
    TIC_TRY(TakePlan(flags.plan, flags.threads, &plan, err));
    MakePeers();
    const std::vector<KernelCase> cases = KernelCases();
    const std::vector<Row> rows = Rows(cases);
    if (flags.list)
        return List(rows, err);
    Register(rows);
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
    std::signal(SIGPIPE, SIG_IGN); // of a peer that died
    if (RunAll(argc, argv, &err) != TIC_OK)
        std::fprintf(stderr, "bench_kernels: %s\n", err.text);
    peers.clear();
    tic_plan_free(plan);
    return err.status;
}
