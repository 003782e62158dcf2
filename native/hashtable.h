#pragma once

#include <bit>
#include <cstdint>

#include "layout.h"

namespace volley {

/// The flat hashtable of a region: buckets of four entries, every key in one of two buckets.
///
/// The bucket count is any number: a place is hashed modulo the next power of two, and modulo half of that when it is not
/// in use yet (linear hashing; Litwin, VLDB 1980). So the table grows by splitting some buckets, and the rest stays put.
///
/// One process owns the table and changes it from one thread; any number of others read it at the same time without
/// locks. An entry's version is odd while it changes, so a reader in the same memory sees whole entries; one that copies
/// buckets over a network may see a torn one, which the checksum of the value then tells.
class Hashtable {
 public:
  Hashtable() = default;
  Hashtable(Bucket* buckets, uint64_t bucketCount)
      : buckets_(buckets), count_(bucketCount), mask_(std::bit_ceil(bucketCount) - 1) {}

  uint64_t bucketCount() const { return count_; }
  uint64_t FirstBucket(uint64_t fingerprint) const { return Place(fingerprint >> 32); }
  /// The other bucket of a fingerprint that stands in `bucket`; its own inverse.
  uint64_t OtherBucket(uint64_t fingerprint, uint64_t bucket) const {
    const uint64_t first = FirstBucket(fingerprint);
    if (bucket != first) return first;
    return Place(fingerprint >> 32 ^ ((fingerprint * 0x9E3779B97F4A7C15ull) >> 40 | 1));
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
  /// Takes more buckets into use, up to twice as many; they must hold zeros. Calls `publish` when all entries stand where
  /// readers that know the new count look for them, and before any goes from where readers that don't know it look.
  void Grow(uint64_t bucketCount, auto&& publish) {
    const Hashtable before = *this;
    *this = Hashtable(buckets_, bucketCount);
    EachMoved(before, [&](Entry& entry, uint64_t to) { Store(FreeEntry(to), entry); });
    publish();
    EachMoved(before, [](Entry& entry, uint64_t) { Clear(&entry); });
  }

  // For readers.
  /// Copies the entries with this fingerprint that are whole to `out` (room for 8). Returns how many there are.
  int Lookup(uint64_t fingerprint, Entry* out) const;

 private:
  uint64_t Place(uint64_t hash) const {
    const uint64_t place = hash & mask_;
    return place < count_ ? place : place & mask_ >> 1;
  }
  /// Calls `move` with each entry that stands in another bucket than before, and with that bucket.
  void EachMoved(const Hashtable& before, auto&& move) {
    for (uint64_t added = before.count_; added < count_; added++) {
      const uint64_t split = before.Place(added);
      for (Entry& entry : buckets_[split].entries) {
        if (entry.fingerprint == 0) continue;
        const bool isFirst = before.FirstBucket(entry.fingerprint) == split;
        const uint64_t first = FirstBucket(entry.fingerprint);
        if ((isFirst ? first : OtherBucket(entry.fingerprint, first)) == added) move(entry, added);
      }
    }
  }
  Entry* FreeEntry(uint64_t bucket) const;
  bool MakeRoom(uint64_t first, uint64_t second);

  Bucket* buckets_ = nullptr;
  uint64_t count_ = 0;
  uint64_t mask_ = 0;
};

}  // namespace volley
