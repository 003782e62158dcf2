#pragma once

#include <cstdint>
#include <memory>

#include "hashtable.h"
#include "region.h"

namespace volley {

/// A node's own region as another thread of the node sees it: looks keys up while the owner changes the table, marks items as
/// read, and changes nothing else.
///
/// A slot that is found may be freed at any moment. Whoever looks keys up sees to it that the owner does not reuse freed
/// slots meanwhile (server/threads/thread-flights.ts).
class RegionView {
 public:
  /// What Find() answers instead of a slot.
  static constexpr int64_t kMissing = -1;
  static constexpr int64_t kExpired = -2;
  static constexpr int64_t kFlushed = -3;
  /// The item is of an earlier node, and its value is not what was stored.
  static constexpr int64_t kDamaged = -4;

  /// Lets another thread see the region: returns a number to be told to the one that makes a view of it. Called by the owner.
  static uint32_t Lend(const std::shared_ptr<Region>& region);
  /// Throws Error when nothing was lent under that number, or the region is gone.
  explicit RegionView(uint32_t number);

  const RegionHeader& header() const { return header_; }
  const std::shared_ptr<Region>& region() const { return region_; }

  /// The arena offset of the slot that holds this key's item, or why there is none. Exptimes go by the node's time, dates by the
  /// wall clock.
  int64_t Find(const uint8_t* key, size_t bytes, uint32_t nowSeconds, uint32_t wallSeconds) const;
  /// Takes down that the item in a slot, which was found, is read now.
  void NoteUse(uint64_t slot, uint32_t nowSeconds) const;

 private:
  Hashtable table() const;
  int64_t LookUp(const uint8_t* key, size_t bytes) const;
  bool HoldsKey(uint64_t slot, const uint8_t* key, size_t bytes) const;
  SlotHeader* HeaderAt(uint64_t slot) const;

  std::shared_ptr<Region> region_;
  RegionHeader header_{};
};

}  // namespace volley
