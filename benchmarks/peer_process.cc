// Programs of other libraries: spawned, spoken to through pipes, operands in shared memory.
#include "peer_process.h"

#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// ---- memory

PeerMemory::PeerMemory() : fd_(memfd_create("ticlip-peers", MFD_CLOEXEC)) {}

PeerMemory::~PeerMemory() {
    if (memory_ != nullptr)
        munmap(memory_, size_);
    close(fd_);
}

char *PeerMemory::Grow(size_t bytes) {
    if (bytes <= size_)
        return memory_;
    if (memory_ != nullptr)
        munmap(memory_, size_);
    memory_ = nullptr;
    size_ = 0;
    if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
        return nullptr;
    void *map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (map == MAP_FAILED)
        return nullptr;
    size_ = bytes;
    return memory_ = static_cast<char *>(map);
}

// ---- process

namespace {

std::string BesideThisProgram(const std::string &program) {
    char self[4096];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    const std::string path(self, length > 0 ? static_cast<size_t>(length) : 0);
    return path.substr(0, path.rfind('/') + 1) + program;
}

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

} // namespace

PeerProcess::PeerProcess(std::string program, const PeerMachine &machine)
    : path_(BesideThisProgram(program)), machine_(machine) {}

PeerProcess::~PeerProcess() {
    if (pid_ > 0)
        End();
}

bool PeerProcess::Exists() const {
    return access(path_.c_str(), X_OK) == 0;
}

bool PeerProcess::Start(int memory_fd, std::string *why) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        *why = "no pipe";
        return false;
    }
    // Copies whose numbers cannot be among 0, 1 and 3, which they become.
    const int in = fcntl(to[0], F_DUPFD_CLOEXEC, 10), out = fcntl(from[1], F_DUPFD_CLOEXEC, 10);
    const int memory = fcntl(memory_fd, F_DUPFD_CLOEXEC, 10);
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, memory, kPeerMemory);
    const std::string threads = std::to_string(machine_.threads);
    const char *argv[] = {path_.c_str(),        machine_.forced ? "forced" : "default",
                          machine_.isa.c_str(), machine_.vendor.c_str(),
                          threads.c_str(),      nullptr};
    const int failed = posix_spawn(&pid_, path_.c_str(), &actions, nullptr,
                                   const_cast<char *const *>(argv), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in);
    close(out);
    close(memory);
    if (failed != 0) {
        *why = path_ + ": " + std::strerror(failed);
        pid_ = -1;
        close(to_);
        close(from_);
    }
    return failed == 0;
}

std::string PeerProcess::End() {
    int status = 0;
    close(to_); // its stdin ends, so that it does
    close(from_);
    waitpid(pid_, &status, 0);
    pid_ = -1;
    if (WIFSIGNALED(status))
        return std::string("died: ") + strsignal(WTERMSIG(status));
    return "ended with " + std::to_string(WEXITSTATUS(status));
}

bool PeerProcess::Run(const PeerMemory &memory, const PeerRequest &request, double *seconds,
                      std::string *why) {
    PeerReply reply;
    if (pid_ < 0 && !Start(memory.fd(), why))
        return false;
    if (write(to_, &request, sizeof request) != sizeof request ||
        !ReadAll(from_, &reply, sizeof reply)) {
        *why = End();
        return false;
    }
    *seconds = reply.seconds;
    *why = reply.why;
    return why->empty();
}
