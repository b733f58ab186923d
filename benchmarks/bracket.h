// Samples between two measurements of what the machine can do at that moment: a share of peak that
// means something on a machine whose clock moves and whose cores are shared.
#ifndef TICLIP_BENCHMARKS_BRACKET_H
#define TICLIP_BENCHMARKS_BRACKET_H

extern "C" {
#include "autotune/autotune.h"
}

#include <functional>
#include <vector>

double Median(std::vector<double> values); // 0 of none

// The unit that is fastest in a precision here, all threads together.
class PeakBracket {
  public:
    PeakBracket(tic_dtype precision, unsigned isa, int threads);
    double Rate() const; // MAC/s, measured now, in a few milliseconds
    void WarmUp() const; // AMX wakes up slowly
    tic_peak unit() const { return unit_; }

  private:
    tic_peak unit_;
    unsigned isa_;
    int threads_;
};

// A triad over as many bytes as the sample touches, so that both are bound by the same cache or
// memory; at most 1 GiB.
class TriadBracket {
  public:
    TriadBracket(size_t bytes, int threads);
    double Rate(); // bytes/s, measured now

  private:
    std::vector<float> memory_;
    int threads_;
};

// What was measured: seconds of one call, and the bracketing rate (the mean of before and after).
struct Samples {
    std::vector<double> seconds, rates;
    int calls = 0; // those of samples that were taken again too

    double Seconds() const { return Median(seconds); }
    double Rate() const { return Median(rates); }
    // amount / seconds / rate, the median over the samples.
    double Share(double amount) const;
    // Longest less shortest sample, as a share of the median.
    double Spread() const;
    // Measures `rate`, runs `call`, which returns the seconds of one call, measures `rate` again.
    // Where the two rates are far apart, the sample stands between two speeds of the machine (AMX
    // has two, by what the core's other hardware thread does) and is taken again, twice at most.
    // False when call returned a negative number.
    bool Take(const std::function<double()> &rate, const std::function<double()> &call);
};

#endif
