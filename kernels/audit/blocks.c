/* Blocks: code up to the next branch, decoded once, with what it does in sum.
 *
 * A block is executed from its first instruction to its last, so its multiply-adds are known when
 * it begins. Where they depend on a mask, on the configuration of the tiles, or, for the guards of
 * calls.c, on the address of a load, a context shows these only as the block begins and as it ends.
 * So registers are followed through it: each holds a sum of multiples of values that have numbers;
 * numbers below TIC_REGISTERS are those of the values that the block begins with (registers.c). */
#include "kernels/audit/decode.h"
#include "kernels/audit/registers.h"

#include <string.h>

enum { BLOCKS = 1 << 15, PARTS = 1 << 16, SITES = 1 << 15, LOADS = 1 << 17, MOST_SEEN = 4096 };

typedef struct part { /* of a block: what is in one function */
    int function;
    tic_tally sum;
} part;

typedef struct late { /* an instruction under a mask or on tiles */
    tic_site site;
    bool at_end;
} late;

typedef struct building { /* a block that is being decoded */
    tic_blocks *b;
    tic_block block;
    tic_registers now;
    int seen_loads, seen_sites;
    tic_value load[MOST_SEEN]; /* addresses */
    int site[MOST_SEEN];       /* numbers of masks */
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

/* ---- a block that is being decoded ----------------------------------------------------------- */

static bool add_load(building *k, const tic_place *from, uint8_t bytes) {
    if (k->seen_loads == MOST_SEEN || k->b->loads == LOADS)
        return false;
    tic_value *v = &k->load[k->seen_loads++];
    if (!tic_registers_address(&k->now, from, v))
        *v = tic_registers_unknown(&k->now); /* held by no register */
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
    k->site[k->seen_sites++] = k->now.mask[site.kind == TIC_TILE ? TIC_TILES : site.mask];
    k->b->site[k->b->sites++] = (late){.site = site};
    k->block.sites++;
    return true;
}

/* ---- when what can be seen ------------------------------------------------------------------- */

/* The address, from registers of the begin or of the end. */
static bool resolve_load(const building *k, tic_load *load, const tic_value *address) {
    load->added = address->added;
    load->terms = (uint8_t)address->terms;
    for (int t = 0; t < address->terms; t++)
        load->at_end |= address->number[t] >= TIC_REGISTERS;
    for (int t = 0; t < address->terms; t++) {
        load->times[t] = address->times[t];
        load->reg[t] = (uint8_t)address->number[t];
        if (!load->at_end)
            continue;
        load->reg[t] = tic_registers_holder(&k->now, address->number[t]);
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
        const int now = k->now.mask[l->site.kind == TIC_TILE ? TIC_TILES : l->site.mask];
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
    tic_registers_begin(&k->now);
    while (tic_decode(&k->b->zydis, k->b->branches, at, &d)) {
        if (d.instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
            d.instruction.mnemonic == ZYDIS_MNEMONIC_INT3)
            return finish(k, at, &d);
        add_reads(k, &d);
        if (!add_work(k, at, &d) || !add_loads(k, at, &d))
            return false;
        tic_registers_follow(&k->now, &d);
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
