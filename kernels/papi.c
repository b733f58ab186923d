/* The counters as PAPI's software-defined events (SDE), and the state of PAPI's hardware counters.
 * Nothing else in ticlip knows PAPI. */
#include "kernels/room.h"

#include <omp.h>
#include <papi.h>
#include <pthread.h>
#include <sde_lib.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
/* libsde (PAPI 7.0) copies the descriptions of events and never frees them. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libsde";
}
#endif

static const char library_name[] = "ticlip";
/* By purpose, then by operation, then the sums. */
enum {
    BY_OPERATION = TIC_PURPOSE_COUNT,
    ISSUED = BY_OPERATION + TIC_OP_COUNT,
    LOGICAL,
    EVENTS,
    EVENT_TEXT = 64
};

static void end_set(void);

/* The one exported context. SDE hands `&slots[i]` back when it wants event i's value. */
static struct {
    const tic_ctx *ctx;
    papi_handle_t handle;
    int slots[EVENTS];
    int set; /* tic_papi_read's event set, running from its first call on; PAPI_NULL before */
} exported;

/* What a purpose's MACs are spent for, as its event's description tells it. */
static const char *const spent_for[TIC_PURPOSE_COUNT] = {
    [TIC_FOR_FORWARD] = "training's forward pass",
    [TIC_FOR_BACKWARD] = "training's backward pass",
    [TIC_FOR_RECOMPUTE] = "the second forward pass of a micro-batched step",
    [TIC_FOR_TEACHER] = "the teacher of LwF",
    [TIC_FOR_FISHER] = "the Fisher information of EWC",
    [TIC_FOR_SELECTION] = "the scores that past pairs are selected by",
    [TIC_FOR_PATCHING] = "the search of patching",
    [TIC_FOR_EVALUATION] = "evaluation",
    [TIC_FOR_TUNING] = "tuning and calibration",
};

/* "MACS_ISSUED", "MACS_LOGICAL", "MACS_ISSUED_FORWARD" ..., "MACS_ISSUED_GEMM" ... */
static void event_name(int event, char name[EVENT_TEXT]) {
    if (event >= ISSUED) {
        snprintf(name, EVENT_TEXT, event == ISSUED ? "MACS_ISSUED" : "MACS_LOGICAL");
        return;
    }
    const char *part = event < BY_OPERATION ? tic_purpose_name((tic_purpose)event)
                                            : tic_op_name((tic_op)(event - BY_OPERATION));
    int used = snprintf(name, EVENT_TEXT, "MACS_ISSUED_");
    for (const char *p = part; *p != '\0'; p++)
        name[used++] = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    name[used] = '\0';
}

static void event_about(int event, char text[EVENT_TEXT * 2]) {
    if (event == ISSUED)
        snprintf(text, EVENT_TEXT * 2, "multiply-adds executed by ticlip's kernels, with padding");
    else if (event == LOGICAL)
        snprintf(text, EVENT_TEXT * 2, "multiply-adds that the shapes needed");
    else if (event < BY_OPERATION)
        snprintf(text, EVENT_TEXT * 2, "multiply-adds executed, with padding, for %s",
                 spent_for[event]);
    else
        snprintf(text, EVENT_TEXT * 2, "multiply-adds executed, with padding, by the operation %s",
                 tic_op_name((tic_op)(event - BY_OPERATION)));
}

static bool adds_to(int event, int purpose, int op) {
    return event >= ISSUED || event == purpose || event == BY_OPERATION + op;
}

/* Only what the event sums, straight from the threads: a reader asks for all events one by one, and
 * a snapshot (tic_ctx_counters) for each would be all the layers' counters too, and the CPU's. */
static long long value_of(void *slot) {
    const int event = *(const int *)slot;
    const tic_ctx *ctx = exported.ctx;
    uint64_t sum = 0;
    if (ctx == NULL)
        return 0;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
        for (int op = 0; op < TIC_OP_COUNT; op++)
            if (adds_to(event, p, op)) {
                sum += event == LOGICAL ? ctx->logical[p][op] : 0;
                for (int t = 0; t < ctx->threads && event != LOGICAL; t++)
                    sum += ctx->count[t].issued[p][op];
            }
    return (long long)sum;
}

/* Event i's name and description through the functions in `sde`; NULL when it refuses one.
 * PAPI_SDE_DELTA: what a tool reads is what was counted since its PAPI_start. */
static papi_handle_t register_events(papi_sde_fptr_struct_t *sde, tic_error *err) {
    papi_handle_t handle = sde->init(library_name);
    if (handle == NULL) {
        tic_fail(err, TIC_ERESOURCE, "PAPI: cannot register software-defined events");
        return NULL;
    }
    for (int event = 0; event < EVENTS; event++) {
        char name[EVENT_TEXT], about[EVENT_TEXT * 2];
        event_name(event, name);
        event_about(event, about);
        exported.slots[event] = event;
        if (sde->register_counter_cb(handle, name, PAPI_SDE_RO | PAPI_SDE_DELTA, PAPI_SDE_long_long,
                                     value_of, &exported.slots[event]) != 0) {
            sde->shutdown(handle);
            tic_fail(err, TIC_ERESOURCE, "PAPI: cannot register the event %s", name);
            return NULL;
        }
        sde->describe_counter(handle, name, about);
    }
    return handle;
}

