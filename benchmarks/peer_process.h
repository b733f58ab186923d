// The side of bench_kernels: starts peers, shares memory with them, and hears when they die.
#ifndef TICLIP_BENCHMARKS_PEER_PROCESS_H
#define TICLIP_BENCHMARKS_PEER_PROCESS_H

#include "peers/peer.h"

#include <string>
#include <sys/types.h>

// Memory that every peer sees. One lives at a time.
class PeerMemory {
  public:
    PeerMemory();
    ~PeerMemory();
    PeerMemory(const PeerMemory &) = delete;
    PeerMemory &operator=(const PeerMemory &) = delete;

    // Room for `bytes`, zeros or what was there; NULL when memory is out. Earlier pointers die.
    char *Grow(size_t bytes);
    int fd() const { return fd_; }

  private:
    int fd_;
    char *memory_ = nullptr;
    size_t size_ = 0;
};

class PeerProcess {
  public:
    // `program` stands in the folder of this program; whether it was built is Exists().
    PeerProcess(std::string program, const PeerMachine &machine);
    ~PeerProcess();
    PeerProcess(const PeerProcess &) = delete;
    PeerProcess &operator=(const PeerProcess &) = delete;

    bool Exists() const;
    // Seconds of request.calls calls. Starts the process where none runs. False, with *why, when
    // the peer declines or dies; the next call starts it anew.
    bool Run(const PeerMemory &memory, const PeerRequest &request, double *seconds,
             std::string *why);

  private:
    bool Start(int memory_fd, std::string *why);
    std::string End(); // how it ended

    std::string path_;
    PeerMachine machine_;
    pid_t pid_ = -1;
    int to_ = -1, from_ = -1;
};

#endif
