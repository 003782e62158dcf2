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
/// proved stale, the buckets are read first.
class FabricEndpoint final : public Endpoint {
 public:
  FabricEndpoint(std::shared_ptr<RemoteRegion> region, std::shared_ptr<GuestMemory> destination,
                 std::string_view keyPrefix, uint32_t window);
  ~FabricEndpoint() override { Close(); }

  uint32_t window() const override { return window_; }
  void Post(const ReadRequest& request) override;
  void Flush() override;
  size_t Poll(Completion* out, size_t max) override;
  int WaitDescriptor(short* events) const override;
  void Close() override;
  const std::string& error() const override { return error_; }

 private:
  enum class Phase { kIdle, kFirstBucket, kOtherBucket, kValue };

  struct Operation {
    fi_context2 context;  // libfabric's while the read is in flight; first, so that it leads back to the operation
    Phase phase = Phase::kIdle;
    ReadRequest request;
    uint64_t fingerprint;
    uint64_t bucket;   // the one that is read
    uint64_t address;  // of the value
    bool posted;       // with the device, or waiting for room in its queue
  };

  void Begin(Operation& operation);
  void ReadBucket(Operation& operation, uint64_t bucket, Phase phase);
  void Follow(Operation& operation, const Entry* entries, int count);
  void Submit(Operation& operation);
  void Complete(Operation& operation, ReadStatus status);
  void Advance(Operation& operation, bool ok);
  void Break();
  Bucket* Staging(const Operation& operation) { return &staging_[static_cast<size_t>(&operation - operations_.data())]; }

  std::shared_ptr<RemoteRegion> region_;
  std::shared_ptr<const TableCopy> table_;  // null: buckets are read first
  std::shared_ptr<GuestMemory> destination_;
  ChunkKey key_;
  uint32_t window_;
  std::vector<Bucket> staging_;  // per operation
  std::unique_ptr<FabricRegistration> stagingRegistration_;
  void* stagingDescriptor_ = nullptr;
  void* destinationDescriptor_ = nullptr;
  std::vector<Operation> operations_;
  std::deque<ReadRequest> posted_;
  std::deque<Completion> done_;
  std::unique_ptr<FabricConnection> connection_;
  std::string error_;
};

}  // namespace volley
