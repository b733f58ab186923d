/* Breakpoints at the entries of product micro-kernels. The instructions that they stand on are
 * executed as copies, so that the breakpoints can stay. */
#include "kernels/audit/room.h"

#include <string.h>

enum {
    COPY = 32, /* bytes: an instruction and a jump behind it */
    COPIES = 2048
};

/* The first instructions of the micro-kernels, and jumps to the seconds: in the program's own
 * memory, so that displacements from the instruction pointer reach. */
static unsigned char copies[COPIES][COPY] __attribute__((aligned(4096)));
static unsigned char first[COPIES]; /* the byte that stood where the breakpoint is */

uint64_t tic_entry_copy(int product) {
    return (uintptr_t)copies[product];
}

bool tic_entry_in_copies(uint64_t address) {
    return address >= (uintptr_t)copies && address < (uintptr_t)copies + sizeof copies;
}

static const tic_function *function_of(const tic_trace *trace, int product) {
    return &trace->symbols.list[trace->products[product]];
}

/* Copies the first instruction with a jump to the second: jmp [rip + 0] and an address. */
static tic_status copy_first(const tic_trace *trace, tic_decoder *decoder, int product,
                             tic_error *err) {
    static const unsigned char jump[6] = {0xff, 0x25};
    const tic_function *f = function_of(trace, product);
    const tic_site *site = tic_decoder_at(decoder, f->begin);
    if (site == NULL || site->branch)
        return tic_fail(err, TIC_EINTERNAL, "audit: %s begins with a branch", f->name);
    unsigned char *copy = copies[product];
    const uint64_t second = f->begin + site->length;
    memcpy(copy, (const void *)(uintptr_t)f->begin, site->length);
    memcpy(copy + site->length, jump, sizeof jump);
    memcpy(copy + site->length + sizeof jump, &second, sizeof second);
    if (site->relative != 0) {
        int32_t displacement;
        memcpy(&displacement, copy + site->relative, sizeof displacement);
        displacement += (int32_t)((int64_t)f->begin - (int64_t)(uintptr_t)copy);
        memcpy(copy + site->relative, &displacement, sizeof displacement);
    }
    return TIC_OK;
}

tic_status tic_entries_prepare(const tic_trace *trace, tic_decoder *decoder, tic_error *err) {
    if (trace->product_count > COPIES)
        return tic_fail(err, TIC_EINTERNAL, "audit: %d product micro-kernels are too many",
                        trace->product_count);
    TIC_TRY(tic_code_writable((uintptr_t)copies, sizeof copies, err));
    for (int i = 0; i < trace->product_count; i++) {
        const uint64_t entry = function_of(trace, i)->begin;
        TIC_TRY(copy_first(trace, decoder, i, err));
        TIC_TRY(tic_code_writable(entry, 1, err));
        first[i] = *(const unsigned char *)(uintptr_t)entry; /* NOLINT */
    }
    return TIC_OK;
}

void tic_entries_plant(const tic_trace *trace) {
    for (int i = 0; i < trace->product_count; i++)
        tic_code_put(function_of(trace, i)->begin, TIC_BREAKPOINT);
}

void tic_entries_lift(const tic_trace *trace) {
    for (int i = 0; i < trace->product_count; i++)
        tic_code_put(function_of(trace, i)->begin, first[i]);
}
