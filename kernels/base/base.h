/* What every room stands on: status, memory, random numbers, hashes, files, the CPU, the clock. */
#ifndef TIC_BASE_H
#define TIC_BASE_H

#include "cpu.h"
#include "file.h"
#include "hash.h"
#include "integers.h"
#include "memory.h"
#include "names.h"
#include "random.h"
#include "status.h"

double tic_now(void); /* seconds of the monotonic clock */

#endif
