#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../local_region.h"
#include "../unique_fd.h"
#include "fault_script.h"
#include "local.h"
#include "transport.h"

namespace volley {

/// For tests: a local region behind a way that goes wrong as a script tells.
///
/// It uses all that the contract allows an endpoint: a read begins at Flush(), its bytes land in pieces and in any order
/// with garbage in between, completions overtake each other, and what is in flight when Close() is called is overwritten
/// then. It also holds its user to the contract: a breach (window exceeded, bytes or ids that are in flight used again, a
/// read after Close()) is told by error(), and one that could not be told any more ends the process.
///
/// Time is counted in calls of Poll() and chance comes from the seed, the chunk and the attempt: a script and a seed
/// replay what happened to every read, whatever the clock and the other threads do.
class FakeEndpoint final : public Endpoint {
 public:
  FakeEndpoint(std::shared_ptr<LocalRegion> region, std::string_view keyPrefix, std::shared_ptr<const FaultScript> script,
               uint64_t seed, uint32_t window);
  ~FakeEndpoint() override;

  uint32_t window() const override { return window_; }
  void Post(const ReadRequest& request) override;
  void Flush() override;
  size_t Poll(Completion* out, size_t max) override;
  int WaitDescriptor(short* events) const override;
  void Close() override;
  const std::string& error() const override { return error_; }

 private:
  /// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
  class Random {
   public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t Next();
    /// From 0 to `end` - 1.
    uint64_t Below(uint64_t end) { return Next() % end; }

   private:
    uint64_t state_;
  };

  struct Read {
    ReadRequest request;
    FaultScript::Step step;
    ReadStatus status;
    bool begun;
    uint64_t due;  // the call of Poll() that completes it
    Random random;
    std::vector<uint8_t> bytes;  // what its destination holds when it is complete
  };

  struct Repeat {
    Completion completion;
    uint64_t due;
  };

  bool Breaches(const ReadRequest& request, size_t attempt);
  void Prepare(Read& read);
  const uint8_t* OtherItem(Random& random, size_t bytes) const;
  void Scribble(Read& read);
  void Land(Read& read);
  void Complete(Read& read, Completion* out);

  std::shared_ptr<LocalRegion> region_;
  LocalEndpoint source_;
  std::shared_ptr<const FaultScript> script_;
  const uint64_t seed_;
  const uint32_t window_;
  UniqueFd silent_;  // never readable
  uint64_t polls_ = 0;
  bool closed_ = false;
  std::string error_;
  std::vector<Read> reads_;      // whose destinations are ours
  std::vector<Repeat> repeats_;  // completions that come once more
  std::vector<Completion> refused_;
  std::map<FaultScript::Digest, size_t> attempts_;
};

}  // namespace volley
