#pragma once

#include <cstdint>

#include "layout.h"

namespace volley {

/// The flat hashtable of a region: buckets of four entries, every key in one of two buckets.
///
/// One process owns the table and changes it from one thread; any number of others read it at the same time without
/// locks. An entry's version is odd while it changes, so a reader in the same memory sees whole entries; one that copies
/// buckets over a network may see a torn one, which the checksum of the value then tells.
class Hashtable {
 public:
  Hashtable() = default;
  /// `bucketCount` must be a power of two.
  Hashtable(Bucket* buckets, uint64_t bucketCount) : buckets_(buckets), mask_(bucketCount - 1) {}

  uint64_t bucketCount() const { return mask_ + 1; }
  uint64_t FirstBucket(uint64_t fingerprint) const { return (fingerprint >> 32) & mask_; }
  /// The other bucket of a fingerprint that stands in `bucket`; its own inverse.
  uint64_t OtherBucket(uint64_t fingerprint, uint64_t bucket) const {
    return bucket ^ (((fingerprint * 0x9E3779B97F4A7C15ull) >> 40 | 1) & mask_);
  }


  // For the owner.
  /// The entry with this fingerprint for which `matches` holds, or null.
  Entry* Find(uint64_t fingerprint, auto&& matches) const {
    uint64_t at = FirstBucket(fingerprint);
    for (int pass = 0; pass < 2; pass++) {
      for (Entry& entry : buckets_[at].entries) {
        if (entry.fingerprint == fingerprint && matches(entry)) return &entry;
      }
      at = OtherBucket(fingerprint, at);
    }
    return nullptr;
  }
  /// Writes `value` (its version is ignored) over an entry.
  static void Store(Entry* entry, const Entry& value);
  static void Clear(Entry* entry);
  /// Puts a new entry in, moving others to their other bucket if need be. False when there is no room.
  bool Insert(const Entry& value);

  // For readers.
  /// Copies the entries with this fingerprint that are whole to `out` (room for 8). Returns how many there are.
  int Lookup(uint64_t fingerprint, Entry* out) const;

 private:
  Entry* FreeEntry(uint64_t bucket) const;
  bool MakeRoom(uint64_t first, uint64_t second);

  Bucket* buckets_ = nullptr;
  uint64_t mask_ = 0;
};

}  // namespace volley
