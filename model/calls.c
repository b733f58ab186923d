/* One call of a kernel, or, when a pass only measures, what the call would need: logical MACs as
 * the kernels count them, and scratch. */
#include "room.h"

static void tally_macs(const tic_pass *pass, uint64_t macs) {
    pass->tally->macs += macs;
    pass->tally->at[pass->tally->site] += macs;
}

static void tally_scratch(const tic_pass *pass, size_t bytes) {
    if (bytes > pass->tally->scratch)
        pass->tally->scratch = bytes;
}

tic_status tic_call_gemm(const tic_pass *pass, const tic_gemm_args *args) {
    if (!pass->tally)
        return tic_gemm(pass->ctx, args, pass->err);
    if (pass->tally->listing)
        tic_list_gemm(pass, args);
    tally_macs(pass, (uint64_t)args->m * (uint64_t)args->n * (uint64_t)args->k);
    if (pass->ctx)
        tally_scratch(pass, tic_gemm_scratch(pass->ctx, args));
    return TIC_OK;
}

tic_status tic_call_weight(const tic_pass *pass, const tic_gemm_args *args, int64_t at) {
    if (pass->tally && pass->tally->packings)
        tic_list_packing(pass, args, at);
    tic_gemm_args packed = *args;
    packed.packed_b = tic_packing_of(pass, at, args->trans);
    return tic_call_gemm(pass, &packed);
}

uint64_t tic_attention_pairs(int64_t q, int64_t kv, bool causal) {
    if (!causal)
        return (uint64_t)(q * kv);
    return (uint64_t)(q * (kv - q) + q * (q + 1) / 2); /* query i sees i + 1 + kv - q keys */
}

tic_status tic_call_attention(const tic_pass *pass, const tic_attention_args *args, bool pooled,
                              bool backward) {
    if (!pass->tally)
        return backward ? tic_attention_backward(pass->ctx, args, pass->err)
                        : tic_attention(pass->ctx, args, pass->err);
    if (pass->tally->listing)
        tic_list_attention(pass, args, pooled, backward);
    const int64_t tokens = pass->tower->tokens;
    uint64_t pairs = 0;
    for (int64_t s = 0; s < args->sequences; s++) {
        int64_t kv = pass->offsets ? pass->offsets[s + 1] - pass->offsets[s] : tokens;
        pairs += tic_attention_pairs(pooled ? 1 : kv, kv, args->causal);
    }
    /* forward: Q Kᵀ, P V; backward: dV, dP, dQ, dK (Q Kᵀ once more is issued, not needed) */
    const uint64_t products = backward ? 4 : 2;
    tally_macs(pass, products * pairs * (uint64_t)args->heads * (uint64_t)args->head_dim);
    if (pass->ctx)
        tally_scratch(pass, tic_attention_scratch(pass->ctx, tokens, tokens, args->head_dim));
    return TIC_OK;
}

tic_status tic_call_norm(const tic_pass *pass, const tic_layernorm_args *args, bool backward) {
    if (!pass->tally)
        return backward ? tic_layernorm_backward(pass->ctx, args, pass->err)
                        : tic_layernorm(pass->ctx, args, pass->err);
    if (pass->tally->listing)
        tic_list_norm(pass, args, backward);
    if (pass->ctx)
        tally_scratch(pass, tic_layernorm_scratch(pass->ctx, args->rows, args->d));
    return TIC_OK;
}

tic_status tic_call_embedding(const tic_pass *pass, const tic_embedding_args *args, bool backward) {
    if (pass->tally)
        return TIC_OK;
    return backward ? tic_embedding_backward(pass->ctx, args, pass->err)
                    : tic_embedding(pass->ctx, args, pass->err);
}

tic_status tic_call_patchify(const tic_pass *pass, const tic_patchify_args *args) {
    return pass->tally ? TIC_OK : tic_patchify(pass->ctx, args, pass->err);
}

tic_status tic_call_l2norm(const tic_pass *pass, const tic_l2norm_args *args, bool backward) {
    if (pass->tally)
        return TIC_OK;
    return backward ? tic_l2norm_backward(pass->ctx, args, pass->err)
                    : tic_l2norm(pass->ctx, args, pass->err);
}
