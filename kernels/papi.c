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

/* The one exported context. SDE hands `&slots[i]` back when it wants event i's value. */
static struct {
    const tic_ctx *ctx;
    papi_handle_t handle;
    int slots[EVENTS];
} exported;

static const char *part_name(int event) {
    return event < BY_OPERATION ? tic_purpose_name((tic_purpose)event)
                                : tic_op_name((tic_op)(event - BY_OPERATION));
}

/* "MACS_ISSUED", "MACS_LOGICAL", "MACS_ISSUED_FORWARD" ..., "MACS_ISSUED_GEMM" ... */
static void event_name(int event, char name[EVENT_TEXT]) {
    if (event >= ISSUED) {
        snprintf(name, EVENT_TEXT, event == ISSUED ? "MACS_ISSUED" : "MACS_LOGICAL");
        return;
    }
    int used = snprintf(name, EVENT_TEXT, "MACS_ISSUED_");
    for (const char *p = part_name(event); *p != '\0'; p++)
        name[used++] = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    name[used] = '\0';
}

static void event_about(int event, char text[EVENT_TEXT * 2]) {
    if (event == ISSUED)
        snprintf(text, EVENT_TEXT * 2, "multiply-adds executed by ticlip's kernels, with padding");
    else if (event == LOGICAL)
        snprintf(text, EVENT_TEXT * 2, "multiply-adds that the shapes needed");
    else
        snprintf(text, EVENT_TEXT * 2, "multiply-adds executed, with padding: %s %s",
                 event < BY_OPERATION ? "for" : "by", part_name(event));
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

tic_status tic_papi_export(tic_ctx *ctx, tic_error *err) {
    if (exported.ctx != NULL)
        return tic_fail(err, TIC_EUSAGE, "PAPI: another context is already exported");
    exported.handle = papi_sde_init(library_name);
    if (exported.handle == NULL)
        return tic_fail(err, TIC_ERESOURCE, "PAPI: cannot register software-defined events");
    for (int event = 0; event < EVENTS; event++) {
        char name[EVENT_TEXT], about[EVENT_TEXT * 2];
        event_name(event, name);
        event_about(event, about);
        exported.slots[event] = event;
        if (papi_sde_register_counter_cb(exported.handle, name, PAPI_SDE_RO | PAPI_SDE_INSTANT,
                                         PAPI_SDE_long_long, value_of,
                                         &exported.slots[event]) != 0) {
            papi_sde_shutdown(exported.handle);
            return tic_fail(err, TIC_ERESOURCE, "PAPI: cannot register the event %s", name);
        }
        papi_sde_describe_counter(exported.handle, name, about);
    }
    exported.ctx = ctx;
    return TIC_OK;
}

void tic_papi_forget(const tic_ctx *ctx) {
    if (ctx != exported.ctx || ctx == NULL)
        return;
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
static bool is_event(const char *text) {
    for (int event = 0; event < EVENTS; event++) {
        char name[EVENT_TEXT];
        event_name(event, name);
        if (strcmp(name, text) == 0)
            return true;
    }
    return false;
}

tic_status tic_papi_read(const char *event, int64_t *value, tic_error *err) {
    char name[EVENT_TEXT * 2];
    int set = PAPI_NULL;
    long long read = 0;
    if (exported.ctx == NULL)
        return tic_fail(err, TIC_EUSAGE, "PAPI: no context is exported");
    if (!is_event(event))
        return tic_fail(err, TIC_EUSAGE, "PAPI: there is no event %s", event);
    if (!papi_runs())
        return tic_fail(err, TIC_ERESOURCE, "PAPI: the library does not start");
    snprintf(name, sizeof name, "sde:::%s::%s", library_name, event);
    int code = PAPI_create_eventset(&set);
    if (code == PAPI_OK)
        code = PAPI_add_named_event(set, name);
    if (code == PAPI_OK)
        code = PAPI_start(set);
    if (code == PAPI_OK)
        code = PAPI_stop(set, &read);
    if (set != PAPI_NULL) {
        PAPI_cleanup_eventset(set);
        PAPI_destroy_eventset(&set);
    }
    if (code != PAPI_OK)
        return tic_fail(err, TIC_EUSAGE, "PAPI: cannot read %s: %s", name, PAPI_strerror(code));
    *value = read;
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
