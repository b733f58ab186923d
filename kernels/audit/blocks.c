/* Blocks: code up to the next branch, decoded once, with what it does in sum.
 *
 * A block is executed from its first instruction to its last, so its multiply-adds are known when
 * it begins. Where they depend on a mask, on the configuration of the tiles, or, for the guards of
 * calls.c, on the address of a load, a context shows these only as the block begins and as it ends.
 * So registers are followed through it: each holds a sum of multiples of values that have numbers;
 * numbers below REGISTERS are those of the values that the block begins with. */
#include "kernels/audit/decode.h"

#include <string.h>

enum {
    BLOCKS = 1 << 15,
    PARTS = 1 << 16,
    SITES = 1 << 15,
    LOADS = 1 << 17,
    REGISTERS = 16, /* integer, numbered as in gregs */
    MASKS = 8,
    MOST_SEEN = 4096,
    TILES = 0 /* the configuration has the number of k0, which is no mask */
};

typedef struct part { /* of a block: what is in one function */
    int function;
    tic_tally sum;
} part;

typedef struct late { /* an instruction under a mask or on tiles */
    tic_site site;
    bool at_end;
} late;

typedef struct value { /* sum of times[i] * value number[i], plus what was added */
    int terms, number[TIC_TERMS];
    int32_t times[TIC_TERMS];
    int64_t added;
} value;

typedef struct registers {
    value integer[REGISTERS];
    int mask[MASKS]; /* numbers: 0 is what the block begins with */
    int next;        /* number of a value */
} registers;

typedef struct building { /* a block that is being decoded */
    tic_blocks *b;
    tic_block block;
    registers now;
    int seen_loads, seen_sites;
    value load[MOST_SEEN]; /* addresses */
    int site[MOST_SEEN];   /* numbers of masks */
} building;

struct tic_blocks {
    ZydisDecoder zydis;
    const tic_symbols *symbols;
    tic_branches *branches;
    int used, parts, sites, loads; /* taken of the pools */
    tic_block list[BLOCKS];        /* open addressing */
    part part[PARTS];
    late site[SITES];
    tic_load load[LOADS];
    building making;
};

