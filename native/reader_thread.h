#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "reader.h"
#include "verifier.h"

namespace volley {

/// One thread of a reader: an endpoint of its own for every path, and what is in flight on each. Where the plan wants that,
/// a second thread verifies what this one has read.
class ReaderThread {
 public:
  /// `index` tells the thread where to begin, so that threads (and clients) don't all begin at the same node.
  ReaderThread(Reader& reader, size_t index);

  void Run();

  std::vector<Reader::Failure> failures;
  std::vector<Reader::PathStats> stats;

 private:
  /// One try to read a chunk.
  struct Attempt {
    uint32_t chunk;
    uint32_t before = 0;                         // tries that failed
    ReadStatus lastStatus = ReadStatus::kOk;  // of the one before
  };

  struct InFlight {
    uint32_t id;
    Attempt attempt;
  };

  struct Path {
    std::unique_ptr<Endpoint> endpoint;
    size_t index;
    Reader::Share* share;
    std::deque<InFlight> inFlight;  // oldest first; completions mostly come in that order
    std::deque<Attempt> again;      // to be posted before what was never tried
    uint64_t progressNs = 0;        // when something came last, or was waited for first
    uint64_t bytesSeen = 0;         // of the endpoint, by then
    uint32_t unjudged = 0;          // of `landed_`
    uint32_t nextId = 0;            // never one twice: a completion that comes once more must not pass for another's
    ReadStatus ended = ReadStatus::kOk;
    bool finished = false;
  };

  /// A chunk that is with the verifier.
  struct Landed {
    Path* path;
    Attempt attempt;
  };

  bool Step(Path& path);
  bool TopUp(Path& path);
  void Post(Path& path, const Attempt& attempt);
  bool Complete(Path& path, const Completion& completion);
  bool HandOver(Path& path, const Attempt& attempt);
  bool TakeVerdicts();
  void Judge(Path& path, const Attempt& attempt, const Verifier::Verdict& verdict);
  void Conclude(Path& path, const Attempt& attempt, ReadStatus status);
  void NoteProgress(Path& path, bool completed);
  void CheckDeadline(Path& path);
  void GiveUp(Path& path, ReadStatus why);
  void Fail(uint32_t chunk, ReadStatus why) { failures.push_back({chunk, why}); }
  void Wait();
  uint64_t Expected(uint32_t chunk) const;

  Reader& reader_;
  std::vector<Path> paths_;
  std::unique_ptr<Verifier> verifier_;  // null: this thread verifies
  std::deque<Landed> landed_;           // in the order in which the verifier has them
  uint64_t nowNs_ = 0;
};

}  // namespace volley
