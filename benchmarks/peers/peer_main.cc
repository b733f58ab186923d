// The main program of every peer: takes requests from stdin, answers on stdout, ends with them.
#include "peer.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

bool ReadAll(int fd, void *to, size_t bytes) {
    char *at = static_cast<char *>(to);
    while (bytes > 0) {
        const ssize_t got = read(fd, at, bytes);
        if (got <= 0)
            return false;
        at += got;
        bytes -= static_cast<size_t>(got);
    }
    return true;
}

// The shared memory as large as it is now.
char *Memory() {
    static char *memory = nullptr;
    static size_t size = 0;
    struct stat status {};
    if (fstat(kPeerMemory, &status) != 0)
        return nullptr;
    if (static_cast<size_t>(status.st_size) == size)
        return memory;
    if (memory != nullptr)
        munmap(memory, size);
    size = static_cast<size_t>(status.st_size);
    void *map = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, kPeerMemory, 0);
    return memory = map == MAP_FAILED ? nullptr : static_cast<char *>(map);
}

PeerReply Serve(const PeerRequest &request) {
    using Clock = std::chrono::steady_clock;
    PeerReply reply{};
    std::string why = "the shared memory cannot be mapped";
    std::function<void()> call;
    if (char *memory = Memory())
        call =
            PeerPrepare(request, memory + request.a, memory + request.b, memory + request.c, &why);
    if (!call) {
        std::snprintf(reply.why, sizeof reply.why, "%s", why.c_str());
        return reply;
    }
    const Clock::time_point start = Clock::now();
    for (int32_t i = 0; i < request.calls; i++)
        call();
    reply.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return reply;
}

// Sets what the library reads when it loads, and starts anew so that it does.
void SetEnvironment(const PeerMachine &machine, char **argv) {
    constexpr char kDone[] = "TICLIP_PEER";
    if (getenv(kDone) != nullptr)
        return;
    for (const auto &[name, value] : PeerEnvironment(machine))
        setenv(name.c_str(), value.c_str(), 1);
    setenv(kDone, "ready", 1);
    execv("/proc/self/exe", argv);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 5) {
        std::fprintf(stderr, "%s is started by bench_kernels\n", argv[0]);
        return 2;
    }
    const PeerMachine machine = {std::strcmp(argv[1], "forced") == 0, argv[2], argv[3],
                                 std::atoi(argv[4])};
    SetEnvironment(machine, argv);
    // The library may print: not into our answers.
    const int answers = dup(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    PeerStart(machine);
    for (PeerRequest request; ReadAll(STDIN_FILENO, &request, sizeof request);) {
        const PeerReply reply = Serve(request);
        if (write(answers, &reply, sizeof reply) != sizeof reply)
            return 1;
    }
    return 0;
}