/* PAPI's hook: `papi_native_avail -sde FILE` calls it in a shared library (kernels/meson.build) to
 * learn which events there are. */
papi_handle_t papi_sde_hook_list_events(papi_sde_fptr_struct_t *sde) {
    tic_error err;
    return register_events(sde, &err);
}

tic_status tic_papi_export(tic_ctx *ctx, tic_error *err) {
    papi_sde_fptr_struct_t sde = {0};
    POPULATE_SDE_FPTR_STRUCT(sde);
    if (exported.ctx != NULL)
        return tic_fail(err, TIC_EUSAGE, "PAPI: another context is already exported");
    exported.handle = register_events(&sde, err);
    if (exported.handle == NULL)
        return err->status;
    exported.set = PAPI_NULL;
    exported.ctx = ctx;
    return TIC_OK;
}

void tic_papi_forget(const tic_ctx *ctx) {
    if (ctx != exported.ctx || ctx == NULL)
        return;
    end_set();
    /* libsde 1.0 leaks a copy of each event's name here (300 bytes in all), and frees one twice
     * when the events are unregistered first. */
    papi_sde_shutdown(exported.handle);
    exported.ctx = NULL;
}

/* ---- PAPI's own side ------------------------------------------------------------------------ */

static int started; /* what PAPI_library_init returned */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void) {
    started = PAPI_library_init(PAPI_VER_CURRENT);
}

static bool papi_runs(void) {
    pthread_once(&once, start);
    return started == PAPI_VER_CURRENT;
}

/* PAPI itself takes any SDE name and reads 0, for libraries that register later. */
static int find_event(const char *text) {
    int event = 0;
    for (; event < EVENTS; event++) {
        char name[EVENT_TEXT];
        event_name(event, name);
        if (strcmp(name, text) == 0)
            break;
    }
    return event;
}

static void end_set(void) {
    long long values[EVENTS];
    if (exported.set == PAPI_NULL)
        return;
    PAPI_stop(exported.set, values);
    PAPI_cleanup_eventset(exported.set);
    PAPI_destroy_eventset(&exported.set);
    exported.set = PAPI_NULL;
}

/* All events in one set, which counts from now on. */
static int begin_set(void) {
    int code = PAPI_create_eventset(&exported.set);
    for (int event = 0; code == PAPI_OK && event < EVENTS; event++) {
        char name[EVENT_TEXT], full[EVENT_TEXT * 2];
        event_name(event, name);
        snprintf(full, sizeof full, "sde:::%s::%s", library_name, name);
        code = PAPI_add_named_event(exported.set, full);
    }
    return code == PAPI_OK ? PAPI_start(exported.set) : code;
}

tic_status tic_papi_read(const char *name, int64_t *value, tic_error *err) {
    const int event = find_event(name);
    long long values[EVENTS];
    int code = PAPI_OK;
    if (exported.ctx == NULL)
        return tic_fail(err, TIC_EUSAGE, "PAPI: no context is exported");
    if (event == EVENTS)
        return tic_fail(err, TIC_EUSAGE, "PAPI: there is no event %s", name);
    if (!papi_runs())
        return tic_fail(err, TIC_ERESOURCE, "PAPI: the library does not start");
    if (exported.set == PAPI_NULL && (code = begin_set()) != PAPI_OK)
        end_set();
    if (code == PAPI_OK)
        code = PAPI_read(exported.set, values);
    if (code != PAPI_OK)
        return tic_fail(err, TIC_EUSAGE, "PAPI: cannot read %s: %s", name, PAPI_strerror(code));
    *value = values[event];
    return TIC_OK;
}

/* ---- hardware counters ----------------------------------------------------------------------- */

static const char *find_missing(void) {
    static tic_pmu_event events[TIC_PMU_EVENTS]; /* names outlive the call */
    const tic_cpu *cpu = tic_cpu_get();
    const int count = tic_pmu_events(cpu->vendor, cpu->isa, events);
    for (int i = 0; i < count; i++)
        if (PAPI_query_named_event(events[i].name) != PAPI_OK)
            return events[i].name;
    return NULL;
}

const char *tic_papi_pmu(void) {
    static char text[TIC_PMU_TEXT + 32];
    char reason[TIC_PMU_TEXT];
    if (!papi_runs())
        return "PMU: unavailable (the PAPI library does not start)";
    const int component = PAPI_get_component_index("perf_event");
    if (component < 0 || PAPI_get_component_info(component) == NULL)
        return "PMU: unavailable (PAPI was built without perf_event)";
    tic_pmu_facts facts = tic_pmu_look();
    facts.missing = find_missing();
    if (tic_pmu_reason(&facts, reason) == NULL)
        return NULL;
    snprintf(text, sizeof text, "PMU: unavailable (%s)", reason);
    return text;
}

