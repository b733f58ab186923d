/* The chain machine -> family -> instruction sets -> portable, and every reason to refuse a plan.
 */
#include "autotune/room.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static tic_error err;
static const tic_ctx_options one_thread = {.threads = 1};
#define OK(call) cr_assert_eq(call, TIC_OK, "%s: %s", #call, err.text)

static void make_path(void) {
    snprintf(path, sizeof path, "choose-%d.txt", (int)getpid());
}
static void remove_path(void) {
    unlink(path);
}
TestSuite(choose, .init = make_path, .fini = remove_path);

/* ---- shipped -------------------------------------------------------------------------------- */

static const char *first_fit(const char *vendor, int family, int model, unsigned isa) {
    tic_cpu cpu = {.family = family, .model = model};
    snprintf(cpu.vendor, sizeof cpu.vendor, "%s", vendor);
    for (int i = 0; i < tic_shipped_count; i++)
        if (tic_shipped_fits(&tic_shipped_plans[i], &cpu, isa))
            return tic_shipped_plans[i].name;
    return "none";
}

Test(choose, families_before_instruction_sets_before_portable) {
    enum { AVX2 = TIC_ISA_AVX2, AVX512 = AVX2 | TIC_ISA_AVX512 };
    enum { BF16 = AVX512 | TIC_ISA_AVX512_BF16, AMX = BF16 | TIC_ISA_AMX_BF16 };
    cr_expect_str_eq(first_fit("AuthenticAMD", 25, 1, AVX2), "zen3");
    cr_expect_str_eq(first_fit("AuthenticAMD", 25, 17, BF16), "zen4");
    cr_expect_str_eq(first_fit("AuthenticAMD", 26, 2, BF16), "zen5");
    cr_expect_str_eq(first_fit("GenuineIntel", 6, 143, AMX), "sapphire-rapids-amx");
    /* the same CPUs, limited to less; others; none of these */
    cr_expect_str_eq(first_fit("AuthenticAMD", 25, 17, AVX512), "generic-avx512");
    cr_expect_str_eq(first_fit("GenuineIntel", 6, 143, BF16), "generic-avx512");
    cr_expect_str_eq(first_fit("AuthenticAMD", 27, 2, BF16), "generic-avx512");
    cr_expect_str_eq(first_fit("GenuineIntel", 6, 158, AVX2), "generic-avx2");
    cr_expect_str_eq(first_fit("AuthenticAMD", 25, 1, TIC_ISA_PORTABLE), "portable");
    cr_expect_str_eq(first_fit("CentaurHauls", 7, 91, TIC_ISA_PORTABLE), "portable");
}

Test(choose, shipped_plans_are_sound) {
    cr_assert_str_eq(tic_shipped_plans[tic_shipped_count - 1].name, "portable");
    for (int i = 0; i < tic_shipped_count; i++) {
        const tic_shipped *shipped = &tic_shipped_plans[i];
        tic_plan *plan = NULL;
        cr_expect_neq(shipped->origin[0], '\0', "%s", shipped->name);
        OK(tic_plan_new(&plan, &err));
        for (int l = 0; shipped->lines[l] != NULL; l++) {
            OK(tic_plan_add(plan, shipped->lines[l], &err));
            int v = 0;
            const char *name = strchr(shipped->lines[l], ' ') + 1;
            for (; v < tic_variant_count(); v++) {
                tic_variant_info info = tic_variant_get(v);
                size_t length = strlen(info.name), op = strlen(tic_op_name(info.op));
                if (strncmp(shipped->lines[l], tic_op_name(info.op), op) == 0 &&
                    shipped->lines[l][op] == '/' && strncmp(name, info.name, length) == 0 &&
                    (name[length] == ' ' || name[length] == '\0'))
                    break;
            }
            cr_assert(v < tic_variant_count());
            cr_expect_eq(tic_variant_get(v).isa & ~shipped->isa, 0, "%s: %s needs more than it has",
                         shipped->name, shipped->lines[l]);
        }
        tic_plan_free(plan);
    }
}

/* ---- this machine's -------------------------------------------------------------------------- */

static void save(const char *fingerprint, const char *line) {
    tic_plan *plan = NULL;
    OK(tic_plan_new(&plan, &err));
    OK(tic_plan_add(plan, line, &err));
    OK(tic_plan_save(plan, fingerprint, path, &err));
    tic_plan_free(plan);
}

static void own_fingerprint(char text[TIC_FINGERPRINT_TEXT]) {
    tic_ctx *ctx = NULL;
    OK(tic_ctx_new(&ctx, &one_thread, &err));
    tic_fingerprint(ctx, text);
    tic_ctx_free(ctx);
}

