/* The text tower's front: token and position embeddings of packed captions that end at their EOT.
 * What OpenCLIP pads after EOT reaches neither outputs nor gradients (causal mask), so cutting it
 * off is exact. */
#include "room.h"

void tic_tower_text(tic_tower *tower, const tic_config *config, const tic_layout *layout,
                    tic_dtype type) {
    *tower = (tic_tower){
        .layers = config->text_layers,
        .width = config->text_width,
        .heads = config->text_heads,
        .mlp = config->text_mlp,
        .embed = config->embed_dim,
        .tokens = config->context_length,
        .causal = true,
        .act = config->quick_gelu ? TIC_ACT_QUICK_GELU : TIC_ACT_GELU,
        .type = type,
        .at = layout->text,
    };
}

static tic_embedding_args embedding(const tic_pass *pass) {
    const tic_tower *tower = pass->tower;
    return (tic_embedding_args){.sequences = pass->n,
                                .offsets = pass->offsets,
                                .ids = pass->ids,
                                .d = tower->width,
                                .vocab = pass->config->vocab_size,
                                .table = tic_at(pass->weights, tower->at.table),
                                .position = tic_at(pass->weights, tower->at.position),
                                .x = tower->acts[0].x};
}

tic_status tic_text_forward(const tic_pass *pass) {
    const tic_embedding_args args = embedding(pass);
    tic_pass_at(pass, TIC_AT_TEXT_EMBEDDING);
    TIC_TRY(tic_call_embedding(pass, &args, false));
    return tic_tower_forward(pass);
}

tic_status tic_text_backward(const tic_pass *pass, const float *d_features) {
    const tic_tower *tower = pass->tower;
    TIC_TRY(tic_tower_backward(pass, d_features));
    tic_pass_at(pass, TIC_AT_TEXT_EMBEDDING);
    tic_embedding_args args = embedding(pass);
    args.dx = tower->work.dx;
    args.dtable = tic_at(pass->gradient, tower->at.table);
    args.dposition = tic_at(pass->gradient, tower->at.position);
    return tic_call_embedding(pass, &args, true);
}

tic_status tic_check_captions(const tic_config *config, int64_t n, const int32_t *ids,
                              const int32_t *offsets, tic_error *err) {
    if (n > 0 && (!ids || !offsets || offsets[0] != 0))
        return tic_fail(err, TIC_EUSAGE, "captions: ids and offsets that rise from 0 are needed");
    for (int64_t s = 0; s < n; s++) {
        const int64_t length = (int64_t)offsets[s + 1] - offsets[s];
        if (length < 1 || length > config->context_length)
            return tic_fail(err, TIC_EUSAGE, "caption %lld has %lld tokens; 1 to %d are possible",
                            (long long)s, (long long)length, config->context_length);
    }
    return TIC_OK;
}
