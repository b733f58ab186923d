/* Inside kernels/audit/ only: what registers hold behind each instruction of a block. */
#ifndef TIC_AUDIT_REGISTERS_H
#define TIC_AUDIT_REGISTERS_H

#include "kernels/audit/decode.h"

enum {
    TIC_REGISTERS = 16, /* integer, numbered as in gregs */
    TIC_MASKS = 8,
    TIC_TILES = 0 /* the configuration has the number of k0, which is no mask */
};

typedef struct tic_value { /* sum of times[i] * value number[i], plus what was added */
    int terms, number[TIC_TERMS];
    int32_t times[TIC_TERMS];
    int64_t added;
} tic_value;

typedef struct tic_registers {
    tic_value integer[TIC_REGISTERS];
    int mask[TIC_MASKS]; /* numbers: 0 is what the block begins with */
    int next;            /* number of a value */
} tic_registers;

void tic_registers_begin(tic_registers *r); /* as a block does */
/* Registers after the instruction. */
void tic_registers_follow(tic_registers *r, const tic_decoded *d);
/* False: it cannot be told by so few terms. */
bool tic_registers_address(const tic_registers *r, const tic_place *place, tic_value *out);
tic_value tic_registers_unknown(tic_registers *r); /* a value of its own */
/* A register that holds the value, or differs from it by a constant; TIC_NO_REGISTER: none does. */
uint8_t tic_registers_holder(const tic_registers *end, int number);

#endif
