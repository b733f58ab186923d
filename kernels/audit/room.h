/* Inside kernels/audit/ only: what counts the multiply-adds that a call really executed.
 *
 * A call is watched in one of two ways, both in the process that makes it:
 *   stepped   block by block: code without a branch is executed from its first instruction to its
 *             last, so what it does is counted as it begins; a handler of SIGTRAP takes over at
 *             every branch (branches.c, blocks.c, trace.c). Only where that does not tell what a
 *             mask or the configuration of tiles was, instruction by instruction, with the trap
 *             flag.
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

/* ---- the program's code (code.c) ------------------------------------------------------------- */

enum { TIC_BREAKPOINT = 0xcc }; /* int3 */
/* TIC_ERESOURCE: the system lets nobody change a program. */
tic_status tic_code_writable(uint64_t at, size_t bytes, tic_error *err);
void tic_code_put(uint64_t at, unsigned char byte); /* every thread sees it */

/* ---- branches (branches.c) ------------------------------------------------------------------- */

enum { TIC_NO_REGISTER = 255, TIC_LONGEST = 15 /* bytes of an instruction */ };

typedef struct tic_place {      /* base + index * scale + displacement */
    uint8_t base, index, scale; /* places in gregs, TIC_NO_REGISTER: none */
    int64_t displacement;
} tic_place;
uint64_t tic_place_address(const tic_place *place, const ucontext_t *context);

typedef enum tic_branch_kind {
    TIC_JUMP,
    TIC_JUMP_IF,
    TIC_JUMP_IF_NONE, /* rcx is 0 */
    TIC_CALL,
    TIC_RETURN
} tic_branch_kind;

typedef struct tic_branch {
    uint64_t at; /* 0: the place in the table is free */
    uint8_t kind, condition, length;
    bool memory;   /* `to` is where the address of the target stands, else the target */
    bool planted;  /* a breakpoint stands there */
    uint16_t drop; /* bytes of arguments that a return drops */
    tic_place to;
    unsigned char code[TIC_LONGEST];
} tic_branch;

/* Of all threads; every function may be called by any, in a signal handler. */
typedef struct tic_branches tic_branches;
tic_status tic_branches_new(tic_branches **out, tic_error *err);
void tic_branches_free(tic_branches *branches); /* NULL is allowed */
const tic_branch *tic_branches_find(const tic_branches *branches, uint64_t at); /* NULL: unknown */
/* NULL: the table is full, or the system lets nobody change a program. */
const tic_branch *tic_branches_add(tic_branches *branches, const tic_branch *branch);
void tic_branches_plant(tic_branches *branches, const tic_branch *branch);
void tic_branches_lift(tic_branches *branches);          /* all breakpoints */
bool tic_branches_filling(const tic_branches *branches); /* half of the table is used */
void tic_branches_clear(tic_branches *branches);         /* with all blocks that end in them */
/* Does in the context what the branch would. */
void tic_branch_take(const tic_branch *branch, ucontext_t *context);

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
    uint8_t lanes;   /* results, unless a mask leaves some out */
    uint8_t each;    /* multiply-adds a lane; TIC_TILE: a 32-bit element of the operands */
    uint8_t mask;    /* k register that leaves lanes out, 0: none */
    uint8_t tile[3]; /* TIC_TILE: destination, rows' operand, columns' operand */
    int function;    /* tic_symbols_find */
} tic_site;

typedef struct tic_decoder tic_decoder;
tic_status tic_decoder_new(tic_decoder **out, const tic_symbols *symbols,
                           const tic_branches *branches, tic_error *err);
void tic_decoder_free(tic_decoder *decoder); /* NULL is allowed */
/* What stands at the address; decoded once. NULL when it is no instruction or the table is full.
 * Safe in a signal handler of the thread that owns the decoder. */
const tic_site *tic_decoder_at(tic_decoder *decoder, uint64_t address);
/* Multiply-adds, multiplications or additions that the instruction is about to execute: lanes left
 * out by its mask do not count, tiles as the configuration in force says. */
uint64_t tic_site_work(const tic_site *site, const ucontext_t *context);

/* Integer registers that carry arguments: their places in gregs. */
extern const uint8_t tic_arguments[6];
/* Those registers, and memory, as far as an instruction reads them; for the
 * guards of calls.c. */
typedef struct tic_reads {
    uint8_t read[6], written; /* bytes read of tic_arguments; bit mask of those written */
    uint8_t memory;           /* bytes that an integer or compare instruction loads; 0: none */
    uint64_t address;
} tic_reads;
/* Of the instruction that the context stands before. */
void tic_decoder_reads(const tic_decoder *decoder, const ucontext_t *context, tic_reads *out);

/* ---- MACs (tally.c) -------------------------------------------------------------------------- */

