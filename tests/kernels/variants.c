/* Lists every variant of every operation: whether it runs on this machine, or why not. What runs
 * here is what the other tests ran, because they walk the registry with this same check; this one
 * stands last in the suite, and by hand is <build>/tests/kernels/test_kernels_variants. Fails when
 * an operation could not be tested at all: no reference, nothing beside it, or a refusal without a
 * reason. */
#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

typedef struct tally {
    int run, all;
    bool complete;
} tally;

static void list(tic_ctx *ctx, tic_op op, tally *sum) {
    int others = 0;
    bool reference = false;
    for (int v = 0; v < tic_variant_count(); v++) {
        const tic_variant_info info = tic_variant_get(v);
        tic_error err = {.text = ""};
        if (info.op != op)
            continue;
        const bool runs = tic_ctx_force(ctx, op, info.name, &err) == TIC_OK;
        const bool is_reference = strcmp(info.name, "ref") == 0;
        reference |= runs && is_reference;
        others += runs && !is_reference;
        sum->all++;
        sum->run += runs;
        sum->complete &= runs || err.text[0] != '\0';
        printf("%-19s %-19s %s\n", tic_op_name(op), info.name, runs ? "runs here" : err.text);
    }
    sum->complete &= reference && others > 0;
}

int main(void) {
    tic_ctx *ctx = NULL;
    tic_error err;
    tally sum = {.complete = true};
    if (tic_ctx_new(&ctx, NULL, &err) != TIC_OK) {
        printf("%s\n", err.text);
        return 1;
    }
    for (int op = 0; op < TIC_OP_COUNT; op++)
        list(ctx, (tic_op)op, &sum);
    printf("%d of %d kernel variants run here (%s) and are what the tests ran\n", sum.run, sum.all,
           tic_isa_name(tic_ctx_isa(ctx)));
    tic_ctx_free(ctx);
    return sum.complete ? 0 : 1;
}
