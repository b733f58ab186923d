/* The kernels' problems of a training step: a measuring pass over both towers that writes down
 * every call instead of adding up what it needs. Pointers say whether an operand is there, so they
 * point into address space that has no memory behind it. */
#include "room.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the list -------------------------------------------------------------------------------- */

/* One more call of a problem that is there, or a new one. The failure is kept: passes measure. */
static void add(tic_listing *listing, const tic_problem *problem, const char *name) {
    tic_problems *out = listing->out;
    char *kept = NULL;
    for (size_t i = 0; i < out->count; i++) {
        tic_problem same = out->list[i];
        same.calls = 0;
        same.name = NULL;
        if (memcmp(&same, problem, sizeof same) == 0) {
            out->list[i].calls++;
            return;
        }
    }
    if (listing->failed.status != TIC_OK || tic_strdup(&kept, name, &listing->failed) != TIC_OK)
        return;
    if (tic_reserve_one(&out->list, out->count, &out->capacity, sizeof *out->list,
                        &listing->failed) != TIC_OK) {
        tic_free(kept);
        return;
    }
    out->list[out->count] = *problem;
    out->list[out->count].name = kept;
    out->list[out->count++].calls = 1;
}

void tic_problems_free(tic_problems *problems) {
    for (size_t i = 0; i < problems->count; i++)
        tic_free((char *)(uintptr_t)problems->list[i].name);
    tic_free(problems->list);
    *problems = (tic_problems){0};
}

static const char *tower_name(const tic_pass *pass) {
    return pass->tower->causal ? "text" : "vision";
}

/* ---- one call ------------------------------------------------------------------------------- */

/* The layer whose weight is [out, in]. */
static const char *layer_name(const tic_pass *pass, int64_t out, int64_t in) {
    const int64_t w = pass->tower->width, patch = pass->config->patch_size;
    if (in == w && out == 3 * w)
        return "qkv";
    if (in == w && out == 2 * w)
        return "key and value";
    if (in == w && out == w)
        return "projection";
    if (in == w && out == pass->tower->mlp)
        return "up";
    if (in == pass->tower->mlp && out == w)
        return "down";
    if (in == 3 * patch * patch && out == w)
        return "patches";
    return "features";
}

void tic_list_gemm(const tic_pass *pass, const tic_gemm_args *args) {
    char name[96];
    tic_problem p;
    memset(&p, 0, sizeof p); /* compared as bytes */
    p.op = TIC_OP_GEMM;
    p.trans = args->trans;
    p.m = args->m;
    p.n = args->n;
    p.k = args->k;
    p.act = args->act;
    p.bias = args->bias != NULL;
    p.pre = args->pre.data != NULL;
    p.grad_pre = args->grad_pre.data != NULL;
    p.residual = args->residual != NULL;
    p.accumulate = args->accumulate;
    p.colsum = args->colsum != NULL;
    p.a = args->a.type;
    p.b = args->b.type;
    p.c = args->c.type;
    p.packed = args->trans != TIC_TN; /* weights stand on the right (tic_call_weight) */
    p.kept = p.pre ? args->pre.type : p.grad_pre ? args->grad_pre.type : TIC_F32;
    /* Features are x P, not x Wᵀ: their transpositions are the others' the other way round. */
    const bool weights = args->trans == TIC_TN, input = args->trans == TIC_NN;
    const char *layer = weights ? layer_name(pass, p.m, p.n)
                        : input ? layer_name(pass, p.k, p.n)
                                : layer_name(pass, p.n, p.k);
    const bool features = strcmp(layer, "features") == 0;
    const char *gradient = weights ? " dW" : input != features ? " dX" : "";
    const int64_t rows = weights ? p.k : p.m;
    snprintf(name, sizeof name, "%s %s%s%s", tower_name(pass),
             rows == pass->n && !features ? "pooled " : "", layer, gradient);
    add(pass->tally->listing, &p, name);
}

void tic_list_attention(const tic_pass *pass, const tic_attention_args *args, bool pooled,
                        bool backward) {
    char name[96];
    tic_problem p;
    memset(&p, 0, sizeof p);
    p.op = backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION;
    p.m = args->sequences;
    p.length = pass->tower->causal ? pass->tally->listing->tokens : pass->tower->tokens;
    p.heads = args->heads;
    p.head_dim = args->head_dim;
    p.causal = args->causal;
    p.pooled = pooled;
    snprintf(name, sizeof name, "%s %sattention%s", tower_name(pass), pooled ? "pooled " : "",
             backward ? " backward" : "");
    add(pass->tally->listing, &p, name);
}