static bool has(const tic_plan *plan, const char *line) {
    for (int i = 0; i < tic_plan_lines(plan); i++)
        if (strncmp(tic_plan_line(plan, i), line, strlen(line)) == 0)
            return true;
    return false;
}

/* What stands at `path` is refused with the reason, and a plan that runs comes all the same. */
static void expect_refused(const char *reason) {
    tic_plan *plan = NULL;
    tic_ctx *ctx = NULL;
    tic_plan_source source;
    OK(tic_plan_choose(&plan, path, &one_thread, &source, &err));
    cr_expect_not_null(strstr(source.refused, reason), "wanted \"%s\" in \"%s\"", reason,
                       source.refused);
    cr_expect_not_null(strstr(source.refused, path), "%s", source.refused);
    cr_expect_eq(source.tuned, 0);
    cr_expect_not(has(plan, "gemm/f32/nn,m3,n2,k2 "));
    OK(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 1, .plan = plan}, &err));
    tic_ctx_free(ctx);
    tic_plan_free(plan);
}

Test(choose, own_lines_lie_over_the_shipped_ones) {
    char fingerprint[TIC_FINGERPRINT_TEXT];
    tic_plan *plan = NULL;
    tic_plan_source source;
    own_fingerprint(fingerprint);
    OK(tic_plan_choose(&plan, path, &one_thread, &source, &err));
    cr_expect_str_eq(source.refused, "", "a missing plan is nothing to tell");
    cr_expect_eq(source.tuned, 0);
    cr_expect_neq(source.shipped[0], '\0');
    int before = tic_plan_lines(plan);
    tic_plan_free(plan);
    save(fingerprint, "gemm/f32/nn,m3,n2,k2 portable kc=64");
    OK(tic_plan_choose(&plan, path, &one_thread, &source, &err));
    cr_expect_str_eq(source.refused, "");
    cr_expect_eq(source.tuned, 1);
    cr_expect(has(plan, "gemm/f32/nn,m3,n2,k2 portable kc=64"));
    cr_expect_eq(tic_plan_lines(plan), before + 1);
    tic_plan_free(plan);
}

Test(choose, another_machine_build_or_thread_count_is_told_apart) {
    char fingerprint[TIC_FINGERPRINT_TEXT], *at;
    static const char line[] = "gemm/f32/nn,m3,n2,k2 portable";
    own_fingerprint(fingerprint);
    at = strstr(fingerprint, "kernels=") + 8;
    *at = *at == '0' ? '1' : '0';
    save(fingerprint, line);
    expect_refused("another build of ticlip: kernels=");
    own_fingerprint(fingerprint);
    *strstr(fingerprint, "cc=") = 'C';
    save(fingerprint, line);
    expect_refused("another");
    own_fingerprint(fingerprint);
    *strstr(fingerprint, "threads=1") = 'T';
    save(fingerprint, line);
    expect_refused("another");
    save("AuthenticAMD/25/17/1 isa=avx512_bf16/7", line);
    expect_refused("another machine");
}

Test(choose, cut_altered_or_alien_text_is_refused) {
    char fingerprint[TIC_FINGERPRINT_TEXT], *bytes = NULL;
    size_t size = 0;
    own_fingerprint(fingerprint);
    save(fingerprint, "gemm/f32/nn,m3,n2,k2 portable kc=64");
    OK(tic_file_read(path, 1 << 20, &bytes, &size, &err));
    OK(tic_file_write(path, bytes, size / 2, &err));
    expect_refused("cut off");
    *strstr(bytes, "kc=64") = 'm';
    OK(tic_file_write(path, bytes, size, &err));
    expect_refused("altered");
    OK(tic_file_write(path, "not a plan\n", 11, &err));
    expect_refused("not a ticlip plan");
    tic_free(bytes);
}

/* A right fingerprint with a variant that a limited context may not run. */
Test(choose, what_cannot_run_here_is_refused) {
    tic_ctx *ctx = NULL;
    tic_plan *plan = NULL;
    tic_plan_source source;
    char fingerprint[TIC_FINGERPRINT_TEXT];
    const tic_ctx_options portable = {.threads = 1, .isa_limit = TIC_ISA_LIMIT_PORTABLE};
    OK(tic_ctx_new(&ctx, &portable, &err));
    tic_fingerprint(ctx, fingerprint);
    tic_ctx_free(ctx);
    save(fingerprint, "gemm/f32/any vector-avx2-6x16");
    OK(tic_plan_choose(&plan, path, &portable, &source, &err));
    cr_expect_not_null(strstr(source.refused, "AVX2"), "%s", source.refused);
    cr_expect_str_eq(source.shipped, "portable");
    tic_plan_free(plan);
}
