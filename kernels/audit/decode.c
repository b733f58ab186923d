/* Instructions, decoded by Zydis once each: which of them multiply and add, in how many lanes,
 * under which mask or tile configuration. */
#include "kernels/audit/room.h"

#include <Zydis/Zydis.h>
#include <cpuid.h>
#include <string.h>

enum { SITES = 1 << 16, LONGEST = 15 };

struct tic_decoder {
    ZydisDecoder zydis;
    const tic_symbols *symbols;
    int used;
    tic_site sites[SITES]; /* open addressing */
};

tic_status tic_decoder_new(tic_decoder **out, const tic_symbols *symbols, tic_error *err) {
    TIC_TRY(tic_alloc(out, 1, sizeof **out, err));
    (*out)->symbols = symbols;
    ZydisDecoderInit(&(*out)->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return TIC_OK;
}

void tic_decoder_free(tic_decoder *decoder) {
    tic_free(decoder);
}

/* ---- what an instruction is ------------------------------------------------------------------ */

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* "ps", "pd", "ss", "sd", "ph", "sh" at the end of the mnemonic: bits of an element, 0: none. */
static int element_bits(const char *name, bool *scalar) {
    static const struct {
        const char *suffix;
        int bits;
    } types[] = {{"ps", 32}, {"ss", 32}, {"pd", 64}, {"sd", 64}, {"ph", 16}, {"sh", 16}};
    const size_t length = strlen(name);
    for (size_t i = 0; length > 2 && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(name + length - 2, types[i].suffix) == 0) {
            *scalar = types[i].suffix[0] == 's';
            return types[i].bits;
        }
    return 0;
}

static tic_kind arithmetic(const char *name) {
    static const char *const fused[] = {"vfmadd", "vfmsub", "vfnmadd", "vfnmsub"};
    static const char *const adds[] = {"add", "sub", "vadd", "vsub"}; /* addsubps adds too */
    for (size_t i = 0; i < sizeof fused / sizeof fused[0]; i++)
        if (begins(name, fused[i]))
            return TIC_FMA;
    if (begins(name, "mul") || begins(name, "vmul"))
        return TIC_MULTIPLY;
    for (size_t i = 0; i < sizeof adds / sizeof adds[0]; i++)
        if (begins(name, adds[i]))
            return TIC_ADD;
    return TIC_OTHER;
}

static void classify(tic_site *site, const ZydisDecodedInstruction *instruction,
                     const ZydisDecodedOperand *operands) {
    const char *name = ZydisMnemonicGetString(instruction->mnemonic);
    bool scalar = false;
    if (operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && begins(name, "tdp")) {
        site->kind = TIC_TILE;
        site->per_dword = instruction->mnemonic == ZYDIS_MNEMONIC_TDPBF16PS ? 2 : 4;
        for (int i = 0; i < 3; i++)
            site->tile[i] = (uint8_t)(operands[i].reg.value - ZYDIS_REGISTER_TMM0);
        return;
    }
    if (instruction->mnemonic == ZYDIS_MNEMONIC_VDPBF16PS) {
        site->kind = TIC_DOT;
        site->lanes = (uint8_t)(operands[0].size / 32);
    } else {
        int bits = element_bits(name, &scalar);
        site->kind = bits != 0 ? (uint8_t)arithmetic(name) : TIC_OTHER;
        if (site->kind != TIC_OTHER)
            site->lanes = scalar ? 1 : (uint8_t)(operands[0].size / bits);
    }
    if (instruction->avx.mask.mode != ZYDIS_MASK_MODE_INVALID &&
        instruction->avx.mask.mode != ZYDIS_MASK_MODE_DISABLED &&
        instruction->avx.mask.reg > ZYDIS_REGISTER_K0)
        site->mask = (uint8_t)(instruction->avx.mask.reg - ZYDIS_REGISTER_K0);
}

/* ---- integer registers ----------------------------------------------------------------------- */

/* Where the context of a signal keeps the register, of any width. */
static uint8_t place_of(ZydisRegister reg) {
    static const uint8_t places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                       REG_R12, REG_R13, REG_R14, REG_R15};
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
        return TIC_NO_REGISTER;
    return places[whole - ZYDIS_REGISTER_RAX];
}

static void locate(tic_site *site, const ZydisDecodedInstruction *instruction,
                   const ZydisDecodedOperandMem *memory) {
    site->base = place_of(memory->base);
    site->index = place_of(memory->index);
    site->scale = memory->scale;
    site->displacement = memory->disp.has_displacement ? memory->disp.value : 0;
    if (memory->base == ZYDIS_REGISTER_RIP)
        site->displacement += (int64_t)(site->at + instruction->length);
}