void tic_list_norm(const tic_pass *pass, const tic_layernorm_args *args, bool backward) {
    char name[96];
    tic_problem p;
    memset(&p, 0, sizeof p);
    p.op = backward ? TIC_OP_LAYERNORM_BACKWARD : TIC_OP_LAYERNORM;
    p.m = args->rows;
    p.n = args->d;
    p.accumulate = args->add_dx;
    snprintf(name, sizeof name, "%s %slayernorm%s", tower_name(pass),
             args->rows == pass->n ? "pooled " : "", backward ? " backward" : "");
    add(pass->tally->listing, &p, name);
}

static void list_loss(tic_listing *listing, int64_t b, int64_t d) {
    tic_problem p;
    memset(&p, 0, sizeof p);
    p.op = TIC_OP_CONTRASTIVE;
    p.m = b;
    p.n = d;
    add(listing, &p, "contrastive loss");
}

/* ---- a step ---------------------------------------------------------------------------------- */

static void walk_tower(tic_ctx *ctx, const tic_model *model, tic_tower *tower,
                       const int32_t *offsets, float *nowhere, tic_tally *tally) {
    const int64_t n = model->options.micro_batch;
    const bool vision = !tower->causal;
    const tic_pass pass = {.ctx = ctx,
                           .tally = tally,
                           .tower = tower,
                           .weights = nowhere,
                           .gradient = nowhere,
                           .n = n,
                           .rows = vision ? n * tower->tokens : offsets[n],
                           .offsets = vision ? NULL : offsets,
                           .config = &model->config,
                           .train = model->options.train};
    (void)(vision ? tic_vision_forward(&pass) : tic_text_forward(&pass));
    if (pass.train)
        (void)(vision ? tic_vision_backward(&pass, nowhere) : tic_text_backward(&pass, nowhere));
}

tic_status tic_walk_step(tic_ctx *ctx, tic_model *model, int tokens, tic_tally *tally,
                         tic_error *err) {
    tic_booking booking = {0};
    int32_t *offsets;
    tic_book_activations(&booking, model);
    const size_t bytes = booking.peak + tic_parameter_bytes(&model->layout, true);
    const int64_t n = model->options.micro_batch;
    TIC_TRY(tic_alloc(&offsets, (size_t)n + 1, sizeof *offsets, err));
    for (int64_t s = 0; s <= n; s++)
        offsets[s] = (int32_t)(s * tokens);
    void *space = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) {
        tic_free(offsets);
        return tic_fail(err, TIC_ERESOURCE, "no address space for %zu bytes", bytes);
    }
    booking = (tic_booking){.base = space};
    tic_book_activations(&booking, model);
    walk_tower(ctx, model, &model->vision, offsets, space, tally);
    walk_tower(ctx, model, &model->text, offsets, space, tally);
    munmap(space, bytes);
    tic_free(offsets);
    return TIC_OK;
}

static tic_status list_step(tic_model *model, tic_listing *listing, tic_error *err) {
    tic_tally tally = {.listing = listing};
    TIC_TRY(tic_walk_step(NULL, model, listing->tokens, &tally, err));
    if (model->options.train)
        list_loss(listing, model->options.batch, model->config.embed_dim);
    return listing->failed.status == TIC_OK
               ? TIC_OK
               : tic_fail(err, listing->failed.status, "%s", listing->failed.text);
}

tic_status tic_model_problems(tic_problems *out, const tic_config *config,
                              const tic_model_options *options, int tokens, tic_error *err) {
    tic_model *model = NULL;
    *out = (tic_problems){0};
    if (tokens < 1 || tokens > config->context_length)
        return tic_fail(err, TIC_EUSAGE, "captions of %d tokens; 1 to %d are possible", tokens,
                        config->context_length);
    tic_listing listing = {.out = out, .tokens = tokens};
    TIC_TRY(tic_alloc(&model, 1, sizeof *model, err));
    tic_status status = tic_model_shape(model, config, options, err);
    if (status == TIC_OK)
        status = list_step(model, &listing, err);
    tic_free(model);
    if (status != TIC_OK)
        tic_problems_free(out);
    return status;
}
