/* Stepping: from one branch to the next code runs by itself; at the branch a breakpoint raises
 * SIGTRAP, and the handler takes the branch and adds up what the block behind it is about to
 * execute. With the trap flag set the CPU raises it before every instruction, for the blocks that
 * ask for it. */
#include "kernels/audit/room.h"

#include <omp.h>
#include <signal.h>
#include <string.h>

enum { STACK = 1 << 17 }; /* a frame with live tiles takes 12 KiB, and they nest */

static __thread tic_stepper *self; /* NULL: this thread is not stepped */
static const tic_trace *traced;    /* the process's, while a call is watched; else NULL */
static struct sigaction before;    /* what the process did at a trap */

static uint64_t worked(const tic_stepper *s, int product) {
    const int place = s->trace->products[product];
    return tic_tally_macs(&s->tally[place], s->trace->symbols.list[place].role);
}

/* ---- where counters and work part ------------------------------------------------------------ */

static uint64_t told_now(const tic_stepper *s) {
    uint64_t sum = 0;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
        for (int op = 0; op < TIC_OP_COUNT; op++)
            sum += s->counters->issued[p][op];
    return sum;
}

static uint64_t worked_now(const tic_stepper *s) {
    uint64_t sum = 0;
    for (int i = 0; i < s->trace->product_count; i++)
        sum += worked(s, i);
    return sum;
}

/* The product micro-kernel that did most so far. */
static const char *hardest_worker(const tic_stepper *s) {
    int best = -1;
    for (int i = 0; i < s->trace->product_count; i++)
        if (worked(s, i) > (best < 0 ? 0 : worked(s, best)))
            best = i;
    return best < 0 ? "no product micro-kernel"
                    : s->trace->symbols.list[s->trace->products[best]].name;
}

/* At the end of a block: whether it told the counters, and what had been done. */
static void compare(tic_stepper *s) {
    const uint64_t told = told_now(s);
    if (told == s->told_then)
        return;
    const uint64_t work = worked_now(s);
    const int teller = tic_symbols_find(&s->trace->symbols, s->block->begin);
    if (told - s->told_then != work - s->worked_then && s->parting.teller == NULL)
        s->parting = (tic_parting){teller < 0 ? "a function without a name"
                                              : s->trace->symbols.list[teller].name,
                                   hardest_worker(s), work - s->worked_then, told - s->told_then};
    s->told_then = told;
    s->worked_then = work;
}

/* ---- the handler ----------------------------------------------------------------------------- */

static tic_tally *tally_of(void *user, int function) {
    tic_stepper *s = user;
    return &s->tally[function < 0 ? s->trace->symbols.count : function];
}

static void count(tic_stepper *s, bool at_end, const ucontext_t *context) {
    tic_block_count(s->blocks, s->block, at_end, context, tally_of, s);
}

/* An instruction of a block that is stepped one by one. Some virtual machines lose a trap now and
 * then: what was not seen is not guessed. */
static void step(tic_stepper *s, const ucontext_t *context) {
    const uint64_t at = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
    const tic_site *site = tic_decoder_at(s->decoder, at);
    if (site != NULL && site->kind == TIC_OTHER && at + site->length == s->next)
        return; /* a string instruction traps once a round */
    if (site == NULL || (at != s->next && at != s->block->begin)) {
        s->lost = true;
        return;
    }
    s->next = at + site->length;
    tic_tally *tally = tally_of(s, site->function);
    if (site->kind != TIC_OTHER)
        tic_tally_add(tally, site, context);
    if (site->function >= 0 && at == s->trace->symbols.list[site->function].begin)
        tally->calls++;
}

/* At the begin of a block. True: it is its branch alone. */
static bool arrive(tic_stepper *s, ucontext_t *context) {
    greg_t *regs = context->uc_mcontext.gregs;
    s->block = tic_blocks_at(s->blocks, (uint64_t)regs[REG_RIP]);
    if (s->block == NULL) {
        s->lost = true;
        return false;
    }
    s->instructions += s->block->instructions;
    if (s->block->branch != NULL) {
        tic_branches_plant(s->trace->branches, s->block->branch);
        s->instructions++;
        if (s->block->instructions == 0)
            return true;
    }
    if (s->block->masks_lost) {
        step(s, context);
        regs[REG_EFL] |= TIC_TRAP_FLAG;
    } else {
        count(s, false, context);
    }
    return false;
}

/* At the end of the block: on to the next that does more than branch. */
static void pass(tic_stepper *s, ucontext_t *context) {
    do {
        if (s->block->branch == NULL) { /* the program's own breakpoint is the last of all */
            s->on = false;
            context->uc_mcontext.gregs[REG_RIP] = (greg_t)s->block->end + 1;
            return;
        }
        tic_branch_take(s->block->branch, context);
    } while (arrive(s, context));
}

