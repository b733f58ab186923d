/* Instructions, decoded by Zydis once each: which of them multiply and add, in how many lanes,
 * under which mask or tile configuration. */
#include "kernels/audit/decode.h"

#include <cpuid.h>
#include <string.h>

enum { SITES = 1 << 16 };

struct tic_decoder {
    ZydisDecoder zydis;
    const tic_symbols *symbols;
    const tic_branches *branches;
    int used;
    tic_site sites[SITES]; /* open addressing */
};

tic_status tic_decoder_new(tic_decoder **out, const tic_symbols *symbols,
                           const tic_branches *branches, tic_error *err) {
    TIC_TRY(tic_alloc(out, 1, sizeof **out, err));
    (*out)->symbols = symbols;
    (*out)->branches = branches;
    ZydisDecoderInit(&(*out)->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return TIC_OK;
}

void tic_decoder_free(tic_decoder *decoder) {
    tic_free(decoder);
}

bool tic_decode(const ZydisDecoder *zydis, const tic_branches *branches, uint64_t at,
                tic_decoded *out) {
    const void *code = (const void *)(uintptr_t)at; /* NOLINT(performance-no-int-to-ptr) */
    const tic_branch *branch = tic_branches_find(branches, at);
    if (branch == NULL) {
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeFull(zydis, code, TIC_LONGEST, &out->instruction, out->operands)))
            return false;
        if (out->instruction.mnemonic != ZYDIS_MNEMONIC_INT3)
            return true;
        branch = tic_branches_find(branches, at); /* another thread's, planted in between */
        if (branch == NULL)
            return true; /* the program's own */
    }
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(zydis, branch->code, branch->length,
                                               &out->instruction, out->operands));
}

/* ---- what an instruction is ------------------------------------------------------------------ */

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Bits of an element, as the end of the mnemonic tells; 0: it is none of floating point. */
static int element_bits(const char *name, bool *scalar) {
    static const struct {
        const char *suffix;
        int bits;
        bool scalar;
    } types[] = {{"cph", 32, false}, {"csh", 32, true}, /* complex: two halves */
                 {"ps", 32, false},  {"ss", 32, true},  {"pd", 64, false},
                 {"sd", 64, true},   {"ph", 16, false}, {"sh", 16, true}};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const size_t end = strlen(types[i].suffix);
        if (length > end && strcmp(name + length - end, types[i].suffix) == 0) {
            *scalar = types[i].scalar;
            return types[i].bits;
        }
    }
    return 0;
}

typedef struct arithmetic { /* how a mnemonic begins */
    const char *prefix;
    uint8_t kind, each;
} arithmetic;

