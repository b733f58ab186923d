// See flags.h.
#include "flags.h"

#include <cstdlib>
#include <cstring>

namespace {
std::string whole_isa; // what the CPU has, where a limit takes some of it
}

tic_status LimitIsa(const std::string &name, tic_error *err) {
    if (!whole_isa.empty())
        return tic_fail(err, TIC_EUSAGE, "--isa %s: there was one before", name.c_str());
    const unsigned whole = tic_cpu_get()->isa;
    for (unsigned tiers = 0; tiers < TIC_ISA_AMX_BF16 * 2; tiers = tiers << 1 | 1)
        if (name == tic_isa_name(tiers)) {
            if ((tiers & ~whole) != 0)
                return tic_fail(err, TIC_EUSAGE, "--isa %s: this CPU has %s only", name.c_str(),
                                tic_isa_name(whole));
            if (tiers != whole)
                whole_isa = tic_isa_name(whole);
            tic_cpu_limit(tiers);
            return TIC_OK;
        }
    return tic_fail(err, TIC_EUSAGE,
                    "--isa %s is not portable, avx2, avx512, avx512_bf16 or amx_bf16",
                    name.c_str());
}

bool IsaIsLimited() {
    return !whole_isa.empty();
}

const std::string &WholeIsa() {
    return whole_isa;
}

bool StartsWith(const std::string &text, const char *prefix, std::string *rest) {
    const size_t length = std::strlen(prefix);
    if (text.compare(0, length, prefix) != 0)
        return false;
    *rest = text.substr(length);
    return true;
}

tic_status ParseNumber(const std::string &flag, const std::string &text, double least, double most,
                       double *out, tic_error *err) {
    char *end;
    *out = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(*out >= least && *out <= most))
        return tic_fail(err, TIC_EUSAGE, "%s %s is not in %g..%g", flag.c_str(), text.c_str(),
                        least, most);
    return TIC_OK;
}
