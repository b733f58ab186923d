// A training step, gradients and AdamW update: pairs/s and GMAC/s, nominal and logical.
//
// Cases are MODEL/BATCH/PRECISION/CAPTIONS. Captions `full` are 77 tokens each, `web` have the
// lengths of web_lengths.txt. `bench_step --config MODEL` prints the model's OpenCLIP json, from
// which peers/torch_step.py builds the same model. Other flags: --threads N, and Google
// Benchmark's.
#include <benchmark/benchmark.h>

extern "C" {
#include "model/model.h"
}

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Case {
    const char *model;
    int64_t batch;
};
constexpr Case kCases[] = {{"ViT-Nano-8-40", 128}, {"ViT-S-32", 64}, {"ViT-B-32", 32}};

int threads = 0; // 0: one per core

// The packed batch that every step of a case trains on; it owns what `view` borrows.
struct Batch {
    std::vector<uint8_t> pixels;
    std::vector<int32_t> ids, offsets;
    tic_batch view{};
};

std::vector<int> ReadWebLengths() {
    std::ifstream file(TIC_WEB_LENGTHS);
    std::vector<int> lengths;
    for (int length; file >> length;)
        lengths.push_back(length);
    return lengths;
}

Batch MakeBatch(const tic_config &config, int64_t n, bool web) {
    const tic_random key = {1, TIC_RNG_BENCH, 0};
    const std::vector<int> lengths = web ? ReadWebLengths() : std::vector<int>();
    Batch batch;
    batch.pixels.resize(static_cast<size_t>(n * config.image_size * config.image_size * 3));
    for (size_t i = 0; i < batch.pixels.size(); i++)
        batch.pixels[i] = static_cast<uint8_t>(tic_random_u32(key, i));
    batch.offsets.push_back(0);
    for (int64_t i = 0; i < n; i++) {
        int length = config.context_length;
        if (web)
            length = std::min(length, lengths[static_cast<size_t>(i) % lengths.size()]);
        batch.ids.push_back(config.vocab_size - 2);
        for (int t = 2; t < length; t++)
            batch.ids.push_back(static_cast<int32_t>(
                tic_random_below(key, (1ull << 32) + batch.ids.size(),
                                 static_cast<uint64_t>(config.vocab_size - 2))));
        batch.ids.push_back(config.vocab_size - 1);
        batch.offsets.push_back(static_cast<int32_t>(batch.ids.size()));
    }
    batch.view.n = n;
    batch.view.tokens = static_cast<int64_t>(batch.ids.size());
    batch.view.pixels = batch.pixels.data();
    batch.view.ids = batch.ids.data();
    batch.view.offsets = batch.offsets.data();
    return batch;
}

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

using Ctx = std::unique_ptr<tic_ctx, decltype(&tic_ctx_free)>;
using Model = std::unique_ptr<tic_model, decltype(&tic_model_free)>;

struct Setup { // what a case runs on; members are freed in reverse order
    tic_config config{};
    Ctx ctx{nullptr, tic_ctx_free};
    Model model{nullptr, tic_model_free};
};

tic_status MakeSetup(const Case &which, tic_dtype precision, Setup *setup, tic_error *err) {
    tic_ctx_options ctx_options{};
    tic_model_options options{};
    tic_ctx *ctx = nullptr;
    tic_model *model = nullptr;
    ctx_options.threads = threads;
    options.batch = which.batch;
    options.precision = precision;
    options.train = true;
    TIC_TRY(tic_config_find(&setup->config, which.model, err));
    TIC_TRY(tic_ctx_new(&ctx, &ctx_options, err));
    setup->ctx.reset(ctx);
    TIC_TRY(tic_model_new(&model, ctx, &setup->config, &options, err));
    setup->model.reset(model);
    tic_model_init(model, 1);
    return TIC_OK;
}

tic_status Step(tic_model *model, const tic_batch *batch, int64_t step, tic_error *err) {
    const tic_loss_options loss_options{};
    const tic_adamw_options adamw = {5e-4f, 0.9f, 0.98f, 1e-6f, 0.2f, 0.0f};
    tic_step_loss loss;
    TIC_TRY(tic_model_gradients(model, batch, &loss_options, &loss, err));
    return tic_model_update(model, &adamw, step, nullptr, err);
}

void Run(benchmark::State &state, const Case &which, tic_dtype precision, bool web) {
    tic_error err{};
    Setup setup;
    if (MakeSetup(which, precision, &setup, &err) != TIC_OK)
        return state.SkipWithError(err.text);
    const Batch batch = MakeBatch(setup.config, which.batch, web);
    int64_t step = 1;
    // The first step touches memory for the first time.
    if (Step(setup.model.get(), &batch.view, step++, &err) != TIC_OK)
        return state.SkipWithError(err.text);

    tic_counters before, after;
    const double anonymous = AnonymousKib();
    tic_ctx_counters(setup.ctx.get(), &before);
    for (auto _ : state) {
        if (Step(setup.model.get(), &batch.view, step++, &err) != TIC_OK)
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
        static_cast<double>(batch.view.tokens) / static_cast<double>(batch.view.n);
    state.counters["growth_KiB"] = AnonymousKib() - anonymous;
}

void Register() {
    for (const Case &which : kCases)
        for (tic_dtype precision : {TIC_F32, TIC_BF16})
            for (bool web : {false, true}) {
                const std::string name = std::string(which.model) + "/" +
                                         std::to_string(which.batch) + "/" +
                                         tic_dtype_name(precision) + (web ? "/web" : "/full");
                benchmark::RegisterBenchmark(name.c_str(),
                                             [&which, precision, web](benchmark::State &state) {
                                                 Run(state, which, precision, web);
                                             })
                    ->UseRealTime()
                    ->Unit(benchmark::kMillisecond);
            }
}

int PrintConfig(const char *name) {
    tic_config config;
    tic_error err{};
    char *text = nullptr;
    if (tic_config_find(&config, name, &err) != TIC_OK ||
        tic_config_json(&config, &text, &err) != TIC_OK) {
        std::fprintf(stderr, "bench_step: %s\n", err.text);
        return err.status;
    }
    std::printf("%s\n", text);
    tic_free(text);
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    if (argc == 3 && std::strcmp(argv[1], "--config") == 0)
        return PrintConfig(argv[2]);
    if (argc >= 3 && std::strcmp(argv[1], "--threads") == 0) {
        char *end;
        const long wanted = std::strtol(argv[2], &end, 10);
        if (*argv[2] == '\0' || *end != '\0' || wanted < 0 || wanted > 1024) {
            std::fprintf(stderr, "bench_step: --threads %s is not in 0..1024\n", argv[2]);
            return TIC_EUSAGE;
        }
        threads = static_cast<int>(wanted);
        argv[2] = argv[0];
        argv += 2;
        argc -= 2;
    }
    Register();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return TIC_EUSAGE;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
