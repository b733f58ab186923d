/* The CPU as this process sees it, against the kernel's own view. */
#include "check.h"

#include <sched.h>
#include <stdio.h>

/* Whether the kernel lists a flag: it does so only when the OS supports it, too. */
static bool kernel_lists(const char *flag) {
    char line[8192], padded[40];
    bool found = false;
    FILE *f = fopen("/proc/cpuinfo", "r");
    cr_assert(f != NULL);
    snprintf(padded, sizeof padded, " %s ", flag);
    while (fgets(line, sizeof line, f) != NULL && !found) {
        line[strcspn(line, "\n")] = ' ';
        found = strncmp(line, "flags", 5) == 0 && strstr(line, padded) != NULL;
    }
    fclose(f);
    return found;
}

Test(cpu, isa_agrees_with_the_kernel) {
    unsigned isa = tic_cpu_get()->isa;
    bool avx2 =
        kernel_lists("avx2") && kernel_lists("fma") && kernel_lists("f16c") && kernel_lists("bmi2");
    bool avx512 = avx2 && kernel_lists("avx512f") && kernel_lists("avx512bw") &&
                  kernel_lists("avx512dq") && kernel_lists("avx512vl");
    cr_assert(((isa & TIC_ISA_AVX2) != 0) == avx2);
    cr_assert(((isa & TIC_ISA_AVX512) != 0) == avx512);
    cr_assert(((isa & TIC_ISA_AVX512_BF16) != 0) == (avx512 && kernel_lists("avx512_bf16")));
    cr_assert(!(isa & TIC_ISA_AMX_BF16) || kernel_lists("amx_bf16"));
}

Test(cpu, names_and_caches) {
    const tic_cpu *cpu = tic_cpu_get();
    cpu_set_t set;
    cr_assert(cpu == tic_cpu_get());
    cr_assert(strlen(cpu->vendor) == 12 && cpu->family > 0);
    cr_assert(sched_getaffinity(0, sizeof set, &set) == 0 && cpu->cores == CPU_COUNT(&set));
    cr_assert(cpu->l1d == 0 || (cpu->l1d >= 16 << 10 && cpu->l1d <= 1 << 20));
    cr_assert(cpu->l2 == 0 || cpu->l2 >= cpu->l1d);
}

Test(cpu, tier_names) {
    cr_assert_str_eq(tic_isa_name(TIC_ISA_PORTABLE), "portable");
    cr_assert_str_eq(tic_isa_name(TIC_ISA_AVX2), "avx2");
    cr_assert_str_eq(tic_isa_name(TIC_ISA_AVX2 | TIC_ISA_AVX512), "avx512");
    cr_assert_str_eq(tic_isa_name(7), "avx512_bf16");
    cr_assert_str_eq(tic_isa_name(15), "amx_bf16");
}

/* A limit admits its tier and all below, never one above; and never what the CPU lacks. */
Test(cpu, contexts_respect_the_limit) {
    static const struct {
        unsigned limit, mask;
    } cases[] = {{TIC_ISA_LIMIT_PORTABLE, 0},
                 {TIC_ISA_AVX2, 1},
                 {TIC_ISA_AVX512, 3},
                 {TIC_ISA_AVX512_BF16, 7},
                 {0, 15}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        tic_ctx *ctx;
        tic_ctx_options options = {.threads = 1, .isa_limit = cases[c].limit};
        CHECK_OK(tic_ctx_new(&ctx, &options, err));
        cr_assert(tic_ctx_isa(ctx) == (tic_cpu_get()->isa & cases[c].mask));
        tic_ctx_free(ctx);
    }
}

/* Criterion runs each test in a process of its own. */
Test(cpu, a_limit_holds_for_the_process) {
    const unsigned all = tic_cpu_get()->isa;
    tic_cpu_limit(TIC_ISA_AVX2);
    cr_assert(tic_cpu_get()->isa == (all & TIC_ISA_AVX2));
    tic_cpu_limit(TIC_ISA_PORTABLE);
    cr_assert(tic_cpu_get()->isa == TIC_ISA_PORTABLE);
    tic_ctx *ctx;
    tic_error err;
    cr_assert(tic_ctx_new(&ctx, NULL, &err) == TIC_OK && tic_ctx_isa(ctx) == TIC_ISA_PORTABLE);
    tic_ctx_free(ctx);
}
