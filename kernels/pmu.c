/* What hardware counters tell of multiply-adds, and why there are none; PAPI itself is papi.c's.
 *
 * Intel, FP_ARITH_INST_RETIRED (0xC7): retired arithmetic instructions by width; an FMA counts
 * twice, add, mul, div, min, max and sqrt once. So count x lanes is FLOPs, half of which is the
 * FMAs' MACs: that corrects for the double counting. What is left and cannot be told apart:
 * elementwise work (half a MAC a lane and instruction), and lanes that a mask leaves out, which
 * count in full; so the figure is an upper bound of the f32 products. VDPBF16PS and AMX's tile
 * products are not in it.
 *
 * AMD, RETIRED_SSE_AVX_FLOPS (0x003): FLOPs by kind, lanes included. MAC_FLOPS tells 2 for each
 * multiply-add, hence half; additions and multiplications of their own are other kinds and not
 * asked for, elementwise FMAs are in it, and so are FMAs in f64. On Zen 4 BFLOAT_MAC_FLOPS tells
 * VDPBF16PS the same way. Up to 64 a cycle: the kernel pairs two counters for it ("large
 * increment"), so that two events take four of the six.
 *
 * Sources: Intel's perfmon event lists (SPR, ICX, SKX), AMD's PPR for families 17h and 19h
 * (PMCx003), libpfm 4.13. */
#include "kernels/room.h"

#include <cpuid.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const tic_pmu_event intel[] = {
    {"FP_ARITH_INST_RETIRED:SCALAR_SINGLE", 1, 0},
    {"FP_ARITH_INST_RETIRED:128B_PACKED_SINGLE", 4, 0},
    {"FP_ARITH_INST_RETIRED:256B_PACKED_SINGLE", 8, 0},
    {"FP_ARITH_INST_RETIRED:512B_PACKED_SINGLE", 16, TIC_ISA_AVX512},
};
static const tic_pmu_event amd[] = {
    {"RETIRED_SSE_AVX_FLOPS:MAC_FLOPS", 1, 0},
    {"RETIRED_SSE_AVX_FLOPS:BFLOAT_MAC_FLOPS", 1, TIC_ISA_AVX512_BF16},
};

static int take(const tic_pmu_event *from, size_t count, unsigned isa,
                tic_pmu_event out[TIC_PMU_EVENTS]) {
    int taken = 0;
    for (size_t i = 0; i < count; i++)
        if (from[i].isa == 0 || (isa & from[i].isa) != 0)
            out[taken++] = from[i];
    return taken;
}

int tic_pmu_events(const char *vendor, unsigned isa, tic_pmu_event out[TIC_PMU_EVENTS]) {
    if (strcmp(vendor, "GenuineIntel") == 0)
        return take(intel, sizeof intel / sizeof intel[0], isa, out);
    if (strcmp(vendor, "AuthenticAMD") == 0)
        return take(amd, sizeof amd / sizeof amd[0], isa, out);
    return 0;
}

uint64_t tic_pmu_macs(const tic_pmu_event *events, int count, const int64_t *counts) {
    uint64_t flops = 0;
    for (int i = 0; i < count; i++)
        flops += (uint64_t)counts[i] * (uint64_t)events[i].flops;
    return flops / 2;
}

/* ---- why there are none ---------------------------------------------------------------------- */

const char *tic_pmu_reason(const tic_pmu_facts *f, char text[TIC_PMU_TEXT]) {
    if (f->events == 0)
        snprintf(text, TIC_PMU_TEXT, "no event that counts multiply-adds is known of a %s CPU",
                 f->vendor);
    else if (f->error == ENOENT && strcmp(f->vendor, "GenuineIntel") == 0 && f->version == 0)
        snprintf(text, TIC_PMU_TEXT,
                 "perf_event_open: ENOENT; CPUID leaf 0xA tells no counters, as a virtual machine "
                 "that hides them");
    else if (f->error == ENOENT)
        snprintf(text, TIC_PMU_TEXT,
                 "perf_event_open: ENOENT; the kernel has no driver for counters of a %s family %d "
                 "model %d",
                 f->vendor, f->family, f->model);
    else if ((f->error == EACCES || f->error == EPERM) && f->paranoid > 2)
        snprintf(text, TIC_PMU_TEXT,
                 "/proc/sys/kernel/perf_event_paranoid is %d: a process may count itself with 2 or "
                 "less, or with CAP_PERFMON",
                 f->paranoid);
    else if (f->error == EACCES || f->error == EPERM)
        snprintf(text, TIC_PMU_TEXT,
                 "perf_event_open: %s, though perf_event_paranoid is %d: a container's filter?",
                 f->error == EPERM ? "EPERM" : "EACCES", f->paranoid);
    else if (f->error != 0)
        snprintf(text, TIC_PMU_TEXT, "perf_event_open: %s", strerror(f->error));
    else if (f->missing != NULL)
        snprintf(text, TIC_PMU_TEXT,
                 "PAPI does not know %s on a %s family %d model %d (LIBPFM_FORCE_PMU may help)",
                 f->missing, f->vendor, f->family, f->model);
    else
        return NULL;
    return text;
}

static int paranoid(void) {
    int level = 0;
    FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &level) != 1)
        level = 0;
    fclose(file);
    return level;
}

/* errno of opening a counter of this thread's instructions; 0: it opened. */
static int open_error(void) {
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    const long file = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0UL);
    if (file < 0)
        return errno;
    close((int)file);
    return 0;
}

tic_pmu_facts tic_pmu_look(void) {
    const tic_cpu *cpu = tic_cpu_get();
    tic_pmu_event events[TIC_PMU_EVENTS];
    unsigned a = 0, b, c, d;
    __get_cpuid_count(10, 0, &a, &b, &c, &d);
    return (tic_pmu_facts){.vendor = cpu->vendor,
                           .family = cpu->family,
                           .model = cpu->model,
                           .events = tic_pmu_events(cpu->vendor, cpu->isa, events),
                           .error = open_error(),
                           .paranoid = paranoid(),
                           .version = (int)(a & 255)};
}
