/* Progress of a run: rates, share of the budget, time left, and the events that tell them. */
#include "room.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const double AVERAGED = 5.0; /* seconds over which rates are averaged */

void tic_note(const tic_hooks *hooks, const char *format, ...) {
    char text[TIC_ERROR_TEXT];
    va_list list;
    if (hooks == NULL || hooks->event == NULL)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    hooks->event(hooks->user, &(tic_event){.kind = TIC_EVENT_NOTE, .text = text});
}

void tic_prepare_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    const tic_hooks *hooks = user;
    if (hooks != NULL && hooks->event != NULL)
        hooks->event(
            hooks->user,
            &(tic_event){.kind = TIC_EVENT_PREPARE, .text = what, .done = done, .total = total});
}

bool tic_asked_to_stop(const tic_hooks *hooks) {
    return hooks != NULL && hooks->stop != NULL && hooks->stop(hooks->user);
}

bool tic_prepare_stop(void *hooks) {
    return tic_asked_to_stop(hooks);
}

void tic_meter_begin(tic_meter *meter) {
    meter->began = meter->last = tic_now();
    meter->began_done = meter->done;
    meter->pairs_per_second = meter->logical_per_second = 0;
}

double tic_meter_seconds_left(const tic_meter *meter) {
    double done = meter->done - meter->began_done, seconds = tic_now() - meter->began;
    return done > 0 && seconds > 1 ? (meter->total - meter->done) * seconds / done : -1;
}

/* An exponential average whose weight of the newest value grows with the time it stands for. */
static void average(double *mean, double value, double seconds) {
    double weight = *mean > 0 ? 1 - exp(-seconds / AVERAGED) : 1;
    *mean += weight * (value - *mean);
}

void tic_meter_iteration(tic_meter *meter, tic_event *event, int64_t pairs, uint64_t logical) {
    double now = tic_now(), seconds = fmax(now - meter->last, 1e-9);
    meter->last = now;
    meter->done += (double)pairs;
    meter->budget_done += (double)pairs * meter->nominal_pair;
    average(&meter->pairs_per_second, (double)pairs / seconds, seconds);
    average(&meter->logical_per_second, (double)logical / seconds, seconds);
    if (meter->hooks == NULL || meter->hooks->event == NULL)
        return;
    event->kind = TIC_EVENT_ITERATION;
    event->pairs_per_second = meter->pairs_per_second;
    event->nominal_gmacs = 1e-9 * meter->pairs_per_second * meter->nominal_pair;
    event->logical_gmacs = 1e-9 * meter->logical_per_second;
    event->share = meter->budget > 0 ? meter->budget_done / meter->budget : 0;
    event->seconds_left = tic_meter_seconds_left(meter);
    meter->hooks->event(meter->hooks->user, event);
}

void tic_meter_extra(tic_meter *meter, uint64_t macs) {
    meter->done += (double)macs / meter->nominal_pair;
    meter->budget_done += meter->strict ? (double)macs : 0;
}

void tic_meter_evaluated(tic_meter *meter, int64_t pairs) {
    meter->done += (double)pairs / 3;
    meter->last = tic_now();
}