typedef struct thread_set { /* of one thread, which alone opens, reads and closes it */
    int set, code;          /* code: of the last call that failed */
    long long values[TIC_PMU_EVENTS];
} thread_set;

struct tic_pmu {
    int threads, count;
    tic_pmu_event events[TIC_PMU_EVENTS];
    uint64_t counted; /* MACs at the last read that did not fail */
    thread_set *sets; /* [threads] */
};

static unsigned long this_thread(void) {
    return (unsigned long)pthread_self();
}

static pthread_once_t threaded_once = PTHREAD_ONCE_INIT;
static int threaded; /* what PAPI_thread_init returned */
static void init_threads(void) {
    threaded = PAPI_thread_init(this_thread);
}

static int open_thread(const tic_pmu *pmu, thread_set *own) {
    int code = PAPI_register_thread();
    own->set = PAPI_NULL;
    if (code == PAPI_OK)
        code = PAPI_create_eventset(&own->set);
    for (int i = 0; code == PAPI_OK && i < pmu->count; i++)
        code = PAPI_add_named_event(own->set, pmu->events[i].name);
    return code == PAPI_OK ? PAPI_start(own->set) : code;
}

/* Every thread's set: `work` on it, by the thread itself. The first failure. */
static int on_every_thread(tic_pmu *pmu, int (*work)(const tic_pmu *pmu, thread_set *own)) {
#pragma omp parallel num_threads(pmu->threads)
    {
        thread_set *own = &pmu->sets[omp_get_thread_num()];
        own->code = work(pmu, own);
    }
    for (int t = 0; t < pmu->threads; t++)
        if (pmu->sets[t].code != PAPI_OK)
            return pmu->sets[t].code;
    return PAPI_OK;
}

tic_status tic_pmu_open(tic_pmu **out, tic_ctx *ctx, const tic_pmu_event *events, int count,
                        tic_error *err) {
    tic_pmu *pmu;
    *out = NULL;
    if (count < 1 || count > TIC_PMU_EVENTS)
        return tic_fail(err, TIC_ERESOURCE, "PMU: %d events; 1 to %d can be counted", count,
                        TIC_PMU_EVENTS);
    if (!papi_runs())
        return tic_fail(err, TIC_ERESOURCE, "PAPI: the library does not start");
    pthread_once(&threaded_once, init_threads);
    if (threaded != PAPI_OK)
        return tic_fail(err, TIC_ERESOURCE, "PAPI: no threads: %s", PAPI_strerror(threaded));
    TIC_TRY(tic_alloc(&pmu, 1, sizeof *pmu, err));
    *pmu = (tic_pmu){.threads = ctx->threads, .count = count};
    memcpy(pmu->events, events, (size_t)count * sizeof *events);
    tic_status status = tic_alloc(&pmu->sets, (size_t)pmu->threads, sizeof *pmu->sets, err);
    for (int t = 0; status == TIC_OK && t < pmu->threads; t++)
        pmu->sets[t].set = PAPI_NULL;
    if (status == TIC_OK) {
        const int code = on_every_thread(pmu, open_thread);
        if (code != PAPI_OK)
            status = tic_fail(err, TIC_ERESOURCE, "PMU: cannot count %s: %s", events[0].name,
                              PAPI_strerror(code));
    }
    if (status == TIC_OK)
        *out = pmu;
    else
        tic_pmu_close(pmu);
    return status;
}

static int read_thread(const tic_pmu *pmu, thread_set *own) {
    (void)pmu;
    return PAPI_read(own->set, own->values);
}

tic_status tic_pmu_read(tic_pmu *pmu, int thread, int64_t *counts, tic_error *err) {
    const int code = on_every_thread(pmu, read_thread);
    if (code != PAPI_OK)
        return tic_fail(err, TIC_ERESOURCE, "PMU: cannot be read: %s", PAPI_strerror(code));
    for (int i = 0; i < pmu->count; i++) {
        counts[i] = 0;
        for (int t = 0; t < pmu->threads; t++)
            counts[i] += thread < 0 || thread == t ? pmu->sets[t].values[i] : 0;
    }
    return TIC_OK;
}

uint64_t tic_pmu_counted(tic_pmu *pmu) {
    int64_t counts[TIC_PMU_EVENTS];
    tic_error err;
    if (tic_pmu_read(pmu, -1, counts, &err) == TIC_OK)
        pmu->counted = tic_pmu_macs(pmu->events, pmu->count, counts);
    return pmu->counted; /* differences of it are taken: it never falls */
}

static int close_thread(const tic_pmu *pmu, thread_set *own) {
    (void)pmu;
    if (own->set == PAPI_NULL)
        return PAPI_OK;
    PAPI_stop(own->set, own->values);
    PAPI_cleanup_eventset(own->set);
    return PAPI_destroy_eventset(&own->set);
}

void tic_pmu_close(tic_pmu *pmu) {
    if (pmu == NULL)
        return;
    if (pmu->sets != NULL)
        on_every_thread(pmu, close_thread);
    tic_free(pmu->sets);
    tic_free(pmu);
}
