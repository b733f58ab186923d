/* CPUID, XCR0 and the kernel's permission for AMX, asked once. */
#include "kernels/base/cpu.h"

#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EAX, EBX, ECX, EDX };

/* All zeros where the CPU has no such leaf. */
static void cpuid(unsigned leaf, unsigned sub, unsigned r[4]) {
    memset(r, 0, 4 * sizeof r[0]);
    __get_cpuid_count(leaf, sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]);
}

static bool bit(unsigned word, int i) {
    return (word >> i & 1) != 0;
}

/* XCR0: which register states the OS saves (bits 1-2 XMM and YMM, 5-7 AVX-512, 17-18 tiles). */
static uint64_t os_states(void) {
    unsigned r[4], low, high;
    cpuid(1, 0, r);
    if (!bit(r[ECX], 27)) /* OSXSAVE */
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux grants tile data to a process that asks, before it makes threads (reference/cpu.md). */
static bool amx_granted(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

static unsigned find_isa(void) {
    unsigned one[4], seven[4], seven1[4], isa = TIC_ISA_PORTABLE;
    uint64_t states = os_states();
    cpuid(1, 0, one);
    cpuid(7, 0, seven);
    cpuid(7, 1, seven1);
    bool avx2 = bit(one[ECX], 12) /* FMA */ && bit(one[ECX], 28) /* AVX */ &&
                bit(one[ECX], 29) /* F16C */ && bit(seven[EBX], 5) /* AVX2 */ &&
                bit(seven[EBX], 8) /* BMI2 */;
    if (!avx2 || (states & 0x6) != 0x6)
        return isa;
    isa |= TIC_ISA_AVX2;
    bool avx512 = bit(seven[EBX], 16) /* F */ && bit(seven[EBX], 17) /* DQ */ &&
                  bit(seven[EBX], 30) /* BW */ && bit(seven[EBX], 31) /* VL */;
    if (!avx512 || (states & 0xe6) != 0xe6)
        return isa;
    isa |= TIC_ISA_AVX512;
    if (bit(seven1[EAX], 5))
        isa |= TIC_ISA_AVX512_BF16;
    bool amx = bit(seven[EDX], 24) /* TILE */ && bit(seven[EDX], 22) /* BF16 */;
    if (amx && (states & 0x60000) == 0x60000 && amx_granted())
        isa |= TIC_ISA_AMX_BF16;
    return isa;
}

static void find_names(tic_cpu *cpu) {
    unsigned r[4];
    cpuid(0, 0, r);
    memcpy(cpu->vendor, &r[EBX], 4);
    memcpy(cpu->vendor + 4, &r[EDX], 4);
    memcpy(cpu->vendor + 8, &r[ECX], 4);
    for (unsigned i = 0; i < 3; i++) {
        cpuid(0x80000002 + i, 0, r);
        memcpy(cpu->brand + 16 * i, r, 16);
    }
    cpuid(1, 0, r);
    cpu->stepping = (int)(r[EAX] & 15);
    cpu->model = (int)(r[EAX] >> 4 & 15);
    cpu->family = (int)(r[EAX] >> 8 & 15);
    if (cpu->family == 6 || cpu->family == 15)
        cpu->model |= (int)(r[EAX] >> 12 & 0xf0);
    if (cpu->family == 15)
        cpu->family += (int)(r[EAX] >> 20 & 255);
}

/* Deterministic cache parameters: leaf 4 on Intel, 8000001D with the same layout on AMD. */
static void find_caches(tic_cpu *cpu) {
    unsigned r[4];
    unsigned leaf = strcmp(cpu->vendor, "GenuineIntel") == 0 ? 4 : 0x8000001D;
    for (unsigned i = 0; i < 8; i++) {
        cpuid(leaf, i, r);
        unsigned type = r[EAX] & 31, level = r[EAX] >> 5 & 7;
        if (type == 0)
            return;
        size_t ways = (r[EBX] >> 22) + 1, partitions = (r[EBX] >> 12 & 1023) + 1;
        size_t line = (r[EBX] & 4095) + 1, sets = (size_t)r[ECX] + 1;
        size_t bytes = ways * partitions * line * sets;
        if (level == 1 && type == 1) /* data */
            cpu->l1d = bytes;
        else if (level == 2)
            cpu->l2 = bytes;
        else if (level == 3)
            cpu->l3 = bytes;
    }
}

static int count_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static tic_cpu this_cpu;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void ask(void) {
    find_names(&this_cpu);
    find_caches(&this_cpu);
    this_cpu.isa = find_isa();
    this_cpu.cores = count_cores();
}

const tic_cpu *tic_cpu_get(void) {
    pthread_once(&once, ask);
    return &this_cpu;
}

void tic_cpu_limit(unsigned isa) {
    pthread_once(&once, ask);
    this_cpu.isa &= isa;
}

const char *tic_isa_name(unsigned isa) {
    if (isa & TIC_ISA_AMX_BF16)
        return "amx_bf16";
    if (isa & TIC_ISA_AVX512_BF16)
        return "avx512_bf16";
    if (isa & TIC_ISA_AVX512)
        return "avx512";
    if (isa & TIC_ISA_AVX2)
        return "avx2";
    return "portable";
}
