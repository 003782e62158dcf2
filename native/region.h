#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "fabric/listener.h"
#include "hashtable.h"
#include "layout.h"
#include "mapping.h"
#include "unique_fd.h"

namespace volley {

/// The memory of a storage node: one sealed memfd with header, hashtable and arena.
///
/// Owned and changed by one thread; sharing it runs on a thread of its own.
class Region {
 public:
  struct Options {
    uint64_t arenaBytes;
    uint64_t tableItems;
    bool hugepages;
  };

  /// Link()'s answers other than the offset of the slot it replaced.
  static constexpr int64_t kNew = -1;
  static constexpr int64_t kTableFull = -2;

  /// Throws Error when the memory is not to be had.
  explicit Region(const Options& options);
  ~Region() { Unshare(); }

  const RegionHeader& header() const { return header_; }
  const std::string& notice() const { return notice_; }
  uint64_t itemCount() const { return itemCount_; }
  uint8_t* arena() const { return mapping_.data() + header_.arenaOffset; }

  /// The arena offset of the slot that holds this key, or -1.
  int64_t Find(const uint8_t* key, size_t bytes) const;
  /// Makes the item in a slot visible under its key; see Region.link in src/native.ts. Throws Error on a slot that holds
  /// no well-formed item.
  int64_t Link(uint64_t slot);
  bool Unlink(uint64_t slot);

  /// Hands the region, read-only, to whoever connects to the unix socket at `path`. Throws Error.
  void Share(const std::string& path);
  void Unshare();

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

  bool Map(const Options& options, bool hugepages);
  Item ItemAt(uint64_t slot) const;
  bool HoldsKey(const Entry& entry, const uint8_t* key, size_t bytes) const;
  void ServeDescriptor(int listener, int stop) const;

  RegionHeader header_{};
  UniqueFd fd_;
  UniqueFd readOnlyFd_;
  Mapping mapping_;
  Hashtable table_;
  std::string notice_;
  uint64_t itemCount_ = 0;
  std::string sharedPath_;
  UniqueFd stopSharing_;
  std::thread sharing_;
  std::unique_ptr<FabricListener> fabric_;  // after the mapping: ends before it
};

}  // namespace volley
