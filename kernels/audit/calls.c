/* Catching calls: a breakpoint at the entry of every product micro-kernel, all else at full speed.
 *
 * The first call is stepped whole, and what its path was read from is kept: the argument registers
 * that it read before it wrote them, and what scalar loads found in its callers' frames (arguments
 * on the stack, structs passed by address). A later call that finds the same integers there (where
 * there was an address, any address) takes the same path, so it is counted without being stepped.
 * A micro-kernel that another one calls is a call of its own.
 * Memory elsewhere could decide too; but then sums would not be what the counters were told. */
#include "kernels/audit/room.h"

#include <stdint.h>
#include <string.h>

enum {
    FRAMES = 1 << 16, /* bytes of the callers' frames that may hold arguments */
    PATHS = 4096,
    LOADS = 40,
    DEPTH = 8 /* of product micro-kernels that call others */
};

typedef struct load { /* from the callers' frames */
    int32_t offset;   /* from the stack pointer at the entry */
    uint8_t bytes;
    uint64_t value;
} load;

typedef struct path { /* of a call, with what decided it */
    int product;      /* place in trace->products */
    uint8_t read[6];  /* bytes of each argument register */
    uint64_t argument[6];
    load loads[LOADS];
    int load_count;
    bool unlike_any;     /* more decided than can be kept */
    tic_tally any, bf16; /* of one call, in functions of either mark */
    uint64_t calls;
} path;

typedef struct followed { /* that is stepped */
    path *path;           /* NULL: known, stepped only because its caller is */
    uint64_t entry_stack, return_address, argument[6];
    uint8_t written; /* argument registers */
} followed;

struct tic_catcher {
    tic_trace *trace;
    path *paths;
    int path_count;
    uint64_t calls, instructions, most; /* that are stepped, and that may be */
    uint64_t logical;                   /* MACs of the whole; 0: not known */
    bool on, overflowed;
    followed stepped[DEPTH]; /* while one is: it, and what it called */
    int depth;
    const tic_block *block; /* that a stepped call is in; NULL: none */
    bool single;            /* its instructions are stepped one by one */
    uint64_t next;          /* where the next of their traps is due */
};

/* ---- guards ---------------------------------------------------------------------------------- */

static void argument_registers(const ucontext_t *context, uint64_t out[6]) {
    for (int i = 0; i < 6; i++)
        out[i] = (uint64_t)context->uc_mcontext.gregs[tic_arguments[i]];
}

/* The low bytes; addresses are all alike. */
static uint64_t meaning(uint64_t value, int bytes) {
    enum { AN_ADDRESS = 1 };
    if (bytes == 8 && value > UINT32_MAX && value < UINT64_C(1) << 47)
        return UINT64_C(0x8000000000000000) + AN_ADDRESS;
    return bytes >= 8 ? value : value & ((UINT64_C(1) << 8 * bytes) - 1);
}

static uint64_t loaded(uint64_t address, int bytes) {
    uint64_t value = 0;
    memcpy(&value, (const void *)(uintptr_t)address, (size_t)bytes);
    return meaning(value, bytes);
}

static bool takes(const path *p, int product, const uint64_t argument[6], uint64_t stack) {
    if (p->product != product || p->unlike_any)
        return false;
    for (int i = 0; i < 6; i++)
        if (meaning(argument[i], p->read[i]) != p->argument[i])
            return false;
    for (int i = 0; i < p->load_count; i++) {
        const load *l = &p->loads[i];
        if (loaded(stack + (uint64_t)(int64_t)l->offset, l->bytes) != l->value)
            return false;
    }
    return true;
}

static void guard_registers(followed *c, const uint8_t read[6], uint8_t written) {
    path *p = c->path;
    for (int i = 0; i < 6; i++)
        if (read[i] > p->read[i] && !(c->written & 1 << i)) {
            p->read[i] = read[i];
            p->argument[i] = meaning(c->argument[i], p->read[i]);
        }
    c->written |= written;
}

static void guard_load(followed *c, uint64_t address, uint8_t bytes) {
    path *p = c->path;
    const uint64_t offset = address - c->entry_stack;
    if (address < c->entry_stack + 8 || offset >= FRAMES)
        return;
    for (int i = 0; i < p->load_count; i++)
        if (p->loads[i].offset == (int32_t)offset && p->loads[i].bytes >= bytes)
            return;
    if (p->load_count == LOADS)
        p->unlike_any = true;
    else
        p->loads[p->load_count++] = (load){(int32_t)offset, bytes, loaded(address, bytes)};
}

