// A training step's cases, MODEL/BATCH/PRECISION/CAPTIONS, and what one runs on: shared by what
// times a whole step and what profiles it.
#ifndef TICLIP_BENCHMARKS_STEP_CASE_H
#define TICLIP_BENCHMARKS_STEP_CASE_H

extern "C" {
#include "model/model.h"
}

#include <memory>
#include <string>
#include <vector>

struct StepCase {
    const char *model;
    int64_t batch;
    tic_dtype precision;
    bool web; // captions of web lengths, else all of context_length

    std::string Name() const;
};

std::vector<StepCase> StepCases();

// The packed batch that a case trains on; it owns what `view` borrows. Tokens are drawn evenly from
// the whole vocabulary, other ones in each step, so that the optimizer soon has moments of all of
// them: the worst case for what it leaves until it is read (model/table.c).
struct StepBatch {
    std::vector<uint8_t> pixels;
    std::vector<int32_t> ids, offsets; // ids: of kTexts batches
    tic_batch view{};

    void TakeTexts(int64_t step);
};
constexpr int64_t kTexts = 64;

struct StepSetup { // members are freed in reverse order
    tic_config config{};
    std::unique_ptr<tic_ctx, decltype(&tic_ctx_free)> ctx{nullptr, tic_ctx_free};
    std::unique_ptr<tic_model, decltype(&tic_model_free)> model{nullptr, tic_model_free};
    StepBatch batch;
    int64_t step = 1;

    // A model with random weights and its batch. threads 0: one per core. plan: NULL for the
    // registry's defaults.
    tic_status Make(const StepCase &which, int threads, const tic_plan *plan, tic_error *err);
    // Gradients of the contrastive loss, then AdamW.
    tic_status Step(tic_error *err);
};

#endif
