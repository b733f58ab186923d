/* Inside kernels/audit/ only: what counts the multiply-adds that a call really executed.
 *
 * A call is watched in one of two ways, both in the process that makes it:
 *   stepped   the trap flag is set in every thread, and a handler of SIGTRAP looks at each
 *             instruction before it is executed (trace.c);
 *   caught    breakpoints stand at the entries of the product micro-kernels and everything else
 *             runs at full speed. The first call with a set of arguments is stepped whole, and one
 *             with the same arguments is taken to execute the same (calls.c).
 * Which functions are product micro-kernels: kernels/room.h, TIC_PRODUCT. */
#ifndef TIC_AUDIT_ROOM_H
#define TIC_AUDIT_ROOM_H

#include "kernels/room.h"

#include <ucontext.h>

/* ---- functions of the process (symbols.c) ---------------------------------------------------- */

typedef enum tic_role {
    TIC_ELSEWHERE,
    TIC_ROLE_PRODUCT,     /* TIC_PRODUCT, or a library's */
    TIC_ROLE_PRODUCT_BF16 /* TIC_PRODUCT_BF16 */
} tic_role;

typedef struct tic_function {
    uint64_t begin, end; /* addresses */
    const char *name;    /* "tile" */
    const char *file;    /* of the source, where the symbol table says: "gemm_tile.c"; else "" */
    tic_role role;
} tic_function;

typedef struct tic_symbols {
    tic_function *list; /* by address */
    int count;
    void *objects; /* mapped files that names point into */
} tic_symbols;
/* Reads the symbol tables of the program and of the libraries it runs with. TIC_EINPUT when the
 * program was stripped: its product micro-kernels could not be named or delimited. */
tic_status tic_symbols_new(tic_symbols *out, tic_error *err);
void tic_symbols_free(tic_symbols *symbols);
/* Place in the list, -1: in none. Safe in a signal handler. */
int tic_symbols_find(const tic_symbols *symbols, uint64_t address);

/* ---- instructions (decode.c) ----------------------------------------------------------------- */

typedef enum tic_kind {
    TIC_OTHER,
    TIC_FMA,      /* any fused multiply-add */
    TIC_MULTIPLY, /* of floating point, not fused */
    TIC_ADD,      /* or subtract */
    TIC_DOT,      /* VDPBF16PS */
    TIC_TILE      /* TDPBF16PS and its kin */
} tic_kind;

typedef struct tic_site { /* one instruction of the program */
    uint64_t at;          /* 0: the place in the table is free */
    uint8_t kind, length;
    uint8_t relative; /* where in it a displacement from the instruction pointer stands; 0: none */
    bool branch;
    uint8_t lanes;              /* results, unless a mask leaves some out */
    uint8_t mask;               /* k register that leaves lanes out, 0: none */
    uint8_t tile[3];            /* TIC_TILE: destination, rows' operand, columns' operand */
    uint8_t per_dword;          /* TIC_TILE: multiply-adds a 32-bit element of the operands */
    bool writes;                /* to memory, at base + index * scale + displacement */
    uint8_t base, index, scale; /* places in gregs, NO_REGISTER: none */
    int64_t displacement;       /* absolute when relative to the instruction pointer */
    int function;               /* tic_symbols_find */
} tic_site;
enum { TIC_NO_REGISTER = 255 };

typedef struct tic_decoder tic_decoder;
tic_status tic_decoder_new(tic_decoder **out, const tic_symbols *symbols, tic_error *err);
void tic_decoder_free(tic_decoder *decoder); /* NULL is allowed */
/* What stands at the address; decoded once. NULL when it is no instruction or the table is full.
 * Safe in a signal handler of the thread that owns the decoder. */
const tic_site *tic_decoder_at(tic_decoder *decoder, uint64_t address);
/* Multiply-adds, multiplications or additions that the instruction is about to execute: lanes left
 * out by its mask do not count, tiles as the configuration in force says. */
uint64_t tic_site_work(const tic_site *site, const ucontext_t *context);
uint64_t tic_site_address(const tic_site *site, const ucontext_t *context);

/* Integer registers that carry arguments, and memory, as far as an instruction reads them; for the
 * guards of calls.c. */
typedef struct tic_reads {
    uint8_t read[6], written; /* bytes read of rdi rsi rdx rcx r8 r9; bit mask of those written */
    uint8_t memory;           /* bytes that an integer or compare instruction loads; 0: none */
    uint64_t address;
} tic_reads;
void tic_decoder_reads(const tic_decoder *decoder, const ucontext_t *context, tic_reads *out);

/* ---- stepping (trace.c) ---------------------------------------------------------------------- */

typedef struct tic_tally { /* lanes, of one function */
    uint64_t calls, fma, multiplied, added, dot, tile;
} tic_tally;
/* MACs of a product micro-kernel: kernels/room.h. */
uint64_t tic_tally_macs(const tic_tally *tally, tic_role role);

/* ---- what both ways share -------------------------------------------------------------------- */

typedef struct tic_stepper { /* of one thread */
    tic_trace *trace;
    tic_decoder *decoder;
    tic_tally *tally; /* [functions + 1]: the last is for addresses without a function */
    const tic_thread_counters *counters;
    uint64_t instructions;
    void *stack; /* that the handler runs on */
    bool on;     /* goes on stepping */
    bool lost;   /* met what cannot be decoded */
    bool told;   /* the instruction before stored to the counters */
    uint64_t told_then, worked_then;
    tic_parting parting;
} tic_stepper;

typedef struct tic_catcher tic_catcher;
struct tic_trace {
    tic_ctx *ctx;
    tic_symbols symbols;
    int *products, product_count; /* places of the product micro-kernels */
    tic_stepper *steppers;        /* [threads] */
    int *product_of;              /* and the other way round; -1: it is none */
    tic_catcher *catcher;         /* knows paths of calls from one caught call to the next */
};
/* Adds what the instruction is about to do. */
void tic_tally_add(tic_tally *tally, const tic_site *site, const ucontext_t *context);
void tic_trace_enter(tic_trace *trace); /* this thread's traps are handled, and how it ends */
void tic_trace_leave(void);
/* A trap while calls are caught: at a breakpoint, or of the trap flag. */
void tic_catcher_trap(tic_catcher *catcher, ucontext_t *context, bool breakpoint);
bool tic_catcher_on(const tic_catcher *catcher); /* NULL is allowed */
void tic_catcher_free(tic_catcher *catcher);     /* NULL is allowed */

#endif
