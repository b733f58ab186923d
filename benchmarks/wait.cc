// See wait.h.
#include "wait.h"

#include <cstdlib>
#include <unistd.h>

void WaitAsTiclipDoes(char **argv) {
    constexpr char kPolicy[] = "OMP_WAIT_POLICY", kSpins[] = "GOMP_SPINCOUNT";
    if (getenv(kPolicy) == nullptr && getenv(kSpins) == nullptr &&
        setenv(kPolicy, "passive", 1) == 0 && setenv(kSpins, "1000", 1) == 0)
        execv("/proc/self/exe", argv);
}
