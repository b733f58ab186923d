/* The counters as PAPI's software-defined events (SDE), and the state of PAPI's hardware counters.
 * Nothing else in ticlip knows PAPI. */
#include "kernels/room.h"

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

static long long value_of(void *slot) {
    if (exported.ctx == NULL)
        return 0;
    int event = *(const int *)slot;
    tic_counters counters;
    long long sum = 0;
    tic_ctx_counters(exported.ctx, &counters);
    if (event == ISSUED)
        return (long long)tic_counters_sum(&counters).issued;
    if (event == LOGICAL)
        return (long long)tic_counters_sum(&counters).logical;
    if (event < BY_OPERATION)
        return (long long)tic_counters_purpose(&counters, (tic_purpose)event).issued;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
        sum += (long long)counters.by[p][event - BY_OPERATION].issued;
    return sum;
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

const char *tic_papi_pmu(void) {
    static char text[PAPI_HUGE_STR_LEN + 32];
    if (!papi_runs())
        return "PMU: unavailable (the PAPI library does not start)";
    int component = PAPI_get_component_index("perf_event");
    const PAPI_component_info_t *info = component < 0 ? NULL : PAPI_get_component_info(component);
    if (info == NULL)
        return "PMU: unavailable (PAPI was built without perf_event)";
    if (!info->disabled && info->num_cntrs > 0 && PAPI_query_event(PAPI_TOT_CYC) == PAPI_OK)
        return NULL;
    snprintf(text, sizeof text, "PMU: unavailable (%s)",
             info->disabled_reason[0] != '\0' ? info->disabled_reason
                                              : "the CPU shows no hardware counters");
    return text;
}