typedef struct tic_tally { /* multiply-adds, multiplications and additions of one function */
    uint64_t calls, fma, multiplied, added, dot, tile;
} tic_tally;
/* Adds what the instruction is about to do. */
void tic_tally_add(tic_tally *tally, const tic_site *site, const ucontext_t *context);
void tic_tally_sum(tic_tally *to, const tic_tally *more);
/* Adds what `times` such tallies of a function of the role are. misplaced_in is left alone. */
void tic_executed_add(tic_executed *out, const tic_tally *tally, tic_role role, uint64_t times);
uint64_t tic_tally_macs(const tic_tally *tally, tic_role role);

/* ---- blocks (blocks.c) ----------------------------------------------------------------------- */

/* Code from where a branch went to the next branch. What depends on registers is looked at as the
 * block begins or as it ends: whenever they hold what they held in between. */
typedef struct tic_block {
    uint64_t begin, end; /* 0: the place in the table is free; the end is the branch's address */
    const tic_branch *branch;    /* NULL: a breakpoint of the program's own */
    uint32_t instructions;       /* before the branch */
    bool masks_lost, loads_lost; /* a mask or tiles, a load's address: neither when it begins nor
                                    when it ends */
    uint8_t read[6], written;    /* as in tic_reads, of the branch too */
    int part, parts, site, sites, load, loads; /* in the pools of tic_blocks */
} tic_block;

enum { TIC_TERMS = 4 };
typedef struct tic_load {                 /* of an integer or one element, the branch's too */
    uint8_t bytes, terms, reg[TIC_TERMS]; /* places in gregs */
    bool at_end;
    int32_t times[TIC_TERMS];
    int64_t added;
} tic_load;
uint64_t tic_load_address(const tic_load *load, const ucontext_t *context);

typedef struct tic_blocks tic_blocks;
tic_status tic_blocks_new(tic_blocks **out, const tic_symbols *symbols, tic_branches *branches,
                          tic_error *err);
void tic_blocks_free(tic_blocks *blocks); /* NULL is allowed */
/* What begins there; decoded once. NULL as tic_decoder_at and tic_branches_add, or when it ends in
 * a branch that is not known to be taken. Safe in a signal handler of the thread that owns them. */
const tic_block *tic_blocks_at(tic_blocks *blocks, uint64_t address);
/* Adds what the block is about to do, when it begins, or what it did that could not be seen then,
 * when it ends. `of` gives the tally of a function (-1: none); NULL: its work is not asked for. */
typedef tic_tally *(*tic_tally_of)(void *user, int function);
void tic_block_count(const tic_blocks *blocks, const tic_block *block, bool at_end,
                     const ucontext_t *context, tic_tally_of of, void *user);
bool tic_blocks_filling(const tic_blocks *blocks);
void tic_blocks_clear(tic_blocks *blocks);
const tic_load *tic_block_loads(const tic_blocks *blocks, const tic_block *block);

/* ---- what both ways share -------------------------------------------------------------------- */

typedef struct tic_stepper { /* of one thread */
    tic_trace *trace;
    tic_decoder *decoder;
    tic_blocks *blocks;
    const tic_block *block; /* that it is in; NULL: none */
    uint64_t next;          /* where the next trap of the trap flag is due */
    tic_tally *tally;       /* [functions + 1]: the last is for addresses without a function */
    const tic_thread_counters *counters;
    uint64_t instructions;
    void *stack; /* that the handler runs on */
    bool on;     /* goes on stepping */
    bool lost;   /* met what cannot be followed */
    bool busy;   /* the handler runs */
    uint64_t told_then, worked_then;
    tic_parting parting;
} tic_stepper;

typedef struct tic_catcher tic_catcher;
struct tic_trace {
    tic_ctx *ctx;
    tic_symbols symbols;
    tic_branches *branches;
    int *products, product_count; /* places of the product micro-kernels */
    tic_stepper *steppers;        /* [threads] */
    int *product_of;              /* and the other way round; -1: it is none */
    tic_catcher *catcher;         /* knows paths of calls from one caught call to the next */
};
enum { TIC_TRAP_FLAG = 0x100 };
/* Forgets what was decoded when there is much of it. */
void tic_trace_tidy(tic_trace *trace);
void tic_trace_enter(tic_trace *trace); /* this thread's traps are handled, and how it ends */
void tic_trace_leave(void);
/* A trap while calls are caught: at a breakpoint, or of the trap flag. */
void tic_catcher_trap(tic_catcher *catcher, ucontext_t *context, bool breakpoint);
bool tic_catcher_on(const tic_catcher *catcher); /* NULL is allowed */
/* Entries of product micro-kernels (entries.c), by place in trace->products. */
tic_status tic_entries_prepare(const tic_trace *trace, tic_decoder *decoder, tic_error *err);
void tic_entries_plant(const tic_trace *trace); /* breakpoints at all of them */
void tic_entries_lift(const tic_trace *trace);
uint64_t tic_entry_copy(int product); /* goes on as the micro-kernel would behind its entry */
bool tic_entry_in_copies(uint64_t address);
void tic_catcher_free(tic_catcher *catcher); /* NULL is allowed */

#endif
