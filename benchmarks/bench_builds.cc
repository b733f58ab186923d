// bench_builds: what a change is worth. Two builds, or two plans, of the same cases in turns in one
// process: on a machine whose clock and memory move by the minute nothing else tells a percent.
//
// A round times both, the first of them in every second round last. A ratio is the old time over
// the new one of the same round; a row gives its median and quartiles, and the end the geometric
// mean of the medians. Two equal builds: how far from 1 that gets is what a difference must exceed.
#include "builds_module.h"
#include "wait.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <numeric>
#include <string>
#include <vector>

namespace {

const char kHelp[] =
    "usage: bench_builds [flags] OLD NEW [PART...]\n"
    "\n"
    "  OLD and NEW are build folders, or their libticlip_turns.so; both may be the same. What of "
    "a\n"
    "  case fails is told on stderr, and the exit code is 4.\n"
    "  PART is a part of a case's name (bench_kernels --list; a weight packed before: /packed):\n"
    "  of several each must be in it, \"a|b\" either one. None: all cases, a quarter of an hour.\n"
    "\n"
    "  --rounds N         of each case (default 16)\n"
    "  --seconds X        a build's turn takes in a round (default 0.02; a call at least)\n"
    "  --threads N        0: one a core (default 0)\n"
    "  --isa NAME         keep to this tier: avx2, avx512, ...\n"
    "  --old-plan LINES   lines of a plan, separated by ';', laid over what is shipped: a line "
    "for\n"
    "                     `any` does nothing for a shape that has a shipped line of its own\n"
    "  --new-plan LINES   the same for NEW\n";

struct Flags {
    int rounds = 16, threads = 0;
    double seconds = 0.02;
    std::string isa, plan[2], build[2];
    std::vector<std::string> parts;
};

[[noreturn]] void Fail(int code, const std::string &why) {
    std::fprintf(stderr, "bench_builds: %s\n", why.c_str());
    std::exit(code);
}

double Number(const std::string &flag, const char *text, double least) {
    char *end;
    const double value = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least) || !(value <= 1e6))
        Fail(2, flag + " " + text + " is not in " + (least > 0 ? "1" : "0") + "..1000000");
    return value;
}

Flags Parse(int argc, char **argv) {
    Flags flags;
    std::vector<std::string> rest;
    for (int i = 1; i < argc; i++) {
        const std::string flag = argv[i];
        if (flag == "--help") {
            std::fputs(kHelp, stdout);
            std::exit(0);
        }
        if (flag.compare(0, 2, "--") != 0) {
            rest.push_back(flag);
            continue;
        }
        if (++i == argc)
            Fail(2, flag + " lacks its value, or is no flag");
        if (flag == "--rounds")
            flags.rounds = static_cast<int>(Number(flag, argv[i], 1));
        else if (flag == "--seconds")
            flags.seconds = Number(flag, argv[i], 0);
        else if (flag == "--threads")
            flags.threads = static_cast<int>(Number(flag, argv[i], 0));
        else if (flag == "--isa")
            flags.isa = argv[i];
        else if (flag == "--old-plan")
            flags.plan[0] = argv[i];
        else if (flag == "--new-plan")
            flags.plan[1] = argv[i];
        else
            Fail(2, flag + " is no flag: --help tells them");
    }
    if (rest.size() < 2)
        Fail(2, "two builds are needed: --help tells more");
    flags.build[0] = rest[0];
    flags.build[1] = rest[1];
    flags.parts.assign(rest.begin() + 2, rest.end());
    return flags;
}

bool HasOneOf(const std::string &name, const std::string &part) {
    for (size_t from = 0; from <= part.size();) {
        const size_t to = std::min(part.find('|', from), part.size());
        if (name.find(part.substr(from, to - from)) != std::string::npos)
            return true;
        from = to + 1;
    }
    return false;
}

// ---- a build

constexpr const char *kWhich[] = {"old", "new"};

class Build {
  public:
    Build(const Flags &flags, int which) : which_(kWhich[which]) {
        std::string path = flags.build[which];
        if (path.size() < 3 || path.compare(path.size() - 3, 3, ".so") != 0)
            path += "/benchmarks/libticlip_turns.so";
        if (path.find('/') == std::string::npos)
            path = "./" + path;
        // local: each build keeps its own symbols
        library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library_ == nullptr)
            Fail(3, dlerror());
        decltype(&ticlip_turns1_begin) begin;
        Find("ticlip_turns1_name", &name_);
        Find("ticlip_turns1_begin", &begin);
        Find("ticlip_turns1_end", &end_);
        Find("ticlip_turns1_open", &open_);
        Find("ticlip_turns1_close", &close_);
        Find("ticlip_turns1_time", &time_);
        Find("ticlip_turns1_ran", &ran_);
        how_ =
            begin(flags.threads, flags.isa.c_str(), flags.plan[which].c_str(), why_, sizeof why_);
        if (how_ == nullptr)
            Fail(2, which_ + ": " + why_);
    }
    ~Build() { end_(how_); }
    Build(const Build &) = delete;
    Build &operator=(const Build &) = delete;

    const char *Name(int i) const { return name_(i); }

    // nullptr, and a line on stderr, when it has no such case or cannot run it.
    void *Open(const std::string &name) {
        int i = 0;
        while (name_(i) != nullptr && name != name_(i))
            i++;
        std::snprintf(why_, sizeof why_, "it has no such case");
        void *opened = name_(i) != nullptr ? open_(how_, i, why_, sizeof why_) : nullptr;
        if (opened == nullptr)
            Tell(name);
        return opened;
    }
    // Negative, and a line on stderr, when a call fails.
    double Time(const std::string &name, void *opened, double seconds) {
        const double taken = time_(opened, seconds, why_, sizeof why_);
        if (taken < 0)
            Tell(name);
        return taken;
    }
    const char *Ran(void *opened) const { return ran_(opened); }
    void Close(void *opened) const { close_(opened); }

  private:
    template <typename F> void Find(const char *symbol, F *out) {
        *out = reinterpret_cast<F>(dlsym(library_, symbol));
        if (*out == nullptr)
            Fail(3, dlerror());
    }
    void Tell(const std::string &name) {
        std::fprintf(stderr, "bench_builds: %s: %s: %s\n", name.c_str(), which_.c_str(), why_);
    }

    void *library_, *how_; // the library stays: OpenMP's threads may stand in it
    std::string which_;
    char why_[512];
    decltype(&ticlip_turns1_name) name_;
    decltype(&ticlip_turns1_end) end_;
    decltype(&ticlip_turns1_open) open_;
    decltype(&ticlip_turns1_close) close_;
    decltype(&ticlip_turns1_time) time_;
    decltype(&ticlip_turns1_ran) ran_;
};

