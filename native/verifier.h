#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "unique_fd.h"

namespace volley {

/// Verifies chunks that have landed, on a thread of its own beside one reader thread, which meanwhile posts and looks on.
///
/// Chunks are given, judged and taken back in one order and in one ring: the verdict is written to where the chunk stands,
/// so neither side ever waits for room. A ring that is full is told, and who gives verifies that chunk himself. All
/// functions are for the reader thread.
class Verifier {
 public:
  /// Chunks given and not taken back.
  static constexpr uint32_t kChunksMax = 63;

  struct Verdict {
    bool right;
    uint64_t ns;  // that the verifying took
  };

  /// Which verdicts end a sleep at once.
  enum class Wake : uint8_t { kNone, kOnWrong, kOnAny };

  /// Null where the system gives no thread or no descriptor.
  static std::unique_ptr<Verifier> Start();
  ~Verifier() { Finish(); }

  /// Hands a chunk over, which must not change until its verdict was taken. False when the ring is full.
  bool Give(const uint8_t* data, uint32_t bytes, uint64_t xxh3);
  /// Wakes the thread if it sleeps; to be called after a few chunks were given.
  void Nudge() { given_.notify_one(); }
  /// Takes the verdict on the oldest chunk that was given; false when there is none yet.
  bool Take(Verdict* verdict);
  /// To be called before sleeping until descriptor() is readable; false when there is a verdict to be taken.
  bool BeforeSleep(Wake wake);
  void AfterSleep();
  int descriptor() const { return bell_.get(); }
  /// Waits for all that was given to be judged and ends the thread. The verdicts can still be taken.
  void Finish();

 private:
  // One place more, for the mark that ends the thread.
  static constexpr uint32_t kPlaces = kChunksMax + 1;
  static_assert((kPlaces & (kPlaces - 1)) == 0, "counts may wrap round");

  struct Chunk {
    const uint8_t* data;  // null: the thread is to end
    uint32_t bytes;
    uint64_t xxh3;
    Verdict verdict;
  };

  explicit Verifier(UniqueFd bell) : bell_(std::move(bell)) {}
  void Run();
  void Tell(bool right, bool last);
  void Put(const Chunk& chunk);

  std::array<Chunk, kPlaces> ring_{};
  alignas(64) uint32_t put_ = 0;  // how many there were; this and the next one are the reader thread's
  uint32_t taken_ = 0;
  UniqueFd bell_;
  alignas(64) std::atomic<uint32_t> given_{0};
  alignas(64) std::atomic<uint32_t> judged_{0};
  std::atomic<Wake> wake_{Wake::kNone};
  std::thread thread_;
};

}  // namespace volley
