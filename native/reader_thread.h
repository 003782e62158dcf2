#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "reader.h"

namespace volley {

/// One thread of a reader: an endpoint of its own for every path, and what is in flight on each.
class ReaderThread {
 public:
  /// `index` tells the thread where to begin, so that threads (and clients) don't all begin at the same node.
  ReaderThread(Reader& reader, size_t index);

  void Run();

  std::vector<Reader::Failure> failures;
  std::vector<Reader::PathStats> stats;

 private:
  struct InFlight {
    uint32_t id;
    uint32_t chunk;
    uint64_t postedNs;
    uint32_t attempts;
    ReadStatus lastStatus;  // of the attempt before, kOk at first
  };

  struct Path {
    std::unique_ptr<Endpoint> endpoint;
    size_t index;
    Reader::Share* share;
    std::deque<InFlight> inFlight;  // oldest first; completions mostly come in that order
    uint32_t nextId = 0;            // never one twice: a completion that comes once more must not pass for another's
    ReadStatus ended = ReadStatus::kOk;
    bool finished = false;
  };

  bool Step(Path& path);
  bool TopUp(Path& path);
  void Post(Path& path, uint32_t chunk, uint32_t attempts, ReadStatus lastStatus);
  bool Complete(Path& path, const Completion& completion);
  bool Verify(Path& path, uint32_t chunk);
  void CheckDeadline(Path& path);
  void GiveUp(Path& path, ReadStatus why);
  void Fail(uint32_t chunk, ReadStatus why) { failures.push_back({chunk, why}); }
  void Wait();

  Reader& reader_;
  std::vector<Path> paths_;
  uint64_t nowNs_ = 0;
};

}  // namespace volley
