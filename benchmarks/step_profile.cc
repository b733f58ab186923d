// Times of a step's operations by purpose, or by shape and variant, as a table.
#include "step_profile.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <tuple>

namespace {

// Operation, purpose, and with shapes: shape and variant.
using Key = std::tuple<int, int, std::string, std::string>;

struct Row {
    double calls = 0, seconds = 0, macs = 0, bytes = 0;
};

struct Profile {
    bool shapes = false;
    std::map<Key, Row> rows;
};

void Add(void *state, const tic_call *call) {
    Profile *profile = static_cast<Profile *>(state);
    Row &row = profile->rows[{call->op, call->purpose, profile->shapes ? call->shape : "",
                              profile->shapes ? call->variant : ""}];
    row.calls += 1;
    row.seconds += call->seconds;
    row.macs += static_cast<double>(call->demand.macs);
    row.bytes += static_cast<double>(call->demand.bytes);
}

void PrintRate(double amount, double seconds) {
    if (amount > 0)
        std::printf(" %9.1f", amount / seconds * 1e-9);
    else
        std::printf(" %9s", "-");
}

void PrintRow(const Key &key, const Row &row, double steps, double step_seconds) {
    const auto &[op, purpose, shape, variant] = key;
    std::printf("%-19s %-9s %6g %9.3f %6.1f%%", tic_op_name(static_cast<tic_op>(op)),
                tic_purpose_name(static_cast<tic_purpose>(purpose)), row.calls / steps,
                row.seconds / steps * 1e3, row.seconds / steps / step_seconds * 100);
    PrintRate(row.macs, row.seconds);
    PrintRate(row.bytes, row.seconds);
    std::printf("%s%s%s%s\n", variant.empty() ? "" : "  ", variant.c_str(),
                shape.empty() ? "" : "  ", shape.c_str());
}

void Print(const StepCase &which, const Profile &profile, int threads, double steps,
           double step_seconds) {
    std::vector<std::pair<Key, Row>> rows(profile.rows.begin(), profile.rows.end());
    std::stable_sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
        return a.second.seconds > b.second.seconds;
    });
    double inside = 0, macs = 0;
    for (const auto &[key, row] : rows) {
        inside += row.seconds / steps;
        macs += row.macs / steps;
    }
    std::printf("%s, %d threads: %.2f ms a step, %.2f pairs/s, mean of %g steps\n\n",
                which.Name().c_str(), threads, step_seconds * 1e3,
                static_cast<double>(which.batch) / step_seconds, steps);
    std::printf("%-19s %-9s %6s %9s %7s %9s %9s%s\n", "operation", "purpose", "calls", "ms",
                "share", "GMAC/s", "GB/s", profile.shapes ? "  variant  shape" : "");
    for (const auto &[key, row] : rows)
        PrintRow(key, row, steps, step_seconds);
    std::printf("%-19s %-9s %6s %9.3f %6.1f%%\n", "outside operations", "", "",
                (step_seconds - inside) * 1e3, (step_seconds - inside) / step_seconds * 100);
    std::printf("%-19s %-9s %6s %9.3f %6.1f%% %9.1f\n", "step", "", "", step_seconds * 1e3, 100.0,
                macs / step_seconds * 1e-9);
}

} // namespace

tic_status PrintStepProfile(const StepCase &which, int threads, const tic_plan *plan,
                            double seconds, bool shapes, tic_error *err) {
    StepSetup setup;
    Profile profile;
    profile.shapes = shapes;
    TIC_TRY(setup.Make(which, threads, plan, err));
    TIC_TRY(setup.Step(err)); // touches memory for the first time
    tic_ctx_watch(setup.ctx.get(), Add, &profile);
    const double start = tic_now();
    double steps = 0;
    do {
        TIC_TRY(setup.Step(err));
        steps++;
    } while (tic_now() - start < seconds);
    Print(which, profile, tic_ctx_threads(setup.ctx.get()), steps, (tic_now() - start) / steps);
    return TIC_OK;
}
