/* What this CPU can run: CPUID and the OS's state (XCR0) both asked. */
#ifndef TIC_BASE_CPU_H
#define TIC_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum tic_isa { /* a bit mask; each tier names all that its files are compiled with */
                       TIC_ISA_PORTABLE = 0,
                       TIC_ISA_AVX2 = 1 << 0,        /* AVX2, FMA, F16C, BMI2 */
                       TIC_ISA_AVX512 = 1 << 1,      /* F, BW, DQ, VL, on top of AVX2 */
                       TIC_ISA_AVX512_BF16 = 1 << 2, /* VDPBF16PS, on top of AVX512 */
                       TIC_ISA_AMX_BF16 =
                           1 << 3, /* TILE, BF16; granted by the kernel for this process */
} tic_isa;

typedef struct tic_cpu {
    char vendor[13], brand[49];
    int family, model, stepping; /* as CPUID displays them */
    unsigned isa; /* mask of tic_isa that CPU and OS both support, less what tic_cpu_limit took */
    size_t l1d, l2, l3; /* bytes; 0 if unknown */
    int cores;          /* that this process may run on (affinity) */
} tic_cpu;

const tic_cpu *tic_cpu_get(void); /* asked once; threads may call it at any time */
/* Takes from what this process has all that `isa` lacks, a mask with every tier below its highest:
 * what is left is what an older CPU has. Before a context is made, while no other thread runs. */
void tic_cpu_limit(unsigned isa);
/* "portable", "avx2", "avx512", "avx512_bf16", "amx_bf16": the highest tier in the mask. */
const char *tic_isa_name(unsigned isa);

#endif
