#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "guest_memory.h"
#include "transport/transport.h"
#include "unique_fd.h"

namespace volley {

/// Runs one plan: reads an image's chunks over several paths into guest memory and verifies each.
///
/// Threads take chunks from a list per path, so a fast path is never kept waiting by a slow one. A chunk that fails its
/// checksum is read again; a path that brings nothing for the deadline ends. What could not be read is told, chunk by chunk:
/// what to do about it is the caller's policy.
class Reader {
 public:
  static constexpr uint16_t kSourceZero = 0xffff;
  static constexpr uint16_t kSourceSkip = 0xfffe;
  static constexpr size_t kRecordBytes = 24;  // digest 16, XXH3 8
  static constexpr uint32_t kChunkBytesMax = 64 << 20;

  using EndpointFactory = std::function<std::unique_ptr<Endpoint>()>;

  struct Plan {
    std::shared_ptr<GuestMemory> destination;
    uint64_t destinationOffset = 0;
    uint64_t imageBytes = 0;
    uint32_t chunkBytes = 0;
    std::vector<uint8_t> records;
    std::vector<uint16_t> sources;
    std::vector<EndpointFactory> paths;
    bool destinationIsZero = false;
    uint32_t threads = 1;
    uint32_t readTimeoutMs = 0;
    uint32_t retries = 0;
    bool verifyBeside = false;
  };

  struct PathStats {
    uint64_t chunks = 0;
    uint64_t bytes = 0;
    uint64_t readNs = 0;
    uint64_t verifyNs = 0;
    uint64_t retries = 0;
    uint64_t checksumFailures = 0;
    uint64_t indexBytes = 0;
    uint32_t window = 0;
    std::string error;
  };

  struct Failure {
    uint32_t chunk;
    ReadStatus reason;
  };

  struct Result {
    std::vector<Failure> failures;
    std::vector<PathStats> paths;
    uint64_t zeroChunks = 0;
    uint64_t elapsedNs = 0;
  };

  /// Live counters, shared with whoever wants to watch.
  struct Progress {
    std::atomic<uint64_t> chunks{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> retries{0};
    std::atomic<uint64_t> checksumFailures{0};
  };

  /// Throws Error ERR_VOLLEY_USAGE when the plan contradicts itself or does not fit the destination.
  Reader(Plan plan, std::shared_ptr<Progress> progress);

  /// Blocks until the plan is carried out, failed or cancelled. When it returns, nothing touches the destination any more.
  Result Run();
  /// May be called from any thread, also before Run() and after it.
  void Cancel();

 private:
  friend class ReaderThread;

  /// The chunks that one path has to bring, and where its threads are in them.
  struct Share {
    std::vector<uint32_t> chunks;
    std::atomic<size_t> next{0};
    std::atomic<ReadStatus> broken{ReadStatus::kOk};
  };

  uint32_t ChunkLength(uint32_t chunk) const;
  uint8_t* Destination(uint32_t chunk) const;
  void WriteZeros();
  void Deal();

  Plan plan_;
  std::shared_ptr<Progress> progress_;
  std::vector<std::unique_ptr<Share>> shares_;
  Result result_;
  std::atomic<bool> canceled_{false};
  UniqueFd wake_;  // readable once cancelled
};

}  // namespace volley
