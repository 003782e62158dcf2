#include "verifier.h"

#include <sys/eventfd.h>

#include <system_error>

#include "clock.h"
#include "hash.h"

namespace volley {

std::unique_ptr<Verifier> Verifier::Start() {
  UniqueFd bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return nullptr;
  std::unique_ptr<Verifier> verifier(new Verifier(std::move(bell)));
  try {
    verifier->thread_ = std::thread([raw = verifier.get()] { raw->Run(); });
  } catch (const std::system_error&) {
    return nullptr;
  }
  return verifier;
}

void Verifier::Put(const Chunk& chunk) {
  ring_[put_ % kPlaces] = chunk;
  given_.store(++put_, std::memory_order_release);
}

bool Verifier::Give(const uint8_t* data, uint32_t bytes, uint64_t xxh3) {
  if (put_ - taken_ == kChunksMax) return false;
  Put({data, bytes, xxh3, {}});
  return true;
}

bool Verifier::Take(Verdict* verdict) {
  if (judged_.load() == taken_) return false;
  *verdict = ring_[taken_++ % kPlaces].verdict;
  return true;
}

// The order matters: either this side sees the verdict, or the other one sees that it has to be told.
bool Verifier::BeforeSleep(Wake wake) {
  wake_.store(wake);
  if (judged_.load() == taken_) return true;
  wake_.store(Wake::kNone);
  return false;
}

void Verifier::AfterSleep() {
  wake_.store(Wake::kNone);
  uint64_t rings;
  [[maybe_unused]] const ssize_t got = read(bell_.get(), &rings, sizeof rings);
}

void Verifier::Finish() {
  if (!thread_.joinable()) return;
  Put({});
  Nudge();
  thread_.join();
}

void Verifier::Run() {
  for (uint32_t next = 0;; next++) {
    given_.wait(next, std::memory_order_acquire);
    Chunk& chunk = ring_[next % kPlaces];
    if (chunk.data == nullptr) return;
    const uint64_t began = NowNs();
    const bool right = Hash64(chunk.data, chunk.bytes) == chunk.xxh3;
    chunk.verdict = {right, NowNs() - began};
    judged_.store(next + 1);
    Tell(right, given_.load(std::memory_order_relaxed) == next + 1);
  }
}

/// Wakes the reader thread if it sleeps and wants to know this. @param last whether no other verdict follows at once
void Verifier::Tell(bool right, bool last) {
  const Wake wake = wake_.load();
  if (wake == Wake::kNone || (right && (wake == Wake::kOnWrong || !last))) return;
  if (wake_.exchange(Wake::kNone) == Wake::kNone) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(bell_.get(), &one, sizeof one);
}

}  // namespace volley
