/* The rule that turns decoded instructions into MACs: kernels/room.h, TIC_PRODUCT. */
#include "kernels/audit/room.h"

void tic_tally_add(tic_tally *tally, const tic_site *site, const ucontext_t *context) {
    const uint64_t work = tic_site_work(site, context);
    switch (site->kind) {
    case TIC_FMA:
        tally->fma += work;
        break;
    case TIC_MULTIPLY:
        tally->multiplied += work;
        break;
    case TIC_ADD:
        tally->added += work;
        break;
    case TIC_DOT:
        tally->dot += work;
        break;
    default:
        tally->tile += work;
    }
}

void tic_tally_sum(tic_tally *to, const tic_tally *more) {
    to->calls += more->calls;
    to->fma += more->fma;
    to->multiplied += more->multiplied;
    to->added += more->added;
    to->dot += more->dot;
    to->tile += more->tile;
}

void tic_executed_add(tic_executed *out, const tic_tally *tally, tic_role role, uint64_t times) {
    if (role == TIC_ELSEWHERE) {
        out->misplaced += times * (tally->dot + tally->tile);
    } else {
        out->calls += times * tally->calls;
        out->dot += times * tally->dot;
        out->tile += times * tally->tile;
    }
    if (role == TIC_ROLE_PRODUCT) {
        out->fma += times * tally->fma;
        /* multiplications with an addition for each */
        out->multiply_add +=
            times * (uint64_t)tic_least((int64_t)tally->multiplied, (int64_t)tally->added);
    } else {
        out->elementwise += times * (tally->fma + tally->multiplied);
    }
}

uint64_t tic_executed_macs(const tic_executed *executed) {
    return executed->fma + executed->multiply_add + executed->dot + executed->tile;
}

uint64_t tic_tally_macs(const tic_tally *tally, tic_role role) {
    tic_executed executed = {.fma = 0};
    tic_executed_add(&executed, tally, role, 1);
    return tic_executed_macs(&executed);
}
