#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../hashtable.h"
#include "../layout.h"
#include "connection.h"
#include "info.h"

namespace volley {

/// A hashtable as it was when it was copied.
struct TableCopy {
  explicit TableCopy(uint64_t bucketCount) : buckets(bucketCount), table(buckets.data(), bucketCount) {}

  std::vector<Bucket> buckets;
  Hashtable table;
};

/// Another machine's region, read over a fabric. What is read of it is as hostile as a mapped one.
class RemoteRegion {
 public:
  struct Options {
    FabricQuery query;
    uint64_t base;
    uint64_t key;
    std::string address;  // raw, of an endpoint for reliable datagrams; else empty
    std::string token;    // what the node wants to be shown by who connects
    int timeoutMs;
  };

  /// Connects and reads the header. Throws Error: ERR_VOLLEY_FABRIC, ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_LAYOUT.
  explicit RemoteRegion(const Options& options);

  /// The header as it was at first.
  const RegionHeader& header() const { return header_; }
  /// Buckets in use, as far as is known; any thread may ask and tell.
  uint64_t bucketCount() const { return bucketCount_; }
  /// Takes note of the bucket count that a header read later tells, if it may be one.
  void NoteBucketCount(uint64_t count);
  /// The table as it was copied last, or null. Any thread may ask.
  std::shared_ptr<const TableCopy> table() const;
  /// Copies the table, unless that takes more than `bytesMax`. Returns the bytes read for it. Throws as the constructor does.
  uint64_t CopyTable(uint64_t bytesMax, int timeoutMs);

  /// Begins a connection of its own. A failure is a broken connection.
  std::unique_ptr<FabricConnection> Connect() const;
  const FabricInfo& way() const { return info_; }
  /// Reads that one connection should have in flight, as far as the device tells; else 0.
  uint32_t readsOutstandingMax() const { return readsOutstandingMax_; }
  FabricDomain& domain() const { return *domain_; }
  bool localRegistration() const { return info_.localRegistration(); }
  uint64_t AddressOf(uint64_t offset) const { return options_.base + offset; }
  uint64_t key() const { return options_.key; }

 private:
  void ReadNow(FabricConnection& connection, uint64_t offset, void* to, size_t bytes, int timeoutMs) const;

  Options options_;
  FabricInfo info_;
  std::shared_ptr<FabricDomain> domain_;
  uint32_t readsOutstandingMax_;
  RegionHeader header_{};
  std::atomic<uint64_t> bucketCount_ = 0;
  mutable std::mutex copying_;
  std::shared_ptr<const TableCopy> table_;
};

}  // namespace volley
