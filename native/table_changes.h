#pragma once

#include <atomic>
#include <cstdint>

namespace volley {

/// Counts the changes of a hashtable during which other threads may miss keys that are there: an entry that is being
/// written, or on its way to another bucket. Odd while one is under way. One thread changes, any number look.
class TableChanges {
 public:
  /// One change, from its making to its end.
  class Change {
   public:
    explicit Change(TableChanges& changes) : changes_(changes) {
      changes_.count_.store(changes_.count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_release);
    }
    ~Change() {
      changes_.count_.store(changes_.count_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    TableChanges& changes_;
  };

  uint64_t Count() const { return count_.load(std::memory_order_acquire); }
  /// Whether no change was under way since Count() was `before`.
  bool HasRested(uint64_t before) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return (before & 1) == 0 && count_.load(std::memory_order_relaxed) == before;
  }

 private:
  std::atomic<uint64_t> count_{0};
};

}  // namespace volley
