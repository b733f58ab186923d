/* The shapes that matter: those of a training step of the models that we care about. */
#include "kernels/drive/gemm.h"

#include <stdio.h>
#include <string.h>

/* Y[m,n] = X[m,k] Wᵀ, W [n,k], and its two gradients. */
#define FORWARD(tower, site, rows, out, in, ...)                                                   \
    {                                                                                              \
        .name = tower ", " site, .op = TIC_OP_GEMM, .trans = TIC_NT, .m = rows, .n = out, .k = in, \
        .bias = true, __VA_ARGS__                                                                  \
    }
#define GRAD_X(tower, site, rows, out, in, ...)                                                    \
    {                                                                                              \
        .name = tower ", " site " dX", .op = TIC_OP_GEMM, .trans = TIC_NN, .m = rows, .n = in,     \
        .k = out, __VA_ARGS__                                                                      \
    }
#define GRAD_W(tower, site, rows, out, in)                                                         \
    {                                                                                              \
        .name = tower ", " site " dW", .op = TIC_OP_GEMM, .trans = TIC_TN, .m = out, .n = in,      \
        .k = rows, .accumulate = true, .colsum = true                                              \
    }

/* The four linear layers of a block of width w over `rows` tokens (reference/openclip.md). */
#define TOWER(tower, rows, w)                                                                      \
    FORWARD(tower, "qkv", rows, 3 * (w), w),                                                       \
        FORWARD(tower, "projection", rows, w, w, .residual = true),                                \
        FORWARD(tower, "up", rows, 4 * (w), w, .act = TIC_ACT_GELU, .pre = true),                  \
        FORWARD(tower, "down", rows, w, 4 * (w), .residual = true),                                \
        GRAD_X(tower, "qkv", rows, 3 * (w), w), GRAD_X(tower, "projection", rows, w, w),           \
        GRAD_X(tower, "up", rows, 4 * (w), w),                                                     \
        GRAD_X(tower, "down", rows, w, 4 * (w), .act = TIC_ACT_GELU, .grad_pre = true),            \
        GRAD_W(tower, "qkv", rows, 3 * (w), w), GRAD_W(tower, "projection", rows, w, w),           \
        GRAD_W(tower, "up", rows, 4 * (w), w), GRAD_W(tower, "down", rows, w, 4 * (w))

#define ATTENTION(tower, site, which, sequences, tokens, w, ...)                                   \
    {                                                                                              \
        .name = tower ", " site, .op = which, .m = sequences, .length = tokens, .heads = (w) / 64, \
        .head_dim = 64, __VA_ARGS__                                                                \
    }
#define ROWS(tower, site, which, rows, w)                                                          \
    { .name = tower ", " site, .op = which, .m = rows, .n = w }

/* Batches: demo 128, ViT-S-32 64, ViT-B-32 32, ViT-B-16 16. Text towers see packed captions of 20
 * tokens on average (web), the demo's of 12. */
