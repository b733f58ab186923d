/* Multiply-adds by formula.
 *
 * Nominal counts what the paper and OpenCLIP's profiles count: the patch convolution, in_proj, the
 * two products of attention over all pairs of tokens (causal or not), out_proj, the MLP, and the
 * projection of the pooled token; every block in full, every caption context_length tokens.
 *
 * Logical is measured by running a pass without memory (calls.c), so that it follows the calls that
 * a step makes, with captions cut at EOT and last blocks for the pooled token alone. */
#include "room.h"

/* ---- nominal --------------------------------------------------------------------------------- */

static uint64_t blocks(uint64_t layers, uint64_t tokens, uint64_t width, uint64_t mlp) {
    const uint64_t linear = 4 * width * width + 2 * width * mlp; /* a token */
    const uint64_t attention = 2 * tokens * tokens * width;
    return layers * (tokens * linear + attention);
}

uint64_t tic_nominal_image(const tic_config *c) {
    const uint64_t grid = (uint64_t)(c->image_size / c->patch_size), width = c->vision_width;
    const uint64_t conv1 = grid * grid * 3 * (uint64_t)c->patch_size * (uint64_t)c->patch_size;
    return conv1 * width + blocks(c->vision_layers, grid * grid + 1, width, c->vision_mlp) +
           width * (uint64_t)c->embed_dim;
}

uint64_t tic_nominal_text(const tic_config *c) {
    return blocks(c->text_layers, c->context_length, c->text_width, c->text_mlp) +
           (uint64_t)c->text_width * (uint64_t)c->embed_dim;
}

uint64_t tic_nominal_train(const tic_config *config) {
    return 3 * (tic_nominal_image(config) + tic_nominal_text(config));
}

/* ---- logical --------------------------------------------------------------------------------- */

static tic_tally tally_image(const tic_config *config, int64_t n, bool backward) {
    tic_layout layout;
    tic_tower tower;
    tic_tally tally = {0};
    tic_layout_of(config, &layout, NULL);
    tic_tower_vision(&tower, config, &layout, TIC_F32);
    const tic_pass pass = {.tally = &tally,
                           .tower = &tower,
                           .n = n,
                           .rows = n * tower.tokens,
                           .config = config,
                           .train = true};
    (void)(backward ? tic_vision_backward(&pass, NULL) : tic_vision_forward(&pass));
    return tally;
}

static tic_tally tally_text(const tic_config *config, int64_t n, const int32_t *offsets,
                            bool backward) {
    tic_layout layout;
    tic_tower tower;
    tic_tally tally = {0};
    tic_layout_of(config, &layout, NULL);
    tic_tower_text(&tower, config, &layout, TIC_F32);
    const tic_pass pass = {.tally = &tally,
                           .tower = &tower,
                           .n = n,
                           .rows = n > 0 ? offsets[n] - offsets[0] : 0,
                           .offsets = offsets,
                           .config = config,
                           .train = true};
    (void)(backward ? tic_text_backward(&pass, NULL) : tic_text_forward(&pass));
    return tally;
}

uint64_t tic_logical_image(const tic_config *config, int64_t n, bool backward) {
    return tally_image(config, n, backward).macs;
}

uint64_t tic_logical_text(const tic_config *config, int64_t n, const int32_t *offsets,
                          bool backward) {
    return tally_text(config, n, offsets, backward).macs;
}

void tic_logical_image_at(const tic_config *config, int64_t n, bool backward,
                          uint64_t at[TIC_SITES]) {
    const tic_tally tally = tally_image(config, n, backward);
    for (int site = 0; site < TIC_SITES; site++)
        at[site] += tally.at[site];
}

void tic_logical_text_at(const tic_config *config, int64_t n, const int32_t *offsets, bool backward,
                         uint64_t at[TIC_SITES]) {
    const tic_tally tally = tally_text(config, n, offsets, backward);
    for (int site = 0; site < TIC_SITES; site++)
        at[site] += tally.at[site];
}

uint64_t tic_logical_loss(const tic_config *config, int64_t b) {
    return tic_contrastive_macs(b, config->embed_dim, true);
}
