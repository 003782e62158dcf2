#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../chunk_key.h"
#include "../fabric/remote_region.h"
#include "../guest_memory.h"
#include "transport.h"

namespace volley {

/// Reads chunks out of a node's memory over a fabric: the node's processor does nothing.
///
/// A read takes the entry from the copied table and then the value. Where the table was not copied, or what it told
/// proved stale, the buckets are read first. Where the provider reads several places at once, several values share a read.
class FabricEndpoint final : public Endpoint {
 public:
  /// @param window chunks in flight at most
  FabricEndpoint(std::shared_ptr<RemoteRegion> region, std::shared_ptr<GuestMemory> destination,
                 std::string_view keyPrefix, uint32_t window);
  ~FabricEndpoint() override { Close(); }

  uint32_t window() const override { return window_ * batchMax_; }
  void Post(const ReadRequest& request) override;
  void Flush() override;
  size_t Poll(Completion* out, size_t max) override;
  int WaitDescriptor(short* events) const override;
  void Close() override;
  uint64_t indexBytes() const override { return indexBytes_; }
  const std::string& error() const override { return error_; }

 private:
  enum class Phase { kIdle, kBucketCount, kFirstBucket, kOtherBucket, kValue };

  struct Operation {
    fi_context2 context;  // libfabric's while the read is in flight; first, so that it leads back to the operation
    Phase phase = Phase::kIdle;
    uint32_t count = 0;  // chunks that it is for: one but while values are read
    ReadRequest requests[FabricConnection::kPiecesMax];
    uint64_t addresses[FabricConnection::kPiecesMax];  // of the values
    uint64_t fingerprint;
    uint64_t bucket;  // the one that is read
    bool posted;      // with the device, or waiting for room in its queue
  };

  void Begin(Operation& operation);
  bool NeedsBuckets(const ReadRequest& request) const { return table_ == nullptr || request.again; }
  void Gather(Operation& operation);
  void ReadFirstBucket(Operation& operation);
  void ReadBucket(Operation& operation, uint64_t bucket, Phase phase);
  ReadStatus Add(Operation& operation, const ReadRequest& request, const Entry* entries, int count);
  void ReadValues(Operation& operation);
  void Submit(Operation& operation);
  void Complete(Operation& operation, ReadStatus status);
  void Advance(Operation& operation, bool ok);
  void Break();
  Bucket* Staging(const Operation& operation) { return &staging_[static_cast<size_t>(&operation - operations_.data())]; }

  std::shared_ptr<RemoteRegion> region_;
  std::shared_ptr<const TableCopy> table_;  // null: buckets are read first
  std::shared_ptr<GuestMemory> destination_;
  ChunkKey key_;
  uint32_t batchMax_;  // values in one read
  uint32_t window_;    // reads in flight
  std::vector<Bucket> staging_;  // per operation
  std::unique_ptr<FabricRegistration> stagingRegistration_;
  void* stagingDescriptor_ = nullptr;
  void* destinationDescriptor_ = nullptr;
  std::vector<Operation> operations_;
  std::deque<ReadRequest> posted_;
  std::deque<Completion> done_;
  std::unique_ptr<FabricConnection> connection_;
  uint64_t indexBytes_ = 0;
  std::string error_;
};

}  // namespace volley