/* The first that fits. Those of 4 multiply complex numbers. */
static const arithmetic *arithmetic_of(const char *name) {
    static const arithmetic all[] = {
        {"vdpbf16", TIC_DOT, 2},  {"vfmaddc", TIC_FMA, 4},     {"vfcmadd", TIC_FMA, 4},
        {"vfmadd", TIC_FMA, 1},   {"vfmsub", TIC_FMA, 1},      {"vfnmadd", TIC_FMA, 1},
        {"vfnmsub", TIC_FMA, 1},  {"vfmulc", TIC_MULTIPLY, 4}, {"vfcmul", TIC_MULTIPLY, 4},
        {"mul", TIC_MULTIPLY, 1}, {"vmul", TIC_MULTIPLY, 1},   {"add", TIC_ADD, 1},
        {"sub", TIC_ADD, 1},      {"vadd", TIC_ADD, 1},        {"vsub", TIC_ADD, 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (begins(name, all[i].prefix))
            return &all[i];
    return NULL;
}

static void classify(tic_site *site, const ZydisDecodedInstruction *instruction,
                     const ZydisDecodedOperand *operands) {
    const char *name = ZydisMnemonicGetString(instruction->mnemonic);
    bool scalar = false;
    if (operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && begins(name, "tdp")) {
        site->kind = TIC_TILE;
        site->each = instruction->mnemonic == ZYDIS_MNEMONIC_TDPBF16PS ? 2 : 4;
        for (int i = 0; i < 3; i++)
            site->tile[i] = (uint8_t)(operands[i].reg.value - ZYDIS_REGISTER_TMM0);
        return;
    }
    const int bits = element_bits(name, &scalar);
    const arithmetic *found = bits != 0 ? arithmetic_of(name) : NULL;
    if (found == NULL)
        return;
    site->kind = found->kind;
    site->each = found->each;
    site->lanes = scalar ? 1 : (uint8_t)(operands[0].size / bits);
    if (instruction->avx.mask.mode != ZYDIS_MASK_MODE_INVALID &&
        instruction->avx.mask.mode != ZYDIS_MASK_MODE_DISABLED &&
        instruction->avx.mask.reg > ZYDIS_REGISTER_K0)
        site->mask = (uint8_t)(instruction->avx.mask.reg - ZYDIS_REGISTER_K0);
}

/* ---- integer registers ----------------------------------------------------------------------- */

uint8_t tic_register_place(ZydisRegister reg) {
    static const uint8_t places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                       REG_R12, REG_R13, REG_R14, REG_R15};
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
        return TIC_NO_REGISTER;
    return places[whole - ZYDIS_REGISTER_RAX];
}

bool tic_operand_place(tic_place *out, const ZydisDecodedOperand *operand, uint64_t next) {
    const ZydisDecodedOperandMem *memory = &operand->mem;
    *out = (tic_place){.base = tic_register_place(memory->base),
                       .index = tic_register_place(memory->index),
                       .scale = memory->scale,
                       .displacement = memory->disp.has_displacement ? memory->disp.value : 0};
    if (memory->base == ZYDIS_REGISTER_RIP)
        out->displacement += (int64_t)next;
    return memory->segment != ZYDIS_REGISTER_FS && memory->segment != ZYDIS_REGISTER_GS;
}

/* ---- the table ------------------------------------------------------------------------------- */

void tic_site_make(tic_site *out, uint64_t at, const tic_decoded *decoded) {
    *out = (tic_site){.at = at, .length = decoded->instruction.length};
    out->branch = decoded->instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    if (decoded->instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE)
        out->relative = decoded->instruction.raw.disp.offset;
    classify(out, &decoded->instruction, decoded->operands);
}

const tic_site *tic_decoder_at(tic_decoder *decoder, uint64_t address) {
    size_t place = (size_t)(address * 0x9e3779b97f4a7c15u >> 48) % SITES;
    while (decoder->sites[place].at != 0) {
        if (decoder->sites[place].at == address)
            return &decoder->sites[place];
        place = (place + 1) % SITES;
    }
    if (decoder->used == SITES - 1)
        return NULL;
    tic_decoded decoded;
    tic_site site;
    if (!tic_decode(&decoder->zydis, decoder->branches, address, &decoded))
        return NULL;
    tic_site_make(&site, address, &decoded);
    site.function = tic_symbols_find(decoder->symbols, address);
    decoder->used++;
    decoder->sites[place] = site;
    return &decoder->sites[place];
}

/* ---- masks and tiles, as they are when the instruction is reached ---------------------------- */

/* Component `number` of the extended state that the kernel saved beside the registers; NULL when
 * it is in its initial state. */
static const void *component(const ucontext_t *context, unsigned number) {
    enum { MAGIC_AT = 464, HEADER = 512, MAGIC = 0x46505853 };
    static unsigned offsets[32]; /* asked once each: CPUID traps in a virtual machine */
    const unsigned char *area = (const unsigned char *)context->uc_mcontext.fpregs;
    uint32_t magic;
    uint64_t present;
    memcpy(&magic, area + MAGIC_AT, sizeof magic);
    memcpy(&present, area + HEADER, sizeof present);
    if (magic != MAGIC || !(present >> number & 1))
        return NULL;
    unsigned offset = __atomic_load_n(&offsets[number], __ATOMIC_RELAXED);
    if (offset == 0) {
        unsigned size, flags, unused;
        __cpuid_count(0xd, number, size, offset, flags, unused);
        __atomic_store_n(&offsets[number], offset, __ATOMIC_RELAXED);
    }
    return area + offset;
}

static uint64_t lanes_left(const tic_site *site, const ucontext_t *context) {
    enum { OPMASK = 5 };
    if (site->mask == 0)
        return site->lanes;
    uint64_t mask = 0;
    const unsigned char *masks = component(context, OPMASK);
    if (masks != NULL)
        memcpy(&mask, masks + site->mask * sizeof mask, sizeof mask);
    if (site->lanes < 64)
        mask &= (UINT64_C(1) << site->lanes) - 1;
    return (uint64_t)__builtin_popcountll(mask);
}

/* rows of C, times 32-bit columns of C, times 32-bit columns of A, times products in each. */
static uint64_t tile_work(const tic_site *site, const ucontext_t *context) {
    enum { TILE_CONFIGURATION = 17, COLUMNS_AT = 16, ROWS_AT = 48 };
    const unsigned char *tiles = component(context, TILE_CONFIGURATION);
    uint16_t columns[8];
    if (tiles == NULL)
        return 0;
    memcpy(columns, tiles + COLUMNS_AT, sizeof columns);
    uint64_t rows = tiles[ROWS_AT + site->tile[0]];
    return rows * (columns[site->tile[0]] / 4u) * (columns[site->tile[1]] / 4u) * site->each;
}

uint64_t tic_site_work(const tic_site *site, const ucontext_t *context) {
    if (site->kind == TIC_TILE)
        return tile_work(site, context);
    return lanes_left(site, context) * site->each; /* 0 of TIC_OTHER */
}

/* ---- what an instruction reads --------------------------------------------------------------- */

const uint8_t tic_arguments[6] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};