/* ---- a call that is stepped ------------------------------------------------------------------ */

static tic_stepper *stepper(const tic_catcher *c) {
    return &c->trace->steppers[0];
}

/* The innermost call's tally for a function; NULL: its work is no MACs. */
static tic_tally *tally_of(void *user, int function) {
    const tic_catcher *c = user;
    path *p = c->stepped[c->depth - 1].path;
    const tic_role role = function < 0 ? TIC_ELSEWHERE : c->trace->symbols.list[function].role;
    if (role == TIC_ELSEWHERE)
        return NULL;
    return role == TIC_ROLE_PRODUCT ? &p->any : &p->bf16;
}

/* What the stepped calls do is not known, and no later call is taken to do the same. */
static void lose(tic_catcher *c) {
    stepper(c)->lost = true;
    for (int i = 0; i < c->depth; i++)
        if (c->stepped[i].path != NULL)
            c->stepped[i].path->unlike_any = true;
}

/* Adds the instruction that stands at `at`; the context's pointer is there or at its copy. */
static void follow(tic_catcher *c, uint64_t at, const ucontext_t *context) {
    followed *now = &c->stepped[c->depth - 1];
    tic_reads reads;
    if (now->path == NULL)
        return;
    const tic_site *site = tic_decoder_at(stepper(c)->decoder, at);
    if (site == NULL) {
        lose(c);
        return;
    }
    tic_tally *tally = site->kind != TIC_OTHER ? tally_of(c, site->function) : NULL;
    if (tally != NULL)
        tic_tally_add(tally, site, context);
    tic_decoder_reads(stepper(c)->decoder, context, &reads);
    guard_registers(now, reads.read, reads.written);
    if (reads.memory > 0)
        guard_load(now, reads.address, reads.memory);
}

/* Adds what the block is about to do, or, at its end, did. */
static void follow_block(tic_catcher *c, bool at_end, const ucontext_t *context) {
    const tic_blocks *blocks = stepper(c)->blocks;
    followed *now = &c->stepped[c->depth - 1];
    if (now->path == NULL)
        return;
    tic_block_count(blocks, c->block, at_end, context, tally_of, c);
    const tic_load *loads = tic_block_loads(blocks, c->block);
    for (int i = 0; i < c->block->loads; i++)
        if (loads[i].at_end == at_end)
            guard_load(now, tic_load_address(&loads[i], context), loads[i].bytes);
    if (at_end)
        guard_registers(now, c->block->read, c->block->written);
}

/* Adds an instruction of a block that is stepped one by one. Some virtual machines lose a trap now
 * and then: what was not seen is not guessed. */
static void follow_one(tic_catcher *c, uint64_t at, ucontext_t *context) {
    const tic_site *site = tic_decoder_at(stepper(c)->decoder, at);
    const bool again = site != NULL && site->kind == TIC_OTHER && at + site->length == c->next;
    if (site == NULL || (!again && at != c->next && at != c->block->begin))
        lose(c);
    else
        c->next = at + site->length;
    if (!again) /* a string instruction traps once a round */
        follow(c, at, context);
    context->uc_mcontext.gregs[REG_EFL] |= TIC_TRAP_FLAG;
}

static path *new_path(tic_catcher *c, int product) {
    path *p = &c->paths[c->path_count];
    if (c->path_count < PATHS - 1)
        c->path_count++;
    else
        c->overflowed = true;
    *p = (path){.product = product, .calls = 1};
    return p;
}

/* The path that this call takes, one call more; NULL: none that is known. */
static path *known_path(tic_catcher *c, int product, const uint64_t argument[6], uint64_t stack) {
    for (int i = 0; i < c->path_count; i++)
        if (takes(&c->paths[i], product, argument, stack)) {
            c->paths[i].calls++;
            return &c->paths[i];
        }
    return NULL;
}

static void begin_call(tic_catcher *c, path *p, uint64_t stack, const uint64_t argument[6]) {
    followed *now = &c->stepped[c->depth++];
    *now = (followed){.path = p, .entry_stack = stack};
    memcpy(&now->return_address, (const void *)(uintptr_t)stack, sizeof now->return_address);
    memcpy(now->argument, argument, sizeof now->argument);
}

