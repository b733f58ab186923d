/* What a call has to do at least: its multiply-adds, and the bytes of every operand once. */
#include "kernels/room.h"

static tic_demand gemm_demand(const tic_gemm_args *a) {
    const uint64_t m = (uint64_t)a->m, n = (uint64_t)a->n, k = (uint64_t)a->k;
    tic_demand demand = {.macs = m * n * k, .precision = a->precision};
    demand.bytes = m * k * tic_dtype_size(a->a.type) + k * n * tic_dtype_size(a->b.type);
    demand.bytes += m * n * tic_dtype_size(a->c.type) * (a->accumulate ? 2 : 1);
    if (a->pre.data != NULL)
        demand.bytes += m * n * tic_dtype_size(a->pre.type);
    if (a->grad_pre.data != NULL)
        demand.bytes += m * n * tic_dtype_size(a->grad_pre.type);
    if (a->residual != NULL)
        demand.bytes += m * n * sizeof(float);
    return demand;
}

/* Forward reads q, k, v and writes o; backward reads q, k, v, o, do and writes dq, dk, dv. */
static tic_demand attention_demand(const tic_attention_args *a, bool backward) {
    const uint64_t queries = (uint64_t)a->q_offsets[a->sequences];
    const uint64_t keys = (uint64_t)a->kv_offsets[a->sequences];
    const uint64_t row = (uint64_t)a->heads * (uint64_t)a->head_dim * tic_dtype_size(a->q.type);
    const uint64_t lse = a->lse != NULL ? queries * (uint64_t)a->heads * sizeof(float) : 0;
    const uint64_t rows = backward ? 4 * (queries + keys) : 2 * (queries + keys);
    return (tic_demand){tic_attention_macs(a, backward), rows * row + lse, a->q.type};
}

static uint64_t features_bytes(int64_t b, int64_t d) { /* of pictures and texts */
    return 2 * (uint64_t)b * (uint64_t)d * sizeof(float);
}

static tic_demand contrastive_demand(const tic_contrastive_args *a) {
    const bool gradients = a->d_image != NULL;
    return (tic_demand){tic_contrastive_macs(a->b, a->d, gradients),
                        features_bytes(a->b, a->d) * (gradients ? 2 : 1), a->precision};
}

static tic_demand distill_demand(const tic_distill_args *a) {
    const bool gradients = a->d_image != NULL;
    return (tic_demand){tic_distill_macs(a->b, a->d, a->teacher_d, gradients),
                        features_bytes(a->b, a->d) * (gradients ? 2 : 1) +
                            features_bytes(a->b, a->teacher_d),
                        a->precision};
}

static tic_demand layernorm_demand(const tic_layernorm_args *a, bool backward) {
    const uint64_t elements = (uint64_t)a->rows * (uint64_t)a->d;
    const size_t f32 = sizeof(float);
    if (!backward)
        return (tic_demand){0, elements * (f32 + tic_dtype_size(a->y.type)), a->y.type};
    return (tic_demand){0, elements * (tic_dtype_size(a->dy.type) + f32 * (a->add_dx ? 3 : 2)),
                        a->dy.type};
}

static tic_demand patchify_demand(const tic_patchify_args *a) {
    const uint64_t values = (uint64_t)a->n * (uint64_t)a->size * (uint64_t)a->size * 3;
    return (tic_demand){0, values * (1 + tic_dtype_size(a->out.type)), a->out.type};
}

/* Each row reads what it is the sum of and is written; backward reads it, and reads and writes the
 * rows of the tables that it is added to. */
static tic_demand embedding_demand(const tic_embedding_args *a, bool backward) {
    const uint64_t rows = (uint64_t)a->offsets[a->sequences];
    const uint64_t elements = rows * (uint64_t)a->d, f32 = sizeof(float);
    if (!backward)
        return (tic_demand){0, 3 * elements * f32, TIC_F32};
    if (a->ids != NULL)
        return (tic_demand){0, 5 * elements * f32, TIC_F32};
    return (tic_demand){0, elements * (3 * f32 + tic_dtype_size(a->dpatches.type)), TIC_F32};
}

static tic_demand l2norm_demand(const tic_l2norm_args *a, bool backward) {
    return (tic_demand){0, (uint64_t)a->rows * (uint64_t)a->d * sizeof(float) * (backward ? 3 : 2),
                        TIC_F32};
}

/* Reads w, g, m, v; writes w, m, v, and g when it is set to zero. Rows that only catch up have no
 * g. */
static tic_demand adamw_demand(const tic_adamw_args *a) {
    const tic_adamw_rows *rows = a->rows;
    const int64_t elements = rows != NULL ? rows->count * rows->cols : a->n;
    const bool late = rows != NULL && a->g == NULL;
    const uint64_t arrays = late ? 6 : a->zero_grad ? 8 : 7;
    return (tic_demand){0, (uint64_t)elements * sizeof(float) * arrays, TIC_F32};
}

tic_demand tic_demand_of(tic_op op, const void *args) {
    switch (op) {
    case TIC_OP_GEMM:
        return gemm_demand(args);
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        return attention_demand(args, op == TIC_OP_ATTENTION_BACKWARD);
    case TIC_OP_CONTRASTIVE:
        return contrastive_demand(args);
    case TIC_OP_DISTILL:
        return distill_demand(args);
    case TIC_OP_LAYERNORM:
    case TIC_OP_LAYERNORM_BACKWARD:
        return layernorm_demand(args, op == TIC_OP_LAYERNORM_BACKWARD);
    case TIC_OP_PATCHIFY:
        return patchify_demand(args);
    case TIC_OP_EMBEDDING:
    case TIC_OP_EMBEDDING_BACKWARD:
        return embedding_demand(args, op == TIC_OP_EMBEDDING_BACKWARD);
    case TIC_OP_L2NORM:
    case TIC_OP_L2NORM_BACKWARD:
        return l2norm_demand(args, op == TIC_OP_L2NORM_BACKWARD);
    case TIC_OP_ADAMW:
        return adamw_demand(args);
    case TIC_OP_COUNT:
        break;
    }
    return (tic_demand){0};
}
