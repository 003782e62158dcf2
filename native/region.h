#pragma once

#include <memory>
#include <optional>
#include <string>

#include "fabric/listener.h"
#include "hand_out.h"
#include "hashtable.h"
#include "layout.h"
#include "region_memory.h"
#include "table_changes.h"

namespace volley {

/// The memory of a storage node: header, page directory, hashtable and arena, in one sealed memfd or in a file that a
/// later node takes up again.
///
/// Owned and changed by one thread; handing it out runs on a thread of its own, and others may look on (region_view.h).
///
/// A node may be killed between any two stores to memory, and whatever reached a file by then is what the next node finds.
/// So an item counts from the store of its slot's magic on, which comes after all else of the slot and before its entry in
/// the table; and the table is made anew from the slots at each start.
class Region {
 public:
  struct Options {
    uint64_t arenaBytes;
    /// Items that the table may grow to, where untouched memory costs nothing and where all of it is taken at once.
    uint64_t tableItems;
    uint64_t tableItemsPinned;
    bool hugepages;
    std::string file;  // empty: a memfd
  };

  /// What a region file held when it was taken up again.
  struct Restored {
    uint64_t items = 0;
    uint64_t damaged = 0;   // slots and pages that were not what a node leaves behind
    uint64_t replaced = 0;  // older items of a key that is there twice
  };

  /// Link()'s answers other than the offset of the slot it replaced.
  static constexpr int64_t kNew = -1;
  static constexpr int64_t kTableFull = -2;

  /// Throws Error when the memory is not to be had, or the file is in use, damaged or of another layout or size.
  explicit Region(const Options& options);

  const RegionHeader& header() const { return header_; }
  const std::string& notice() const { return notice_; }
  /// Null when the region is new.
  const std::optional<Restored>& restored() const { return restored_; }
  uint64_t itemCount() const { return itemCount_; }
  uint8_t* data() const { return memory_.data(); }
  /// For those who look keys up on other threads.
  const TableChanges& changes() const { return changes_; }
  uint8_t* arena() const { return memory_.data() + header_.arenaOffset; }
  uint64_t pageCount() const { return header_.arenaBytes / kArenaPageBytes; }
  /// Numbers that the node keeps with its items: kLedgerWords of them.
  uint64_t* ledger() const { return reinterpret_cast<uint64_t*>(memory_.data() + kLedgerOffset); }

  /// Cuts an arena page into slots of so many bytes, none of which holds an item; 0 = the page is not cut.
  void CutPage(uint64_t page, uint32_t slotBytes);
  /// The slot bytes of each page.
  const uint32_t* directory() const { return reinterpret_cast<const uint32_t*>(memory_.data() + kRegionHeaderBytes); }

  /// The arena offset of the slot that holds this key, or -1.
  int64_t Find(const uint8_t* key, size_t bytes) const;
  /// Makes the item in a slot visible under its key; see Region.link in src/native.ts. Throws Error on a slot that holds
  /// no well-formed item.
  int64_t Link(uint64_t slot);
  bool Unlink(uint64_t slot);
  /// Moves a linked item to another slot. Throws Error.
  void Move(uint64_t from, uint64_t to);
  /// Whether the value in a slot still has the checksum it was stored with, and what stands behind it is there.
  bool IsIntact(uint64_t slot) const;

  /// Hands the region, read-only, to whoever connects to the unix socket at `path`. Throws Error.
  void Share(const std::string& path);
  void Unshare() { handOut_.reset(); }
  /// Ends handing out and offering, and lets another node have the region's file. The memory stays readable.
  void Close();

  /// Lets the region be read over a fabric until the region ends or StopOffering(). Throws Error.
  const FabricListener& Offer(const FabricListener::Options& options);
  void StopOffering() { fabric_.reset(); }
  /// Null while the region is not offered.
  const FabricListener* fabric() const { return fabric_.get(); }

 private:
  struct Item {
    SlotHeader* header;
    const uint8_t* key;
    uint64_t address;
  };

  void Make(const Options& options);
  void MakeFile(const Options& options);
  void TakeUp(const Options& options);
  void Publish();
  void EmptyTable();
  void Restore();
  void RestorePage(uint64_t page, uint32_t slotBytes);
  bool RestoreItem(uint64_t slot, uint32_t slotBytes);

  std::optional<Item> WellFormed(uint64_t slot) const;
  Item ItemAt(uint64_t slot) const;
  Entry EntryOf(const Item& item) const;
  Entry* EntryFor(const Item& item, uint64_t fingerprint) const;
  uint64_t SlotOf(const Entry& entry) const { return entry.address - entry.slotUnits * kSlotUnitBytes - header_.arenaOffset; }
  SlotHeader* HeaderAt(uint64_t slot) const { return reinterpret_cast<SlotHeader*>(arena() + slot); }
  bool HoldsKey(const Entry& entry, const uint8_t* key, size_t bytes) const;
  bool Insert(const Entry& entry);
  bool GrowTable();

  RegionHeader header_{};
  RegionMemory memory_;
  Hashtable table_;
  TableChanges changes_;
  std::string notice_;
  std::optional<Restored> restored_;
  uint64_t itemCount_ = 0;
  std::unique_ptr<HandOutSocket> handOut_;
  std::unique_ptr<FabricListener> fabric_;  // after the mapping: ends before it
};

}  // namespace volley
