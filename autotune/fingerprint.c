/* The line that says which machine and build a plan belongs to, and where its plan is kept. */
#include "autotune/room.h"
#include "kernels_hash.h"

#include <stdio.h>
#include <string.h>

void tic_fingerprint(const tic_ctx *ctx, char text[TIC_FINGERPRINT_TEXT]) {
    const tic_cpu *cpu = tic_cpu_get();
    const unsigned isa = tic_ctx_isa(ctx);
    snprintf(text, TIC_FINGERPRINT_TEXT,
             "%s/%d/%d/%d isa=%s/%x l1d=%zu l2=%zu l3=%zu threads=%d kernels=%s cc=%d.%d%s",
             cpu->vendor, cpu->family, cpu->model, cpu->stepping, tic_isa_name(isa), isa, cpu->l1d,
             cpu->l2, cpu->l3, tic_ctx_threads(ctx), TIC_KERNELS_HASH,
#ifdef __clang__
             __clang_major__, __clang_minor__, "clang"
#else
             __GNUC__, __GNUC_MINOR__, "gcc"
#endif
    );
}

tic_status tic_plan_path(char *out, size_t size, const char *folder, const tic_ctx *ctx,
                         tic_error *err) {
    char name[96];
    const tic_cpu *cpu = tic_cpu_get();
    snprintf(name, sizeof name, "plan-%s-%d-%d-%d-%dt.txt", cpu->vendor, cpu->family, cpu->model,
             cpu->stepping, tic_ctx_threads(ctx));
    return tic_path_join(out, size, folder, name, err);
}

/* ---- whose is it ---------------------------------------------------------------------------- */

/* The next word of *rest; its length, 0 at the end. */
static size_t word(const char **rest) {
    *rest += strspn(*rest, " ");
    return strcspn(*rest, " ");
}

const char *tic_fingerprint_differs(const char *theirs, const char *ours,
                                    char text[TIC_FINGERPRINT_TEXT]) {
    for (;;) {
        size_t a = word(&theirs), b = word(&ours);
        if (a == 0 && b == 0)
            return NULL;
        if (a != b || memcmp(theirs, ours, a) != 0) {
            const bool build =
                strncmp(theirs, "kernels=", 8) == 0 || strncmp(theirs, "cc=", 3) == 0;
            snprintf(text, TIC_FINGERPRINT_TEXT, "%.*s, here %.*s", (int)a, theirs, (int)b, ours);
            return build                                 ? "made by another build of ticlip"
                   : strncmp(theirs, "threads=", 8) == 0 ? "made for another number of threads"
                                                         : "made on another machine";
        }
        theirs += a;
        ours += b;
    }
}