tic_status tic_blocks_new(tic_blocks **out, const tic_symbols *symbols, tic_branches *branches,
                          tic_error *err) {
    TIC_TRY(tic_alloc(out, 1, sizeof **out, err));
    (*out)->symbols = symbols;
    (*out)->branches = branches;
    ZydisDecoderInit(&(*out)->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return TIC_OK;
}

bool tic_blocks_filling(const tic_blocks *blocks) {
    return blocks->used > BLOCKS / 2 || blocks->parts > PARTS / 2 || blocks->sites > SITES / 2 ||
           blocks->loads > LOADS / 2;
}

void tic_blocks_clear(tic_blocks *blocks) {
    memset(blocks->list, 0, sizeof blocks->list);
    blocks->used = blocks->parts = blocks->sites = blocks->loads = 0;
}

void tic_blocks_free(tic_blocks *blocks) {
    tic_free(blocks);
}

/* ---- registers, followed through a block ----------------------------------------------------- */

static value numbered(int number) {
    return (value){.terms = 1, .number = {number}, .times = {1}};
}

static value unknown(registers *r) {
    return numbered(r->next++);
}

static void begin_registers(registers *r) {
    *r = (registers){.next = REGISTERS};
    for (int i = 0; i < REGISTERS; i++)
        r->integer[i] = numbered(i);
}

/* *to += times * more. False when it does not fit. */
static bool add_times(int32_t *to, int32_t times, int32_t more) {
    int32_t product;
    return !__builtin_mul_overflow(times, more, &product) &&
           !__builtin_add_overflow(*to, product, to);
}

/* to += times * more. False when that has too many terms, or too large ones. */
static bool add_value(value *to, const value *more, int32_t times) {
    to->added += times * more->added;
    for (int i = 0; i < more->terms; i++) {
        int t = 0;
        while (t < to->terms && to->number[t] != more->number[i])
            t++;
        if (t == TIC_TERMS)
            return false;
        if (t == to->terms) {
            to->number[to->terms] = more->number[i];
            to->times[to->terms++] = 0;
        }
        if (!add_times(&to->times[t], times, more->times[i]))
            return false;
    }
    return true;
}

static bool address_of(const registers *r, const tic_place *place, value *out) {
    *out = (value){.added = place->displacement};
    return (place->base == TIC_NO_REGISTER || add_value(out, &r->integer[place->base], 1)) &&
           (place->index == TIC_NO_REGISTER ||
            add_value(out, &r->integer[place->index], place->scale));
}

static const value *integer_of(const registers *r, const ZydisDecodedOperand *operand) {
    const uint8_t place = operand->type == ZYDIS_OPERAND_TYPE_REGISTER
                              ? tic_register_place(operand->reg.value)
                              : TIC_NO_REGISTER;
    return place == TIC_NO_REGISTER || operand->size != 64 ? NULL : &r->integer[place];
}

/* Whether it leaves a value that follows from others: *out is that value then. */
static bool derives(const registers *r, const tic_decoded *d, value *out) {
    const ZydisDecodedOperand *o = d->operands;
    const value *to = integer_of(r, &o[0]);
    const value *from = d->instruction.operand_count > 1 ? integer_of(r, &o[1]) : NULL;
    const bool number =
        d->instruction.operand_count > 1 && o[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    tic_place place;
    if (to == NULL)
        return false;
    *out = *to;
    switch (d->instruction.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
        if (from != NULL)
            *out = *from;
        return from != NULL;
    case ZYDIS_MNEMONIC_LEA:
        return o[1].mem.base != ZYDIS_REGISTER_RIP && d->instruction.address_width == 64 &&
               tic_operand_place(&place, &o[1], 0) && address_of(r, &place, out);
    case ZYDIS_MNEMONIC_ADD:
        out->added += number ? o[1].imm.value.s : 0;
        return number || (from != NULL && add_value(out, from, 1));
    case ZYDIS_MNEMONIC_SUB:
        out->added -= number ? o[1].imm.value.s : 0;
        return number || (from != NULL && add_value(out, from, -1));
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
        out->added += d->instruction.mnemonic == ZYDIS_MNEMONIC_INC ? 1 : -1;
        return true;
    default:
        return false;
    }
}

/* Registers after the instruction. */
static void follow(registers *r, const tic_decoded *d) {
    value derived, stack = r->integer[REG_RSP];
    const bool known = derives(r, d, &derived);
    for (int i = 0; i < d->instruction.operand_count; i++) {
        const ZydisDecodedOperand *o = &d->operands[i];
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER ||
            !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        const uint8_t place = tic_register_place(o->reg.value);
        if (place != TIC_NO_REGISTER)
            r->integer[place] = unknown(r);
        else if (o->reg.value >= ZYDIS_REGISTER_K0 && o->reg.value <= ZYDIS_REGISTER_K7)
            r->mask[o->reg.value - ZYDIS_REGISTER_K0] = r->next++;
    }
    if (known)
        r->integer[tic_register_place(d->operands[0].reg.value)] = derived;
    const bool push = d->instruction.mnemonic == ZYDIS_MNEMONIC_PUSH;
    if (push || (d->instruction.mnemonic == ZYDIS_MNEMONIC_POP &&
                 tic_register_place(d->operands[0].reg.value) != REG_RSP)) {
        /* not the operand's size: an immediate byte is pushed as eight */
        stack.added += (push ? -1 : 1) * d->instruction.operand_width / 8;
        r->integer[REG_RSP] = stack;
    }
    if (d->instruction.mnemonic == ZYDIS_MNEMONIC_SYSCALL)
        r->integer[REG_RAX] = unknown(r);
    if (d->instruction.mnemonic == ZYDIS_MNEMONIC_LDTILECFG ||
        d->instruction.mnemonic == ZYDIS_MNEMONIC_TILERELEASE)
        r->mask[TILES] = r->next++;
}

/* ---- a block that is being decoded ----------------------------------------------------------- */

static bool add_load(building *k, const tic_place *from, uint8_t bytes) {
    if (k->seen_loads == MOST_SEEN || k->b->loads == LOADS)
        return false;
    value *v = &k->load[k->seen_loads++];
    if (!address_of(&k->now, from, v))
        *v = unknown(&k->now); /* held by no register */
    k->b->load[k->b->loads++] = (tic_load){.bytes = bytes};
    k->block.loads++;
    return true;
}

static bool add_loads(building *k, uint64_t at, const tic_decoded *d) {
    tic_place from[2];
    uint8_t bytes[2];
    const int count = tic_loads_of(d, at, from, bytes);
    for (int i = 0; i < count; i++)
        if ((from[i].base != TIC_NO_REGISTER || from[i].index != TIC_NO_REGISTER) &&
            !add_load(k, &from[i], bytes[i]))
            return false;
    return true;
}

static void add_reads(building *k, const tic_decoded *d) {
    uint8_t read[6], written;
    tic_argument_use(d, read, &written);
    for (int i = 0; i < 6; i++)
        if (!(k->block.written & 1 << i) && k->block.read[i] < read[i])
            k->block.read[i] = read[i];
    k->block.written |= written;
}

/* The part of the function, the last one or a new one. */
static part *part_of(building *k, int function) {
    if (k->block.parts > 0 && k->b->part[k->b->parts - 1].function == function)
        return &k->b->part[k->b->parts - 1];
    if (k->b->parts == PARTS)
        return NULL;
    part *added = &k->b->part[k->b->parts++];
    *added = (part){.function = function};
    k->block.parts++;
    return added;
}

static bool add_work(building *k, uint64_t at, const tic_decoded *d) {
    tic_site site;
    tic_site_make(&site, at, d);
    site.function = tic_symbols_find(k->b->symbols, at);
    part *p = part_of(k, site.function);
    if (p == NULL)
        return false;
    if (site.function >= 0 && k->b->symbols->list[site.function].begin == at)
        p->sum.calls++;
    if (site.kind == TIC_OTHER)
        return true;
    if (site.kind != TIC_TILE && site.mask == 0) {
        tic_tally_add(&p->sum, &site, NULL);
        return true;
    }
    if (k->seen_sites == MOST_SEEN || k->b->sites == SITES)
        return false;
    k->site[k->seen_sites++] = k->now.mask[site.kind == TIC_TILE ? TILES : site.mask];
    k->b->site[k->b->sites++] = (late){.site = site};
    k->block.sites++;
    return true;
}

/* ---- when what can be seen ------------------------------------------------------------------- */

/* A register that holds the value at the end, or differs from it by a constant; TIC_NO_REGISTER:
 * none does. */
static uint8_t holder(const registers *end, int number) {
    for (int i = 0; i < REGISTERS; i++) {
        const value *v = &end->integer[i];
        if (v->terms == 1 && v->number[0] == number && v->times[0] == 1)
            return (uint8_t)i;
    }
    return TIC_NO_REGISTER;
}

/* The address, from registers of the begin or of the end. */
static bool resolve_load(const building *k, tic_load *load, const value *address) {
    load->added = address->added;
    load->terms = (uint8_t)address->terms;
    for (int t = 0; t < address->terms; t++)
        load->at_end |= address->number[t] >= REGISTERS;
    for (int t = 0; t < address->terms; t++) {
        load->times[t] = address->times[t];
        load->reg[t] = (uint8_t)address->number[t];
        if (!load->at_end)
            continue;
        load->reg[t] = holder(&k->now, address->number[t]);
        if (load->reg[t] == TIC_NO_REGISTER)
            return false;
        load->added -= load->times[t] * k->now.integer[load->reg[t]].added;
    }
    return true;
}

static void resolve(building *k) {
    for (int i = 0; i < k->seen_loads; i++)
        if (!resolve_load(k, &k->b->load[k->block.load + i], &k->load[i]))
            k->block.loads_lost = true;
    for (int i = 0; i < k->seen_sites; i++) {
        late *l = &k->b->site[k->block.site + i];
        const int now = k->now.mask[l->site.kind == TIC_TILE ? TILES : l->site.mask];
        l->at_end = k->site[i] != 0;
        if (l->at_end && k->site[i] != now)
            k->block.masks_lost = true;
    }
}

/* ---- the branch at the end ------------------------------------------------------------------- */

static bool describe_target(tic_branch *out, const tic_decoded *d) {
    const ZydisDecodedOperand *o = &d->operands[0];
    const uint64_t next = out->at + out->length;
    out->to = (tic_place){TIC_NO_REGISTER, TIC_NO_REGISTER, 1, 0};
    switch (o->type) {
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        out->to.displacement = (int64_t)next + o->imm.value.s;
        return o->imm.is_relative;
    case ZYDIS_OPERAND_TYPE_REGISTER:
        out->to.base = tic_register_place(o->reg.value);
        return out->to.base != TIC_NO_REGISTER;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        out->memory = true;
        return tic_operand_place(&out->to, o, next);
    default:
        return false;
    }
}

/* False: none that can be taken (loop, jecxz, far ones). */
static bool describe_branch(tic_branch *out, uint64_t at, const tic_decoded *d) {
    const ZydisDecodedInstruction *i = &d->instruction;
    *out = (tic_branch){.at = at, .length = i->length};
    memcpy(out->code, (const void *)(uintptr_t)at, i->length); /* NOLINT */
    if (i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || i->operand_width != 64)
        return false;
    switch (i->mnemonic) {
    case ZYDIS_MNEMONIC_RET:
        out->kind = TIC_RETURN;
        if (d->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            out->drop = (uint16_t)d->operands[0].imm.value.u;
        return true;
    case ZYDIS_MNEMONIC_CALL:
        out->kind = TIC_CALL;
        return describe_target(out, d);
    case ZYDIS_MNEMONIC_JMP:
        out->kind = TIC_JUMP;
        return describe_target(out, d);
    case ZYDIS_MNEMONIC_JRCXZ:
        out->kind = TIC_JUMP_IF_NONE;
        return describe_target(out, d);
    default:
        out->kind = TIC_JUMP_IF;
        out->condition = i->opcode & 0xf;
        return i->meta.category == ZYDIS_CATEGORY_COND_BR && (i->opcode & 0xf0) >= 0x70 &&
               (i->opcode & 0xf0) <= 0x80 && describe_target(out, d);
    }
}

/* ---- building -------------------------------------------------------------------------------- */

static bool finish(building *k, uint64_t at, const tic_decoded *d) {
    k->block.end = at;
    if (d->instruction.mnemonic != ZYDIS_MNEMONIC_INT3) {
        tic_branch branch;
        if (!describe_branch(&branch, at, d))
            return false;
        k->block.branch = tic_branches_add(k->b->branches, &branch);
        add_reads(k, d);
        if (k->block.branch == NULL || !add_loads(k, at, d))
            return false;
    }
    resolve(k);
    return true;
}

static bool build(building *k, uint64_t at) {
    tic_decoded d;
    k->block =
        (tic_block){.begin = at, .part = k->b->parts, .site = k->b->sites, .load = k->b->loads};
    k->seen_loads = k->seen_sites = 0;
    begin_registers(&k->now);
    while (tic_decode(&k->b->zydis, k->b->branches, at, &d)) {
        if (d.instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
            d.instruction.mnemonic == ZYDIS_MNEMONIC_INT3)
            return finish(k, at, &d);
        add_reads(k, &d);
        if (!add_work(k, at, &d) || !add_loads(k, at, &d))
            return false;
        follow(&k->now, &d);
        k->block.instructions++;
        at += d.instruction.length;
    }
    return false;
}

const tic_block *tic_blocks_at(tic_blocks *blocks, uint64_t address) {
    size_t place = (size_t)(address * 0x9e3779b97f4a7c15u >> 49) % BLOCKS;
    while (blocks->list[place].begin != 0) {
        if (blocks->list[place].begin == address)
            return &blocks->list[place];
        place = (place + 1) % BLOCKS;
    }
    blocks->making.b = blocks;
    if (blocks->used == BLOCKS - 1 || !build(&blocks->making, address))
        return NULL;
    blocks->used++;
    blocks->list[place] = blocks->making.block;
    return &blocks->list[place];
}

/* ---- what it does ---------------------------------------------------------------------------- */

void tic_block_count(const tic_blocks *blocks, const tic_block *block, bool at_end,
                     const ucontext_t *context, tic_tally_of of, void *user) {
    for (int i = 0; i < block->parts && !at_end; i++) {
        const part *p = &blocks->part[block->part + i];
        tic_tally *to = of(user, p->function);
        if (to != NULL)
            tic_tally_sum(to, &p->sum);
    }
    for (int i = 0; i < block->sites; i++) {
        const late *l = &blocks->site[block->site + i];
        tic_tally *to = l->at_end == at_end ? of(user, l->site.function) : NULL;
        if (to != NULL)
            tic_tally_add(to, &l->site, context);
    }
}

uint64_t tic_load_address(const tic_load *load, const ucontext_t *context) {
    uint64_t at = (uint64_t)load->added;
    for (int t = 0; t < load->terms; t++)
        at +=
            (uint64_t)context->uc_mcontext.gregs[load->reg[t]] * (uint64_t)(int64_t)load->times[t];
    return at;
}

const tic_load *tic_block_loads(const tic_blocks *blocks, const tic_block *block) {
    return &blocks->load[block->load];
}