/* ---- traps ----------------------------------------------------------------------------------- */

/* The product micro-kernel that begins there; -1: none does. */
static int product_at(const tic_catcher *c, uint64_t address) {
    const int place = tic_symbols_find(&c->trace->symbols, address);
    if (place < 0 || c->trace->symbols.list[place].begin != address)
        return -1;
    return c->trace->product_of[place];
}

static void sum_up(const tic_catcher *c, tic_executed *out) {
    *out = (tic_executed){.fma = 0};
    for (int i = 0; i < c->path_count; i++) {
        const path *p = &c->paths[i];
        tic_executed_add(out, &p->any, TIC_ROLE_PRODUCT, p->calls);
        tic_executed_add(out, &p->bf16, TIC_ROLE_PRODUCT_BF16, p->calls);
    }
    out->calls = c->calls;
    out->elementwise = 0; /* most of it is not seen */
}

/* Every call so far was unlike the others, and at their rate there would be too many instructions:
 * what is left need not be stepped to know it. Calls that begin to repeat only later are given up
 * too; a smaller problem is then taken. By what the shape needs, not by the counter that is
 * audited: one that tells too much must not make the size that shows it look too large. */
static bool too_large_foreseen(const tic_catcher *c) {
    tic_executed done;
    if (c->logical == 0 || c->instructions < c->most / 8 || c->instructions > c->most)
        return false;
    for (int i = 0; i < c->path_count; i++)
        if (c->paths[i].calls > 1)
            return false;
    sum_up(c, &done);
    const double share = (double)tic_executed_macs(&done) / (double)c->logical;
    return (double)c->instructions > share * (double)c->most;
}

static void caught(tic_catcher *c, int product, ucontext_t *context) {
    greg_t *regs = context->uc_mcontext.gregs;
    const uint64_t entry = (uint64_t)regs[REG_RIP] - 1, stack = (uint64_t)regs[REG_RSP];
    uint64_t argument[6];
    regs[REG_RIP] = (greg_t)tic_entry_copy(product);
    c->calls++;
    argument_registers(context, argument);
    path *known = known_path(c, product, argument, stack);
    if (known == NULL && c->depth == 0 && too_large_foreseen(c))
        c->instructions = c->most + 1;
    if (known == NULL && c->depth == 0 && c->instructions > c->most)
        return; /* it runs on, and how it ends says that it was not looked at */
    if ((known != NULL && c->depth == 0) || c->depth == DEPTH) {
        c->overflowed |= c->depth == DEPTH;
        return;
    }
    begin_call(c, known != NULL ? NULL : new_path(c, product), stack, argument);
    follow(c, entry, context);
    c->block = NULL;
    regs[REG_EFL] |= TIC_TRAP_FLAG; /* out of the copy */
}

/* Whether the innermost call that is stepped has come to its end. */
static bool returned(const tic_catcher *c, const ucontext_t *context) {
    const followed *now = &c->stepped[c->depth - 1];
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP] == now->return_address &&
           (uint64_t)context->uc_mcontext.gregs[REG_RSP] > now->entry_stack;
}

/* At the begin of a block of a stepped call. True: it is its branch alone. */
static bool arrive(tic_catcher *c, ucontext_t *context) {
    greg_t *regs = context->uc_mcontext.gregs;
    const uint64_t at = (uint64_t)regs[REG_RIP];
    c->block = NULL;
    while (c->depth > 0 && returned(c, context))
        c->depth--;
    if (c->depth == 0)
        tic_branches_lift(c->trace->branches);
    if (c->depth == 0 || product_at(c, at) >= 0) /* at an entry, its breakpoint follows */
        return false;
    c->block = tic_blocks_at(stepper(c)->blocks, at);
    if (c->block == NULL || c->block->branch == NULL || c->instructions > c->most) {
        lose(c);
        c->depth = 0;
        tic_branches_lift(c->trace->branches);
        return false;
    }
    c->instructions += c->block->instructions + 1;
    tic_branches_plant(c->trace->branches, c->block->branch);
    c->single = c->block->masks_lost || c->block->loads_lost;
    if (!c->single)
        follow_block(c, false, context);
    else if (c->block->instructions > 0)
        follow_one(c, at, context);
    return c->block->instructions == 0;
}