// ---- a case

double Quantile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    const double at = share * static_cast<double>(values.size() - 1);
    const size_t below = static_cast<size_t>(at), above = std::min(below + 1, values.size() - 1);
    return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

// A case in both builds. Where operands lie is worth some per cent of a small product: whose come
// first changes from one pair to the next.
class Pair {
  public:
    Pair(Build *const *builds, const std::string &name, int first) : builds_(builds), name_(name) {
        for (int turn = 0; turn < 2; turn++) {
            const int b = (first + turn) % 2;
            at_[b] = builds[b]->Open(name);
        }
    }
    ~Pair() {
        for (int b = 0; b < 2; b++)
            if (at_[b] != nullptr)
                builds_[b]->Close(at_[b]);
    }
    Pair(const Pair &) = delete;
    Pair &operator=(const Pair &) = delete;

    bool Whole() const { return at_[0] != nullptr && at_[1] != nullptr; }
    double Time(int b, double seconds) const { return builds_[b]->Time(name_, at_[b], seconds); }
    std::string Ran() const {
        const std::string old = builds_[0]->Ran(at_[0]), fresh = builds_[1]->Ran(at_[1]);
        return old == fresh ? old : old + ", " + fresh;
    }

  private:
    Build *const *builds_;
    std::string name_;
    void *at_[2] = {};
};

constexpr int kRoundsOfAPair = 4;

// The median ratio, or 0 when a build could not run the case.
double Duel(const Flags &flags, Build *const *builds, const std::string &name) {
    std::vector<double> seconds[2], ratios;
    std::string ran;
    for (int round = 0, pairs = 0; round < flags.rounds; pairs++) {
        const Pair pair(builds, name, pairs % 2);
        if (!pair.Whole())
            return 0;
        ran = pair.Ran();
        for (int i = 0; i < kRoundsOfAPair && round < flags.rounds; i++, round++) {
            double taken[2];
            for (int turn = 0; turn < 2; turn++) {
                const int b = (turn + round) % 2;
                taken[b] = pair.Time(b, flags.seconds);
                if (taken[b] < 0)
                    return 0;
                seconds[b].push_back(taken[b]);
            }
            ratios.push_back(taken[0] / taken[1]);
        }
    }
    std::printf("%-62s %9.1f %9.1f  %.3f  %.3f-%.3f  %s\n", name.c_str(),
                1e6 * Quantile(seconds[0], 0.5), 1e6 * Quantile(seconds[1], 0.5),
                Quantile(ratios, 0.5), Quantile(ratios, 0.25), Quantile(ratios, 0.75), ran.c_str());
    std::fflush(stdout);
    return Quantile(ratios, 0.5);
}

bool IsWanted(const Flags &flags, const std::string &name) {
    return std::all_of(flags.parts.begin(), flags.parts.end(),
                       [&](const std::string &part) { return HasOneOf(name, part); });
}

} // namespace

int main(int argc, char **argv) {
    WaitAsTiclipDoes(argv);
    const Flags flags = Parse(argc, argv);
    Build old(flags, 0), fresh(flags, 1);
    Build *const builds[] = {&old, &fresh};
    std::vector<std::string> names;
    for (int i = 0; fresh.Name(i) != nullptr; i++)
        if (IsWanted(flags, fresh.Name(i)))
            names.push_back(fresh.Name(i));
    if (names.empty())
        Fail(2, "NEW has no such case");
    std::printf("%-62s %9s %9s  %s  %s  %s\n", "case", "old us", "new us", "old/new", "quartiles",
                "variant");
    std::vector<double> logarithms;
    for (const std::string &name : names) {
        const double ratio = Duel(flags, builds, name);
        if (ratio > 0)
            logarithms.push_back(std::log(ratio));
    }
    const double sum = std::accumulate(logarithms.begin(), logarithms.end(), 0.0);
    if (!logarithms.empty())
        std::printf("%-62s %9s %9s  %.4f  of %zu, geometric mean\n", "", "", "",
                    std::exp(sum / static_cast<double>(logarithms.size())), logarithms.size());
    return logarithms.size() < names.size() ? 4 : 0;
}