static const tic_problem problems[] = {
    TOWER("demo vision", 128 * 26, 128),
    TOWER("demo text", 128 * 12, 128),
    TOWER("ViT-S-32 vision", 64 * 50, 384),
    TOWER("ViT-S-32 text", 64 * 20, 384),
    TOWER("ViT-B-32 vision", 32 * 50, 768),
    TOWER("ViT-B-32 text", 32 * 20, 512),
    TOWER("ViT-B-16 vision", 16 * 197, 768),

    /* the first layer, and the last block's pooled rows */
    {.name = "demo vision, patches",
     .op = TIC_OP_GEMM,
     .trans = TIC_NT,
     .m = 128 * 25,
     .n = 128,
     .k = 192},
    {.name = "ViT-B-32 vision, patches",
     .op = TIC_OP_GEMM,
     .trans = TIC_NT,
     .m = 32 * 49,
     .n = 768,
     .k = 3072},
    FORWARD("ViT-B-32 vision", "pooled up", 32, 3072, 768, .act = TIC_ACT_GELU, .pre = true),
    GRAD_X("ViT-B-32 vision", "pooled down", 32, 768, 3072, .act = TIC_ACT_GELU, .grad_pre = true),
    GRAD_W("ViT-B-32 vision", "pooled up", 32, 3072, 768),
    {.name = "ViT-B-32 vision, features",
     .op = TIC_OP_GEMM,
     .trans = TIC_NN,
     .m = 32,
     .n = 512,
     .k = 768},

    ATTENTION("demo vision", "attention", TIC_OP_ATTENTION, 128, 26, 128),
    ATTENTION("demo text", "attention", TIC_OP_ATTENTION, 128, 12, 128, .causal = true),
    ATTENTION("ViT-B-32 vision", "attention", TIC_OP_ATTENTION, 32, 50, 768),
    ATTENTION("ViT-B-32 text", "attention", TIC_OP_ATTENTION, 32, 16, 512, .causal = true),
    ATTENTION("ViT-B-32 full text", "attention", TIC_OP_ATTENTION, 32, 77, 512, .causal = true),
    ATTENTION("ViT-B-16 vision", "attention", TIC_OP_ATTENTION, 16, 197, 768),
    ATTENTION("demo vision", "attention dQKV", TIC_OP_ATTENTION_BACKWARD, 128, 26, 128),
    ATTENTION("demo text", "attention dQKV", TIC_OP_ATTENTION_BACKWARD, 128, 12, 128,
              .causal = true),
    ATTENTION("ViT-B-32 vision", "attention dQKV", TIC_OP_ATTENTION_BACKWARD, 32, 50, 768),
    ATTENTION("ViT-B-32 text", "attention dQKV", TIC_OP_ATTENTION_BACKWARD, 32, 16, 512,
              .causal = true),
    ATTENTION("ViT-B-32 full text", "attention dQKV", TIC_OP_ATTENTION_BACKWARD, 32, 77, 512,
              .causal = true),
    ATTENTION("ViT-B-16 vision", "attention dQKV", TIC_OP_ATTENTION_BACKWARD, 16, 197, 768),

    ROWS("demo", "contrastive", TIC_OP_CONTRASTIVE, 128, 128),
    ROWS("ViT-B-32", "contrastive", TIC_OP_CONTRASTIVE, 1024, 512),
    ROWS("demo vision", "layernorm", TIC_OP_LAYERNORM, 128 * 26, 128),
    ROWS("ViT-B-32 vision", "layernorm", TIC_OP_LAYERNORM, 32 * 50, 768),
    ROWS("demo vision", "layernorm dX", TIC_OP_LAYERNORM_BACKWARD, 128 * 26, 128),
    ROWS("ViT-B-32 vision", "layernorm dX", TIC_OP_LAYERNORM_BACKWARD, 32 * 50, 768),
};

int tic_problem_count(void) {
    return sizeof problems / sizeof problems[0];
}

const tic_problem *tic_problem_get(int i) {
    return &problems[i];
}

void tic_problem_key(const tic_problem *problem, tic_dtype precision, char key[TIC_PROBLEM_KEY]) {
    static float present; /* a pointer that says "there is one"; never read */
    char shape[TIC_SHAPE_TEXT] = "any";
    if (problem->op == TIC_OP_GEMM) {
        tic_mat mat = tic_f32(&present, problem->n);
        tic_gemm_args args = {.trans = problem->trans,
                              .m = problem->m,
                              .n = problem->n,
                              .k = problem->k,
                              .act = problem->act,
                              .accumulate = problem->accumulate};
        args.bias = problem->bias ? &present : NULL;
        args.residual = problem->residual ? &present : NULL;
        args.colsum = problem->colsum ? &present : NULL;
        args.pre = problem->pre ? mat : args.pre;
        args.grad_pre = problem->grad_pre ? mat : args.grad_pre;
        args.a.type = problem->a;
        args.b.type = problem->b;
        args.c.type = problem->c;
        tic_gemm_shape(&args, shape);
    }
    snprintf(key, TIC_PROBLEM_KEY, "%s/%s/%s", tic_op_name(problem->op), tic_dtype_name(precision),
             shape);
}

const char *tic_key_shape(const char *key) {
    return strchr(strchr(key, '/') + 1, '/') + 1;
}
