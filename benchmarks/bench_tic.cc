// Throughput beside accuracy: a method of the paper a case, run on the embedded data set from the
// first step to the last. A case is run once; its counters are what the run's results.json tells.
//
//   bench_tic --benchmark_out=baseline.json       keeps a baseline
//   bench_tic --compare baseline.json             sets every counter beside it
#include "bracket.h"
#include "program.h"

extern "C" {
#include "continual/continual.h"
}

#include <benchmark/benchmark.h>
#include <jansson.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr char kHelp[] =
    "usage: bench_tic [--data DIR] [--methods LIST] [--pairs N] [--world N] [--threads N]\n"
    "                 [--compare FILE] [Google Benchmark's flags]\n"
    "\n"
    "Runs methods on the embedded data set; throughput beside accuracy.\n"
    "  --data DIR       a world; without it one is generated\n"
    "  --world N        pairs of the generated world (40000)\n"
    "  --methods LIST   methods to run, or all (sequential,cumulative-all)\n"
    "  --pairs N        budget of the whole sequence (the default of `ticlip run`)\n"
    "  --threads N      0: one per core (default)\n"
    "  --compare FILE   a --benchmark_out file to set the counters beside\n";

// The counters, in this order.
constexpr const char *kCounters[] = {"pairs/s",   "GMAC/s",   "mfu",    "issued/nominal",
                                     "in_domain", "backward", "forward"};
// Beside them, so that only runs of the same budget are compared.
constexpr const char *kPairs = "pairs";

struct Flags {
    std::string data, methods = "sequential,cumulative-all", compare;
    double pairs = 0, world = 40000;
    int threads = 0;
};
Flags flags;
std::string folder; // of this process's files; removed at the end

using Counters = std::map<std::string, double>;
std::map<std::string, Counters> measured; // by method

double Number(const json_t *object, std::initializer_list<const char *> path) {
    for (const char *key : path)
        object = json_object_get(object, key);
    return json_number_value(object);
}

// MAC/s of the unit that is fastest in the run's precision, all threads together, measured now.
double Peak(tic_dtype precision) {
    const tic_cpu *cpu = tic_cpu_get();
    const PeakBracket peak(precision, cpu->isa, flags.threads > 0 ? flags.threads : cpu->cores);
    peak.WarmUp();
    return peak.Rate();
}

Counters CountersOf(const json_t *results, const char *method) {
    const json_t *one = json_object_get(json_object_get(results, "methods"), method);
    const json_t *precision = json_object_get(json_object_get(results, "experiment"), "precision");
    const bool bf16 = std::strcmp(json_string_value(precision), "bf16") == 0;
    const double seconds = Number(one, {"seconds"}), logical = Number(one, {"macs", "logical"});
    Counters out;
    out[kPairs] = Number(one, {"pairs_seen"});
    out["pairs/s"] = Number(one, {"pairs_seen"}) / seconds;
    out["GMAC/s"] = logical / seconds * 1e-9;
    out["mfu"] = logical / seconds / Peak(bf16 ? TIC_BF16 : TIC_F32);
    out["issued/nominal"] = Number(one, {"macs", "issued"}) / Number(one, {"macs", "nominal"});
    for (const char *name : {"in_domain", "backward", "forward"})
        out[name] = Number(one, {"tasks", "retrieval", name});
    return out;
}

tic_status Set(tic_experiment *x, const char *name, const std::string &value, tic_error *err) {
    return tic_experiment_set(x, name, value.c_str(), err);
}

tic_status RunMethod(const std::string &method, double *seconds, tic_error *err) {
    tic_experiment x;
    char *text = nullptr;
    tic_experiment_defaults(&x);
    TIC_TRY(Set(&x, "data", flags.data, err));
    TIC_TRY(Set(&x, "out", folder + "/" + method, err));
    TIC_TRY(Set(&x, "index", folder + "/index.bin", err));
    TIC_TRY(Set(&x, "methods", method, err));
    TIC_TRY(Set(&x, "threads", std::to_string(flags.threads), err));
    if (flags.pairs > 0)
        TIC_TRY(Set(&x, "pairs", std::to_string(static_cast<long long>(flags.pairs)), err));
    TIC_TRY(tic_run(&x, nullptr, err));
    TIC_TRY(tic_results_read(x.out, &text, err));
    json_t *results = json_loads(text, 0, nullptr);
    tic_free(text);
    measured[method] = CountersOf(results, method.c_str());
    *seconds =
        Number(json_object_get(json_object_get(results, "methods"), method.c_str()), {"seconds"});
    json_decref(results);
    return TIC_OK;
}

void Run(benchmark::State &state, const std::string &method) {
    for (auto _ : state) {
        tic_error err{};
        double seconds = 0;
        if (RunMethod(method, &seconds, &err) != TIC_OK)
            return state.SkipWithError(err.text);
        state.SetIterationTime(seconds);
    }
    for (const auto &[name, value] : measured[method])
        state.counters[name] = value;
}

// ---- the baseline -------------------------------------------------------------------------------

std::string baseline_machine; // as the file describes it

std::string TextAt(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != nullptr ? text : "unknown";
}

void TakeRow(const json_t *row, Counters *out) {
    const char *name;
    json_t *value;
    json_object_foreach(const_cast<json_t *>(row), name, value) {
        if (json_is_number(value))
            (*out)[name] = json_number_value(value);
    }
}