int tic_argument_of(uint8_t place) {
    for (int i = 0; i < 6; i++)
        if (place == tic_arguments[i])
            return i;
    return -1;
}

static void reads_register(uint8_t read[6], ZydisRegister reg, int bits) {
    const int argument = tic_argument_of(tic_register_place(reg));
    if (argument >= 0 && read[argument] < bits / 8)
        read[argument] = (uint8_t)(bits / 8);
}

void tic_argument_use(const tic_decoded *decoded, uint8_t read[6], uint8_t *written) {
    const ZydisDecodedOperand *operands = decoded->operands;
    memset(read, 0, 6);
    *written = 0;
    for (int i = 0; i < decoded->instruction.operand_count; i++) {
        const ZydisDecodedOperand *o = &operands[i];
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            reads_register(read, o->mem.base, 64);
            reads_register(read, o->mem.index, 64);
        }
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        const int argument = tic_argument_of(tic_register_place(o->reg.value));
        if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            reads_register(read, o->reg.value, o->size);
        if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE && argument >= 0)
            *written |= (uint8_t)(1 << argument);
    }
    /* xor r, r makes a zero out of whatever r was. */
    if (decoded->instruction.mnemonic == ZYDIS_MNEMONIC_XOR &&
        operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        operands[0].reg.value == operands[1].reg.value)
        memset(read, 0, 6);
}

int tic_loads_of(const tic_decoded *decoded, uint64_t at, tic_place place[2], uint8_t bytes[2]) {
    int count = 0;
    if (decoded->instruction.meta.category == ZYDIS_CATEGORY_PREFETCH)
        return 0;
    for (int i = 0; i < decoded->instruction.operand_count && count < 2; i++) {
        const ZydisDecodedOperand *o = &decoded->operands[i];
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->actions & ZYDIS_OPERAND_ACTION_MASK_READ &&
            o->size > 0 && o->size <= 64 &&
            tic_operand_place(&place[count], o, at + decoded->instruction.length))
            bytes[count++] = (uint8_t)(o->size / 8);
    }
    return count;
}

void tic_decoder_reads(const tic_decoder *decoder, const ucontext_t *context, tic_reads *out) {
    const uint64_t at = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    tic_decoded decoded;
    tic_place place[2];
    uint8_t bytes[2];
    *out = (tic_reads){.memory = 0};
    if (!tic_decode(&decoder->zydis, decoder->branches, at, &decoded))
        return;
    tic_argument_use(&decoded, out->read, &out->written);
    const int loads = tic_loads_of(&decoded, at, place, bytes);
    if (loads > 0) {
        out->memory = bytes[0];
        out->address = tic_place_address(&place[0], context);
    }
}