static void walk(tic_stepper *s, ucontext_t *context, uint64_t at) {
    greg_t *regs = context->uc_mcontext.gregs;
    if (s->block == NULL) { /* behind the breakpoint that begins it */
        if (arrive(s, context))
            pass(s, context);
    } else if (at != s->block->end) {
        step(s, context);
    } else {
        regs[REG_EFL] &= ~(greg_t)TIC_TRAP_FLAG;
        if (!s->block->masks_lost)
            count(s, true, context);
        else if (at != s->next)
            s->lost = true;
        compare(s);
        pass(s, context);
    }
}

/* Takes the branch that a breakpoint stands at. It may be met within the handler, by a thread that
 * is not stepped, or by one that met what it could not follow. */
__attribute__((no_sanitize("address", "undefined"))) static void
take_only(const tic_trace *trace, ucontext_t *context, bool breakpoint) {
    greg_t *regs = context->uc_mcontext.gregs;
    const tic_branch *branch =
        breakpoint ? tic_branches_find(trace->branches, (uint64_t)regs[REG_RIP] - 1) : NULL;
    if (branch != NULL)
        tic_branch_take(branch, context);
    if (!breakpoint)
        regs[REG_EFL] &= ~(greg_t)TIC_TRAP_FLAG;
}

static void handle(tic_stepper *s, ucontext_t *context, bool breakpoint) {
    const uint64_t at = (uint64_t)context->uc_mcontext.gregs[REG_RIP] - breakpoint;
    if (tic_catcher_on(s->trace->catcher))
        tic_catcher_trap(s->trace->catcher, context, breakpoint);
    else if (s->on && !s->lost &&
             (s->block == NULL || at == s->block->end || (!breakpoint && s->block->masks_lost)))
        walk(s, context, at);
    else
        take_only(s->trace, context, breakpoint);
}

__attribute__((no_sanitize("address", "undefined"))) static void
on_trap(int number, siginfo_t *info, void *user) {
    enum { OF_A_BREAKPOINT = 3 };
    const ucontext_t *context = user; /* si_code is not to be trusted on a virtual machine */
    const bool breakpoint = context->uc_mcontext.gregs[REG_TRAPNO] == OF_A_BREAKPOINT;
    (void)number, (void)info;
    if (self == NULL || self->busy) {
        take_only(traced, user, breakpoint);
        return;
    }
    self->busy = true;
    handle(self, user, breakpoint);
    self->busy = false;
}

