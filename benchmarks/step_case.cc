// Names of training-step cases, their caption lengths, and the model and batch they run on.
#include "step_case.h"

#include <algorithm>
#include <fstream>

namespace {

struct Size {
    const char *model;
    int64_t batch;
};
constexpr Size kSizes[] = {
    {"ViT-Pico-8-40", 64}, {"ViT-S-32", 64}, {"ViT-B-32", 32}, {"ViT-B-16", 16}};

std::vector<int> ReadWebLengths() {
    std::ifstream file(TIC_WEB_LENGTHS);
    std::vector<int> lengths;
    for (int length; file >> length;)
        lengths.push_back(length);
    return lengths;
}

StepBatch MakeBatch(const tic_config &config, int64_t n, bool web) {
    const tic_random key = {1, TIC_RNG_BENCH, 0};
    const std::vector<int> lengths = web ? ReadWebLengths() : std::vector<int>();
    StepBatch batch;
    batch.pixels.resize(static_cast<size_t>(n * config.image_size * config.image_size * 3));
    for (size_t i = 0; i < batch.pixels.size(); i++)
        batch.pixels[i] = static_cast<uint8_t>(tic_random_u32(key, i));
    batch.offsets.push_back(0);
    for (int64_t i = 0; i < n; i++) {
        int length = config.context_length;
        if (web)
            length = std::min(length, lengths[static_cast<size_t>(i) % lengths.size()]);
        batch.offsets.push_back(batch.offsets.back() + length);
    }
    for (int64_t text = 0; text < kTexts * n; text++) {
        const size_t i = static_cast<size_t>(text % n);
        batch.ids.push_back(config.vocab_size - 2);
        for (int t = 2; t < batch.offsets[i + 1] - batch.offsets[i]; t++)
            batch.ids.push_back(static_cast<int32_t>(
                tic_random_below(key, (1ull << 32) + batch.ids.size(),
                                 static_cast<uint64_t>(config.vocab_size - 2))));
        batch.ids.push_back(config.vocab_size - 1);
    }
    batch.view.n = n;
    batch.view.tokens = batch.offsets.back();
    batch.view.pixels = batch.pixels.data();
    batch.view.offsets = batch.offsets.data();
    batch.TakeTexts(0);
    return batch;
}

} // namespace

void StepBatch::TakeTexts(int64_t step) {
    view.ids = ids.data() + step % kTexts * view.tokens;
}

std::string StepCase::Name() const {
    return std::string(model) + "/" + std::to_string(batch) + "/" + tic_dtype_name(precision) +
           (web ? "/web" : "/full");
}

std::vector<StepCase> StepCases() {
    std::vector<StepCase> cases;
    for (const Size &size : kSizes)
        for (tic_dtype precision : {TIC_F32, TIC_BF16})
            for (bool web : {false, true})
                cases.push_back({size.model, size.batch, precision, web});
    return cases;
}

tic_status StepSetup::Make(const StepCase &which, int threads, const tic_plan *plan,
                           tic_error *err) {
    tic_ctx_options ctx_options{};
    tic_model_options options{};
    tic_ctx *new_ctx = nullptr;
    tic_model *new_model = nullptr;
    ctx_options.threads = threads;
    ctx_options.plan = plan;
    options.batch = which.batch;
    options.precision = which.precision;
    options.train = true;
    TIC_TRY(tic_config_find(&config, which.model, err));
    TIC_TRY(tic_ctx_new(&new_ctx, &ctx_options, err));
    ctx.reset(new_ctx);
    TIC_TRY(tic_model_new(&new_model, new_ctx, &config, &options, err));
    model.reset(new_model);
    tic_model_init(new_model, 1);
    batch = MakeBatch(config, which.batch, which.web);
    return TIC_OK;
}

tic_status StepSetup::Step(tic_error *err) {
    const tic_loss_options loss_options{};
    const tic_adamw_options adamw = {5e-4f, 0.9f, 0.98f, 1e-6f, 0.2f, 0.0f};
    tic_step_loss loss;
    batch.TakeTexts(step);
    TIC_TRY(tic_model_gradients(model.get(), &batch.view, &loss_options, &loss, err));
    return tic_model_update(model.get(), &adamw, step++, nullptr, err);
}