/* At the end of the block: on to the next that does more than branch. */
static void pass(tic_catcher *c, ucontext_t *context) {
    do {
        context->uc_mcontext.gregs[REG_RIP] = (greg_t)c->block->end;
        if (c->single) {
            if (c->block->instructions > 0 && c->block->end != c->next)
                lose(c);
            follow(c, c->block->end, context);
        } else {
            follow_block(c, true, context);
        }
        tic_branch_take(c->block->branch, context);
    } while (arrive(c, context));
}

static void go_on(tic_catcher *c, ucontext_t *context, uint64_t at) {
    greg_t *regs = context->uc_mcontext.gregs;
    if (c->block == NULL) {
        regs[REG_EFL] &= ~(greg_t)TIC_TRAP_FLAG;
        if (arrive(c, context))
            pass(c, context);
    } else if (at == c->block->end) {
        regs[REG_EFL] &= ~(greg_t)TIC_TRAP_FLAG;
        pass(c, context);
    } else {
        follow_one(c, at, context);
    }
}

void tic_catcher_trap(tic_catcher *c, ucontext_t *context, bool breakpoint) {
    greg_t *regs = context->uc_mcontext.gregs;
    const uint64_t at = (uint64_t)regs[REG_RIP] - breakpoint;
    const int product = breakpoint ? product_at(c, at) : -1;
    if (product >= 0)
        caught(c, product, context);
    else if (c->depth > 0 && !tic_entry_in_copies(at))
        go_on(c, context, at);
    else if (c->depth == 0)
        regs[REG_EFL] &= ~(greg_t)TIC_TRAP_FLAG;
}

/* ---- a call ---------------------------------------------------------------------------------- */

static tic_status make(tic_trace *trace, tic_error *err) {
    if (trace->catcher != NULL)
        return TIC_OK;
    TIC_TRY(tic_alloc(&trace->catcher, 1, sizeof *trace->catcher, err));
    trace->catcher->trace = trace;
    tic_status status = tic_alloc(&trace->catcher->paths, PATHS, sizeof(path), err);
    if (status == TIC_OK)
        status = tic_entries_prepare(trace, stepper(trace->catcher)->decoder, err);
    if (status != TIC_OK) {
        tic_catcher_free(trace->catcher);
        trace->catcher = NULL;
    }
    return status;
}

void tic_catcher_free(tic_catcher *c) {
    if (c != NULL)
        tic_free(c->paths);
    tic_free(c);
}

bool tic_catcher_on(const tic_catcher *c) {
    return c != NULL && c->on;
}

tic_status tic_trace_catch(tic_trace *trace, tic_traced_fn call, void *user, uint64_t most,
                           uint64_t logical, tic_executed *out, tic_error *err) {
    if (trace->ctx->threads != 1)
        return tic_fail(err, TIC_EUSAGE, "audit: calls are caught on one thread only");
    TIC_TRY(make(trace, err));
    tic_catcher *c = trace->catcher;
    tic_trace_tidy(trace);
    c->calls = c->instructions = 0;
    c->most = most > 0 ? most : UINT64_MAX;
    c->logical = logical;
    c->depth = 0;
    c->overflowed = trace->steppers[0].lost = false;
    if (c->path_count > PATHS / 2)
        c->path_count = 0;
    for (int i = 0; i < c->path_count; i++)
        c->paths[i].calls = 0; /* what they do is still known */
    tic_trace_enter(trace);
    tic_entries_plant(trace);
    c->on = true;
    tic_status status = call(user, err);
    c->on = false;
    tic_entries_lift(trace);
    tic_trace_leave();
    sum_up(c, out);
    if (status == TIC_OK && c->instructions > c->most)
        return tic_fail(err, TIC_ERESOURCE, "audit: more than %llu instructions to step",
                        (unsigned long long)most);
    if (status == TIC_OK && trace->steppers[0].lost)
        return tic_fail(err, TIC_EINTERNAL, "audit: a micro-kernel could not be followed");
    if (status == TIC_OK && c->overflowed)
        return tic_fail(err, TIC_ERESOURCE, "audit: calls with too many different arguments");
    return status;
}