uint64_t tic_site_address(const tic_site *site, const ucontext_t *context) {
    const greg_t *regs = context->uc_mcontext.gregs;
    uint64_t at = (uint64_t)site->displacement;
    if (site->base != TIC_NO_REGISTER)
        at += (uint64_t)regs[site->base];
    if (site->index != TIC_NO_REGISTER)
        at += (uint64_t)regs[site->index] * site->scale;
    return at;
}

/* ---- the table ------------------------------------------------------------------------------- */

static bool fill(const tic_decoder *decoder, tic_site *site) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const void *code = (const void *)(uintptr_t)site->at; /* NOLINT(performance-no-int-to-ptr) */
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder->zydis, code, LONGEST, &instruction, operands)))
        return false;
    site->length = instruction.length;
    site->branch = instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    if (instruction.attributes & ZYDIS_ATTRIB_IS_RELATIVE)
        site->relative = instruction.raw.disp.offset;
    classify(site, &instruction, operands);
    site->base = site->index = TIC_NO_REGISTER;
    for (int i = 0; i < instruction.operand_count; i++)
        if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) {
            site->writes = true;
            locate(site, &instruction, &operands[i].mem);
        }
    site->function = tic_symbols_find(decoder->symbols, site->at);
    return true;
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
    tic_site site = {.at = address};
    if (!fill(decoder, &site))
        return NULL;
    decoder->used++;
    decoder->sites[place] = site;
    return &decoder->sites[place];
}

/* ---- masks and tiles, as they are when the instruction is reached -----------------------------
 */

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
    if (offsets[number] == 0) {
        unsigned size, flags, unused;
        __cpuid_count(0xd, number, size, offsets[number], flags, unused);
    }
    return area + offsets[number];
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
    return rows * (columns[site->tile[0]] / 4u) * (columns[site->tile[1]] / 4u) * site->per_dword;
}

uint64_t tic_site_work(const tic_site *site, const ucontext_t *context) {
    switch (site->kind) {
    case TIC_FMA:
    case TIC_MULTIPLY:
    case TIC_ADD:
        return lanes_left(site, context);
    case TIC_DOT:
        return 2 * lanes_left(site, context);
    case TIC_TILE:
        return tile_work(site, context);
    default:
        return 0;
    }
}

/* ---- what an instruction reads ----------------------------------------------------------------
 */

static int argument_of(ZydisRegister reg) {
    static const uint8_t places[6] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};
    const uint8_t place = place_of(reg);
    for (int i = 0; i < 6; i++)
        if (place == places[i])
            return i;
    return -1;
}

static void reads_register(tic_reads *out, ZydisRegister reg, int bits) {
    const int argument = argument_of(reg);
    if (argument >= 0 && out->read[argument] < bits / 8)
        out->read[argument] = (uint8_t)(bits / 8);
}

static void reads_operand(tic_reads *out, const ZydisDecodedInstruction *instruction,
                          const ZydisDecodedOperand *operand, const ucontext_t *context) {
    if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            reads_register(out, operand->reg.value, operand->size);
        if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
            argument_of(operand->reg.value) >= 0)
            out->written |= (uint8_t)(1 << argument_of(operand->reg.value));
        return;
    }
    if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
        return;
    reads_register(out, operand->mem.base, 64);
    reads_register(out, operand->mem.index, 64);
    if (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ && operand->size <= 64) {
        tic_site site = {.at = (uint64_t)context->uc_mcontext.gregs[REG_RIP]};
        locate(&site, instruction, &operand->mem);
        out->memory = (uint8_t)(operand->size / 8);
        out->address = tic_site_address(&site, context);
    }
}

void tic_decoder_reads(const tic_decoder *decoder, const ucontext_t *context, tic_reads *out) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    const void *code = (const void *)at; /* NOLINT(performance-no-int-to-ptr) */
    *out = (tic_reads){.memory = 0};
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder->zydis, code, LONGEST, &instruction, operands)))
        return;
    for (int i = 0; i < instruction.operand_count; i++)
        reads_operand(out, &instruction, &operands[i], context);
    /* xor r, r makes a zero out of whatever r was. */
    if (instruction.mnemonic == ZYDIS_MNEMONIC_XOR &&
        operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        operands[0].reg.value == operands[1].reg.value)
        memset(out->read, 0, sizeof out->read);
}
