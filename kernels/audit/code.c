/* The program's own code, written into while it runs. */
#include "kernels/audit/room.h"

#include <sys/mman.h>
#include <unistd.h>

tic_status tic_code_writable(uint64_t at, size_t bytes, tic_error *err) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t begin = at / page * page, end = (at + bytes + page - 1) / page * page;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    if (mprotect((void *)(uintptr_t)begin, end - begin, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        return tic_fail(err, TIC_ERESOURCE, "audit: the system lets nobody change a program");
    return TIC_OK;
}

void tic_code_put(uint64_t at, unsigned char byte) {
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    __atomic_store_n((unsigned char *)(uintptr_t)at, byte, __ATOMIC_SEQ_CST);
}
