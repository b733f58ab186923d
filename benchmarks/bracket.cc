// Bracketed samples: peak or triad before and after each, medians and shares of them.
#include "bracket.h"

#include <algorithm>
#include <cmath>

namespace {
constexpr double kPeakSeconds = 0.0005, kWarmSeconds = 0.1, kTriadSeconds = 0.002;
constexpr double kApart = 0.2; // the machine has changed meanwhile: taken again
constexpr int kRetakes = 2;
constexpr size_t kMostTriad = 1ull << 30, kLeastTriad = 3 * 4096;
} // namespace

double Median(std::vector<double> values) {
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    const size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

PeakBracket::PeakBracket(tic_dtype precision, unsigned isa, int threads)
    : unit_(tic_peak_for(precision, isa, threads)), isa_(isa), threads_(threads) {}

double PeakBracket::Rate() const {
    return 1e9 * tic_peak_rate(unit_, isa_, threads_, kPeakSeconds);
}

void PeakBracket::WarmUp() const {
    if (unit_ == TIC_PEAK_AMX)
        tic_peak_rate(unit_, isa_, threads_, kWarmSeconds);
}

TriadBracket::TriadBracket(size_t bytes, int threads)
    : memory_(std::clamp(bytes, kLeastTriad, kMostTriad) / sizeof(float), 1.0f), threads_(threads) {
}

double TriadBracket::Rate() {
    return 1e9 *
           tic_triad_rate(memory_.data(), memory_.size() * sizeof(float), threads_, kTriadSeconds);
}

double Samples::Share(double amount) const {
    std::vector<double> shares;
    for (size_t i = 0; i < seconds.size(); i++)
        shares.push_back(amount / seconds[i] / rates[i]);
    return Median(shares);
}

double Samples::Spread() const {
    if (seconds.empty())
        return 0;
    const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
    return (*most - *least) / Seconds();
}

bool Samples::Take(const std::function<double()> &rate, const std::function<double()> &call) {
    double before = rate(), after = 0, taken = 0;
    for (int tries = 0; tries <= kRetakes; tries++) {
        if (tries > 0)
            before = after;
        taken = call();
        calls++;
        if (taken < 0)
            return false;
        after = rate();
        if (std::fabs(after - before) <= kApart * std::max(after, before))
            break;
    }
    seconds.push_back(taken);
    rates.push_back((before + after) / 2);
    return true;
}