static void take_traps(const tic_trace *trace) {
    struct sigaction action = {.sa_sigaction = on_trap,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    traced = trace;
    sigaction(SIGTRAP, &action, &before);
}

/* When no thread can come to a breakpoint any more. */
static void leave_traps(void) {
    sigaction(SIGTRAP, &before, NULL);
    traced = NULL;
}

/* ---- arming ---------------------------------------------------------------------------------- */

static void enter_thread(tic_stepper *s) {
    const stack_t stack = {.ss_sp = s->stack, .ss_size = STACK};
    sigaltstack(&stack, NULL);
    self = s;
}

static void leave_thread(void) {
    const stack_t none = {.ss_flags = SS_DISABLE};
    self = NULL;
    sigaltstack(&none, NULL);
}

/* Stepping begins behind one of these and ends at the next. */
static inline __attribute__((always_inline)) void own_breakpoint(void) {
    __asm__ volatile("int3" ::: "memory");
}

void tic_trace_enter(tic_trace *trace) {
    take_traps(trace);
    enter_thread(&trace->steppers[0]);
}

void tic_trace_leave(void) {
    leave_thread();
    leave_traps();
}

/* Threads other than the caller's are stepped from here on, waiting included. */
static void arm(tic_trace *trace) {
#pragma omp parallel num_threads(trace->ctx->threads) if (trace->ctx->threads > 1)
    {
        tic_stepper *s = &trace->steppers[omp_get_thread_num()];
        enter_thread(s);
        s->on = omp_get_thread_num() > 0;
        if (s->on)
            own_breakpoint();
    }
}

/* They end here. Threads wait between the two in code with breakpoints: one may have trapped and
 * not yet be in the handler. Who comes to the second is past them all. */
static void disarm(tic_trace *trace) {
#pragma omp parallel num_threads(trace->ctx->threads) if (trace->ctx->threads > 1)
    {
        if (omp_get_thread_num() > 0)
            own_breakpoint();
        leave_thread();
    }
    tic_branches_lift(trace->branches);
#pragma omp parallel num_threads(trace->ctx->threads) if (trace->ctx->threads > 1)
    { __asm__ volatile("" ::: "memory"); }
}

/* ---- a call ---------------------------------------------------------------------------------- */

void tic_trace_tidy(tic_trace *trace) {
    bool much = tic_branches_filling(trace->branches);
    for (int t = 0; t < trace->ctx->threads; t++)
        much |= tic_blocks_filling(trace->steppers[t].blocks);
    if (!much)
        return;
    for (int t = 0; t < trace->ctx->threads; t++)
        tic_blocks_clear(trace->steppers[t].blocks);
    tic_branches_clear(trace->branches);
}

static void reset(tic_trace *trace) {
    for (int t = 0; t < trace->ctx->threads; t++) {
        tic_stepper *s = &trace->steppers[t];
        memset(s->tally, 0, ((size_t)trace->symbols.count + 1) * sizeof *s->tally);
        s->instructions = 0;
        s->block = NULL;
        s->lost = false;
        s->parting = (tic_parting){.teller = NULL};
        s->told_then = told_now(s);
        s->worked_then = 0;
    }
}

/* Multiplications and additions of a function are set against each other over all threads. */
static void sum_up(const tic_trace *trace, tic_executed *out) {
    *out = (tic_executed){.fma = 0};
    for (int f = 0; f <= trace->symbols.count; f++) {
        const tic_function *function = f < trace->symbols.count ? &trace->symbols.list[f] : NULL;
        const uint64_t misplaced = out->misplaced;
        tic_tally sum = {0};
        for (int t = 0; t < trace->ctx->threads; t++)
            tic_tally_sum(&sum, &trace->steppers[t].tally[f]);
        tic_executed_add(out, &sum, function != NULL ? function->role : TIC_ELSEWHERE, 1);
        if (out->misplaced > misplaced)
            out->misplaced_in = function != NULL ? function->name : "a function without a name";
    }
    for (int t = 0; t < trace->ctx->threads; t++)
        out->instructions += trace->steppers[t].instructions;
}

static bool any_lost(const tic_trace *trace) {
    for (int t = 0; t < trace->ctx->threads; t++)
        if (trace->steppers[t].lost)
            return true;
    return false;
}

tic_status tic_trace_step(tic_trace *trace, tic_traced_fn call, void *user, tic_executed *out,
                          tic_parting *parting, tic_error *err) {
    tic_trace_tidy(trace);
    reset(trace);
    take_traps(trace);
    arm(trace);
    trace->steppers[0].on = true;
    own_breakpoint();
    tic_status status = call(user, err);
    own_breakpoint();
    disarm(trace);
    leave_traps();
    sum_up(trace, out);
    *parting = (tic_parting){.teller = NULL};
    for (int t = trace->ctx->threads - 1; t >= 0; t--)
        if (trace->steppers[t].parting.teller != NULL)
            *parting = trace->steppers[t].parting;
    if (status == TIC_OK && any_lost(trace))
        return tic_fail(err, TIC_EINTERNAL, "audit: the program could not be followed");
    return status;
}

/* ---- new, free ------------------------------------------------------------------------------- */

static tic_status find_products(tic_trace *trace, tic_error *err) {
    const tic_symbols *symbols = &trace->symbols;
    TIC_TRY(tic_alloc(&trace->products, (size_t)symbols->count, sizeof(int), err));
    TIC_TRY(tic_alloc(&trace->product_of, (size_t)symbols->count, sizeof(int), err));
    for (int i = 0; i < symbols->count; i++) {
        trace->product_of[i] = symbols->list[i].role == TIC_ELSEWHERE ? -1 : trace->product_count;
        if (symbols->list[i].role != TIC_ELSEWHERE)
            trace->products[trace->product_count++] = i;
    }
    return TIC_OK;
}

static tic_status make_stepper(tic_trace *trace, int thread, tic_error *err) {
    tic_stepper *s = &trace->steppers[thread];
    s->trace = trace;
    s->counters = &trace->ctx->count[thread];
    TIC_TRY(tic_decoder_new(&s->decoder, &trace->symbols, trace->branches, err));
    TIC_TRY(tic_blocks_new(&s->blocks, &trace->symbols, trace->branches, err));
    TIC_TRY(tic_alloc(&s->tally, (size_t)trace->symbols.count + 1, sizeof *s->tally, err));
    return tic_alloc(&s->stack, STACK, 1, err);
}

static tic_status make(tic_trace *trace, tic_error *err) {
    TIC_TRY(tic_symbols_new(&trace->symbols, err));
    TIC_TRY(find_products(trace, err));
    TIC_TRY(tic_branches_new(&trace->branches, err));
    TIC_TRY(tic_alloc(&trace->steppers, (size_t)trace->ctx->threads, sizeof(tic_stepper), err));
    for (int t = 0; t < trace->ctx->threads; t++)
        TIC_TRY(make_stepper(trace, t, err));
    return TIC_OK;
}

tic_status tic_trace_new(tic_trace **out, tic_ctx *ctx, tic_error *err) {
    tic_trace *trace;
    *out = NULL;
    TIC_TRY(tic_alloc(&trace, 1, sizeof *trace, err));
    trace->ctx = ctx;
    tic_status status = make(trace, err);
    if (status == TIC_OK)
        *out = trace;
    else
        tic_trace_free(trace);
    return status;
}

void tic_trace_free(tic_trace *trace) {
    if (trace == NULL)
        return;
    for (int t = 0; trace->steppers != NULL && t < trace->ctx->threads; t++) {
        tic_decoder_free(trace->steppers[t].decoder);
        tic_blocks_free(trace->steppers[t].blocks);
        tic_free(trace->steppers[t].tally);
        tic_free(trace->steppers[t].stack);
    }
    tic_free(trace->steppers);
    tic_catcher_free(trace->catcher);
    tic_branches_free(trace->branches);
    tic_free(trace->products);
    tic_free(trace->product_of);
    tic_symbols_free(&trace->symbols);
    tic_free(trace);
}
