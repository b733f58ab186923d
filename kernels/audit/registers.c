/* Integer registers, masks and tiles, followed from instruction to instruction. */
#include "kernels/audit/registers.h"

static tic_value numbered(int number) {
    return (tic_value){.terms = 1, .number = {number}, .times = {1}};
}

tic_value tic_registers_unknown(tic_registers *r) {
    return numbered(r->next++);
}

void tic_registers_begin(tic_registers *r) {
    *r = (tic_registers){.next = TIC_REGISTERS};
    for (int i = 0; i < TIC_REGISTERS; i++)
        r->integer[i] = numbered(i);
}

/* *to += times * more. False when it does not fit. */
static bool add_times(int32_t *to, int32_t times, int32_t more) {
    int32_t product;
    return !__builtin_mul_overflow(times, more, &product) &&
           !__builtin_add_overflow(*to, product, to);
}

/* to += times * more. False when that has too many terms, or too large ones. */
static bool add_value(tic_value *to, const tic_value *more, int32_t times) {
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

bool tic_registers_address(const tic_registers *r, const tic_place *place, tic_value *out) {
    *out = (tic_value){.added = place->displacement};
    return (place->base == TIC_NO_REGISTER || add_value(out, &r->integer[place->base], 1)) &&
           (place->index == TIC_NO_REGISTER ||
            add_value(out, &r->integer[place->index], place->scale));
}

static const tic_value *integer_of(const tic_registers *r, const ZydisDecodedOperand *operand) {
    const uint8_t place = operand->type == ZYDIS_OPERAND_TYPE_REGISTER
                              ? tic_register_place(operand->reg.value)
                              : TIC_NO_REGISTER;
    return place == TIC_NO_REGISTER || operand->size != 64 ? NULL : &r->integer[place];
}

/* Whether it leaves a value that follows from others: *out is that value then. */
static bool derives(const tic_registers *r, const tic_decoded *d, tic_value *out) {
    const ZydisDecodedOperand *o = d->operands;
    const tic_value *to = integer_of(r, &o[0]);
    const tic_value *from = d->instruction.operand_count > 1 ? integer_of(r, &o[1]) : NULL;
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
               tic_operand_place(&place, &o[1], 0) && tic_registers_address(r, &place, out);
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

void tic_registers_follow(tic_registers *r, const tic_decoded *d) {
    tic_value derived, stack = r->integer[REG_RSP];
    const bool known = derives(r, d, &derived);
    for (int i = 0; i < d->instruction.operand_count; i++) {
        const ZydisDecodedOperand *o = &d->operands[i];
        if (o->type != ZYDIS_OPERAND_TYPE_REGISTER ||
            !(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        const uint8_t place = tic_register_place(o->reg.value);
        if (place != TIC_NO_REGISTER)
            r->integer[place] = tic_registers_unknown(r);
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
        r->integer[REG_RAX] = tic_registers_unknown(r);
    if (d->instruction.mnemonic == ZYDIS_MNEMONIC_LDTILECFG ||
        d->instruction.mnemonic == ZYDIS_MNEMONIC_TILERELEASE)
        r->mask[TIC_TILES] = r->next++;
}

uint8_t tic_registers_holder(const tic_registers *end, int number) {
    for (int i = 0; i < TIC_REGISTERS; i++) {
        const tic_value *v = &end->integer[i];
        if (v->terms == 1 && v->number[0] == number && v->times[0] == 1)
            return (uint8_t)i;
    }
    return TIC_NO_REGISTER;
}
