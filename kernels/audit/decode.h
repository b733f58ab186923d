/* Inside kernels/audit/ only: what decode.c and blocks.c share of Zydis. */
#ifndef TIC_AUDIT_DECODE_H
#define TIC_AUDIT_DECODE_H

#include "kernels/audit/room.h"

#include <Zydis/Zydis.h>

typedef struct tic_decoded {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
} tic_decoded;
/* What stands there, whatever breakpoint stands on it. False: it is no instruction. */
bool tic_decode(const ZydisDecoder *zydis, const tic_branches *branches, uint64_t at,
                tic_decoded *out);

/* What it multiplies and adds. `function` is left out. */
void tic_site_make(tic_site *out, uint64_t at, const tic_decoded *decoded);
/* Where a context keeps the register, of any width; TIC_NO_REGISTER: it is no integer one. */
uint8_t tic_register_place(ZydisRegister reg);
/* False when it is relative to a segment. `next` is the address behind the instruction. */
bool tic_operand_place(tic_place *out, const ZydisDecodedOperand *operand, uint64_t next);
/* What it loads of an integer or one element: their number, two at most (cmps). Prefetches load
 * nothing. */
int tic_loads_of(const tic_decoded *decoded, uint64_t at, tic_place place[2], uint8_t bytes[2]);
/* Which of tic_arguments it is; -1: it is none. */
int tic_argument_of(uint8_t place);
/* Bytes that it reads of them, and which it writes. */
void tic_argument_use(const tic_decoded *decoded, uint8_t read[6], uint8_t *written);

#endif
