/* BLIS 0.9's sgemm micro-kernels, called through the context of a named architecture: BLIS's own
 * choice goes by the CPU's brand string and misses AVX-512 on some machines (its environment
 * variable aside). Nothing else in ticlip knows BLIS. */
#include "kernels/drive/gemm.h"

#include <blis.h>
#include <pthread.h>

typedef struct blis_kernel {
    cntx_t *cntx; /* NULL: the library has no such kernel */
    sgemm_ukr_ft run;
} blis_kernel;

static blis_kernel haswell, skx;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static blis_kernel find(arch_t arch, dim_t mr, dim_t nr) {
    cntx_t *cntx = bli_gks_lookup_nat_cntx(arch);
    if (cntx == NULL || bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_MR, cntx) != mr ||
        bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_MR, cntx) != mr ||
        bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_NR, cntx) != nr ||
        bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_NR, cntx) != nr)
        return (blis_kernel){0};
    void_fp run = bli_cntx_get_l3_nat_ukr_dt(BLIS_FLOAT, BLIS_GEMM_UKR, cntx);
    return (blis_kernel){cntx, (sgemm_ukr_ft)run};
}

static void find_all(void) {
    bli_init();
    haswell = find(BLIS_ARCH_HASWELL, 6, 16);
    skx = find(BLIS_ARCH_SKX, 32, 12);
}

static void call(const blis_kernel *kernel, dim_t m, dim_t n, dim_t k, const void *a, const void *b,
                 bool accumulate, float *c, inc_t rs, inc_t cs) {
    float alpha = 1, beta = accumulate ? 1 : 0;
    auxinfo_t aux = {0};
    bli_auxinfo_set_next_a((void *)(uintptr_t)a, &aux); /* prefetched, never written */
    bli_auxinfo_set_next_b((void *)(uintptr_t)b, &aux);
    kernel->run(m, n, k, &alpha, (float *)(uintptr_t)a, (float *)(uintptr_t)b, &beta, c, rs, cs,
                &aux, kernel->cntx);
}

/* 6 x 16, rows of C contiguous: as ours. */
static void haswell_tile(int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb,
                         bool add, float *c, int64_t ldc, const tic_gemm_ahead *ahead) {
    (void)lda, (void)ldb, (void)ahead; /* panels are 6 and 16 wide */
    call(&haswell, 6, 16, (dim_t)k, a, b, add, c, (inc_t)ldc, 1);
}

/* 32 x 12, columns of C contiguous: computes Cᵀ = BᵀAᵀ, so that our 12 x 32 tile is stored as the
 * kernel likes it; its a is our b (64-byte aligned, read up to 128 bytes past its end). */
static void skx_tile(int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, bool add,
                     float *c, int64_t ldc, const tic_gemm_ahead *ahead) {
    (void)lda, (void)ldb, (void)ahead; /* panels are 12 and 32 wide */
    call(&skx, 32, 12, (dim_t)k, b, a, add, c, 1, (inc_t)ldc);
}

const char *tic_gemm_blis_unavailable(const tic_variant *variant) {
    pthread_once(&once, find_all);
    const blis_kernel *kernel = variant->micro == &tic_gemm_blis_skx ? &skx : &haswell;
    return kernel->cntx == NULL ? "the BLIS library was built without this micro-kernel" : NULL;
}

const void *tic_gemm_blis_products(int i) {
    pthread_once(&once, find_all);
    const void *found[] = {(const void *)(uintptr_t)haswell.run, (const void *)(uintptr_t)skx.run};
    for (int k = 0; k < 2; k++)
        if (found[k] != NULL && i-- == 0)
            return found[k];
    return NULL;
}

static tic_gemm_run *const haswell_whole[] = {haswell_tile}, *const skx_whole[] = {skx_tile};

const tic_gemm_micro tic_gemm_blis_haswell = {
    .tile_m = 6,
    .tile_n = 16,
    .update = 6 * 16,
    .format = TIC_GEMM_FORMAT(TIC_PANEL_F32, 16, 1, avx2),
    .across = haswell_whole,
};

const tic_gemm_micro tic_gemm_blis_skx = {
    .tile_m = 12,
    .tile_n = 32,
    .update = 12 * 32,
    .format = TIC_GEMM_FORMAT(TIC_PANEL_F32, 32, 1, avx512),
    .across = skx_whole,
};