tic_status ReadBaseline(std::map<std::string, Counters> *out, tic_error *err) {
    json_error_t where;
    json_t *json = json_load_file(flags.compare.c_str(), 0, &where), *row;
    if (json == nullptr)
        return tic_fail(err, TIC_EINPUT, "%s:%d: %s", flags.compare.c_str(), where.line,
                        where.text);
    size_t i;
    json_array_foreach(json_object_get(json, "benchmarks"), i, row) {
        const char *name = json_string_value(json_object_get(row, "name"));
        const std::string method = std::string(name != nullptr ? name : "");
        if (json_is_number(json_object_get(row, kCounters[0])))
            TakeRow(row, &(*out)[method.substr(0, method.find('/'))]);
    }
    const json_t *context = json_object_get(json, "context");
    baseline_machine = TextAt(context, "cpu") + ", " + TextAt(context, "isa") + ", " +
                       TextAt(context, "threads") + " threads";
    json_decref(json);
    return out->empty() ? tic_fail(err, TIC_EINPUT, "%s: no benchmark of bench_tic in it",
                                   flags.compare.c_str())
                        : TIC_OK;
}

// NaN where the file has no such number.
double At(const Counters &counters, const char *name) {
    const auto found = counters.find(name);
    return found != counters.end() ? found->second : std::nan("");
}

void PrintComparison(const std::map<std::string, Counters> &baseline) {
    std::printf("\nbaseline: %s\n", baseline_machine.c_str());
    std::printf("%-24s %-16s %12s %12s %9s\n", "method", "counter", "baseline", "now", "change");
    for (const auto &[method, now] : measured) {
        const auto found = baseline.find(method);
        if (found == baseline.end()) {
            std::printf("%-24s not in the baseline\n", method.c_str());
            continue;
        }
        const double pairs_then = At(found->second, kPairs), pairs_now = now.at(kPairs);
        if (pairs_then != pairs_now) {
            std::printf("%-24s another budget: %.0f pairs in the baseline, %.0f now\n",
                        method.c_str(), pairs_then, pairs_now);
            continue;
        }
        const char *shown = method.c_str();
        for (const char *name : kCounters) {
            const double then = At(found->second, name), value = now.at(name);
            std::printf("%-24s %-16s %12.4g %12.4g %+8.1f%%\n", shown, name, then, value,
                        100 * (value - then) / then);
            shown = "";
        }
    }
}

// ---- the program --------------------------------------------------------------------------------

tic_status TakeValue(const std::string &flag, const char *value, tic_error *err) {
    double number = 0;
    if (flag == "--data")
        flags.data = value;
    else if (flag == "--methods")
        flags.methods = value;
    else if (flag == "--compare")
        flags.compare = value;
    else if (flag == "--pairs")
        return ParseNumber(flag, value, 1, 1e15, &flags.pairs, err);
    else if (flag == "--world")
        return ParseNumber(flag, value, 100, 1e9, &flags.world, err);
    else {
        TIC_TRY(ParseNumber(flag, value, 0, 1024, &number, err));
        flags.threads = static_cast<int>(number);
    }
    return TIC_OK;
}

// Takes our own flags out of argv and leaves Google Benchmark's.
tic_status TakeFlags(int *argc, char **argv, tic_error *err) {
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const std::string flag = argv[i];
        if (flag == "--data" || flag == "--methods" || flag == "--compare" || flag == "--pairs" ||
            flag == "--world" || flag == "--threads") {
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

// What a baseline must have in common with what is set beside it, beside the machine.
void DescribeExperiment() {
    tic_experiment x;
    tic_experiment_defaults(&x);
    const double pairs = flags.pairs > 0 ? flags.pairs : static_cast<double>(x.pairs);
    const auto number = [](double n) { return std::to_string(static_cast<long long>(n)); };
    const std::string world = std::filesystem::path(flags.data).filename();
    benchmark::AddCustomContext("world",
                                flags.data.empty() ? number(flags.world) + " pairs" : world);
    benchmark::AddCustomContext("budget", number(pairs) + " pairs");
}

tic_status MakeWorld(tic_error *err) {
    if (!flags.data.empty())
        return TIC_OK;
    flags.data = folder + "/world";
    tic_world_options options{};
    options.folder = flags.data.c_str();
    options.pairs = static_cast<uint64_t>(flags.world);
    options.threads = flags.threads;
    return tic_world_generate(&options, err);
}

tic_status Register(tic_error *err) {
    enum { kMost = 64 };
    const tic_method *methods[kMost];
    int count = 0;
    TIC_TRY(tic_method_list(flags.methods.c_str(), methods, kMost, &count, err));
    for (int i = 0; i < count; i++) {
        const std::string name = methods[i]->name;
        benchmark::RegisterBenchmark(name.c_str(),
                                     [name](benchmark::State &state) { Run(state, name); })
            ->UseManualTime()
            ->Iterations(1)
            ->Unit(benchmark::kSecond);
    }
    return TIC_OK;
}

tic_status RunAll(int argc, char **argv, tic_error *err) {
    std::map<std::string, Counters> baseline;
    TIC_TRY(TakeFlags(&argc, argv, err));
    if (!flags.compare.empty())
        TIC_TRY(ReadBaseline(&baseline, err));
    TIC_TRY(Register(err));
    DescribeMachine(flags.threads);
    DescribeExperiment();
    benchmark::Initialize(&argc, argv);
    if (argc > 1)
        return tic_fail(err, TIC_EUSAGE, "unknown argument %s; --help tells them", argv[1]);
    TIC_TRY(MakeWorld(err));
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    if (!flags.compare.empty())
        PrintComparison(baseline);
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
    std::string pattern = (std::filesystem::temp_directory_path() / "bench_tic-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        std::perror("bench_tic: no temporary folder");
        return TIC_ERESOURCE;
    }
    folder = pattern;
    const tic_status status = RunAll(argc, argv, &err);
    if (status != TIC_OK)
        std::fprintf(stderr, "bench_tic: %s\n", err.text);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return status;
}
