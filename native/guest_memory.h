#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "mapping.h"
#include "unique_fd.h"

namespace volley {

/// Memory that a load fills: a memfd of our own, or a file that something else made.
class GuestMemory {
 public:
  /// A sparse memfd of zeros. Throws Error.
  static std::shared_ptr<GuestMemory> Create(uint64_t bytes, bool hugepages);
  /// Maps an open file, shared and writable, through a duplicate of `fd`. Throws Error.
  static std::shared_ptr<GuestMemory> Map(int fd, uint64_t bytes);

  uint8_t* data() const { return mapping_.data(); }
  uint64_t bytes() const { return mapping_.bytes(); }
  int fd() const { return fd_.get(); }
  const std::string& notice() const { return notice_; }
  bool Contains(uint64_t offset, uint64_t length) const { return offset <= bytes() && length <= bytes() - offset; }

  /// Allocates the pages of a range, so that lack of room is an error and not a SIGBUS. Throws Error.
  void Reserve(uint64_t offset, uint64_t length);
  /// Has Populate() make only such pages of the range present as it is asked for, so that a hole in a file stays one. Only
  /// before a load, on the thread that starts it.
  void KeepHole(uint64_t offset, uint64_t length);
  /// Makes the pages of a range present, in blocks: one system call instead of a fault per page, which halves the time to
  /// fill fresh memory. Cheap when done before; any thread may call it.
  void Populate(uint64_t offset, uint64_t length);
  /// Adds `addend` to words of the range [offset, offset + length), modulo their size. The table, `count` u32 (each a
  /// word's distance from `offset`), stands in this memory too, at `table`: the caller has checked both ranges. A guest may
  /// write to it meanwhile, so each distance is read once and checked. Throws Error when a word lies outside the range.
  template <typename Word>
  void Relocate(uint64_t table, uint64_t count, uint64_t offset, uint64_t length, int64_t addend);
  /// What a fabric keeps of this memory (a registration), made once per `owner`; it ends before the memory does.
  std::shared_ptr<void> Attachment(const void* owner, const std::function<std::shared_ptr<void>()>& make);

 private:
  static constexpr uint64_t kBlockBytes = 256 << 10;
  static constexpr uint8_t kFresh = 0;
  static constexpr uint8_t kPresent = 1;
  static constexpr uint8_t kHasHole = 2;

  GuestMemory(UniqueFd fd, Mapping mapping, std::string notice);
  void KeepPagesSmall(uint64_t offset);

  UniqueFd fd_;
  Mapping mapping_;
  std::string notice_;
  std::vector<std::atomic<uint8_t>> populated_;  // per block: kFresh, kPresent or kHasHole
  uint64_t smallUpTo_ = 0;                         // end of what KeepPagesSmall() was last asked for
  std::mutex attaching_;
  std::unordered_map<const void*, std::shared_ptr<void>> attachments_;  // after the mapping: ends before it
};

}  // namespace volley
