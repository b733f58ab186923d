/* Branches: where a breakpoint stands, and what it does there in the branch's stead.
 *
 * Code runs at full speed from one branch to the next, where a breakpoint (int3) hands it over to
 * the handler, which takes the branch itself: moves the instruction pointer, pushes or pops. So the
 * breakpoint can stay, whichever thread comes along, and no instruction is single-stepped: on a
 * virtual machine a trap of the trap flag leaves it and costs ten times as much as a breakpoint.
 *
 * The handler may call functions that have breakpoints, memcpy above all. What is marked INNERMOST
 * takes such a branch in the midst of the handler, so it calls nothing. */
#include "kernels/audit/room.h"

#include <string.h>

enum { BRANCHES = 1 << 15 };

#define INNERMOST __attribute__((no_sanitize("address", "undefined")))

struct tic_branches {
    int lock;
    int used, planted;
    uint32_t places[BRANCHES]; /* those that have breakpoints */
    tic_branch list[BRANCHES]; /* open addressing */
};

tic_status tic_branches_new(tic_branches **out, tic_error *err) {
    return tic_alloc(out, 1, sizeof **out, err);
}

void tic_branches_free(tic_branches *branches) {
    tic_free(branches);
}

/* ---- the table ------------------------------------------------------------------------------- */

INNERMOST static size_t place_of(uint64_t address) {
    return (size_t)(address * 0x9e3779b97f4a7c15u >> 49) % BRANCHES;
}

INNERMOST const tic_branch *tic_branches_find(const tic_branches *branches, uint64_t at) {
    for (size_t place = place_of(at);; place = (place + 1) % BRANCHES) {
        const uint64_t found = __atomic_load_n(&branches->list[place].at, __ATOMIC_ACQUIRE);
        if (found == at)
            return &branches->list[place];
        if (found == 0)
            return NULL;
    }
}

static void lock(tic_branches *branches) {
    while (__atomic_exchange_n(&branches->lock, 1, __ATOMIC_ACQUIRE) != 0)
        __builtin_ia32_pause();
}

static void unlock(tic_branches *branches) {
    __atomic_store_n(&branches->lock, 0, __ATOMIC_RELEASE);
}

static const tic_branch *add(tic_branches *branches, const tic_branch *branch) {
    const tic_branch *known = tic_branches_find(branches, branch->at);
    if (known != NULL)
        return known; /* another thread came first */
    if (branches->used == BRANCHES - 1 || tic_code_writable(branch->at, 1, NULL) != TIC_OK)
        return NULL;
    size_t place = place_of(branch->at);
    while (branches->list[place].at != 0)
        place = (place + 1) % BRANCHES;
    tic_branch *added = &branches->list[place];
    tic_branch nowhere = *branch; /* until all of it stands there */
    nowhere.at = 0;
    *added = nowhere;
    __atomic_store_n(&added->at, branch->at, __ATOMIC_RELEASE);
    branches->used++;
    return added;
}

const tic_branch *tic_branches_add(tic_branches *branches, const tic_branch *branch) {
    lock(branches);
    const tic_branch *added = add(branches, branch);
    unlock(branches);
    return added;
}

bool tic_branches_filling(const tic_branches *branches) {
    return branches->used > BRANCHES / 2;
}

void tic_branches_clear(tic_branches *branches) {
    tic_branches_lift(branches);
    memset(branches->list, 0, sizeof branches->list);
    branches->used = 0;
}

/* ---- breakpoints ----------------------------------------------------------------------------- */

void tic_branches_plant(tic_branches *branches, const tic_branch *branch) {
    tic_branch *b = &branches->list[branch - branches->list];
    if (__atomic_load_n(&b->planted, __ATOMIC_ACQUIRE))
        return;
    lock(branches);
    if (!b->planted) {
        branches->places[branches->planted++] = (uint32_t)(b - branches->list);
        tic_code_put(b->at, TIC_BREAKPOINT);
        __atomic_store_n(&b->planted, true, __ATOMIC_RELEASE);
    }
    unlock(branches);
}

void tic_branches_lift(tic_branches *branches) {
    lock(branches);
    for (int i = 0; i < branches->planted; i++) {
        tic_branch *b = &branches->list[branches->places[i]];
        tic_code_put(b->at, b->code[0]);
        b->planted = false;
    }
    branches->planted = 0;
    unlock(branches);
}

/* ---- taking a branch ------------------------------------------------------------------------- */

INNERMOST uint64_t tic_place_address(const tic_place *place, const ucontext_t *context) {
    const greg_t *regs = context->uc_mcontext.gregs;
    uint64_t at = (uint64_t)place->displacement;
    if (place->base != TIC_NO_REGISTER)
        at += (uint64_t)regs[place->base];
    if (place->index != TIC_NO_REGISTER)
        at += (uint64_t)regs[place->index] * place->scale;
    return at;
}

/* Conditions as opcodes number them; the lowest bit turns each into its opposite. */
INNERMOST static bool holds(unsigned condition, uint64_t flags) {
    enum { CARRY = 1, PARITY = 4, ZERO = 0x40, SIGN = 0x80, OVERFLOW = 0x800 };
    const bool less = !(flags & SIGN) != !(flags & OVERFLOW);
    bool is;
    switch (condition >> 1) {
    case 0:
        is = flags & OVERFLOW;
        break;
    case 1:
        is = flags & CARRY;
        break;
    case 2:
        is = flags & ZERO;
        break;
    case 3:
        is = flags & (CARRY | ZERO);
        break;
    case 4:
        is = flags & SIGN;
        break;
    case 5:
        is = flags & PARITY;
        break;
    case 6:
        is = less;
        break;
    default:
        is = less || flags & ZERO;
    }
    return is != (condition & 1);
}

INNERMOST static uint64_t word_at(uint64_t address) {
    return *(const volatile uint64_t *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

INNERMOST void tic_branch_take(const tic_branch *branch, ucontext_t *context) {
    greg_t *regs = context->uc_mcontext.gregs;
    const uint64_t next = branch->at + branch->length;
    uint64_t to = tic_place_address(&branch->to, context);
    if (branch->memory)
        to = word_at(to);
    switch (branch->kind) {
    case TIC_JUMP:
        break;
    case TIC_JUMP_IF:
        to = holds(branch->condition, (uint64_t)regs[REG_EFL]) ? to : next;
        break;
    case TIC_JUMP_IF_NONE:
        to = regs[REG_RCX] == 0 ? to : next;
        break;
    case TIC_CALL:
        regs[REG_RSP] -= 8;
        /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
        *(volatile uint64_t *)(uintptr_t)regs[REG_RSP] = next;
        break;
    default: /* TIC_RETURN */
        to = word_at((uint64_t)regs[REG_RSP]);
        regs[REG_RSP] += 8 + branch->drop;
    }
    regs[REG_RIP] = (greg_t)to;
}
