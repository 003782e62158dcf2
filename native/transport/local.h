#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../chunk_key.h"
#include "../local_region.h"
#include "transport.h"

namespace volley {

/// Copies chunks out of a region that is mapped here: the node's CPU does nothing, not even know of it.
class LocalEndpoint final : public Endpoint {
 public:
  LocalEndpoint(std::shared_ptr<LocalRegion> region, std::string_view keyPrefix)
      : region_(std::move(region)), key_(keyPrefix) {}

  // A copy is complete when Post() returns; one at a time keeps it in the cache for the verification that follows.
  uint32_t window() const override { return 1; }
  void Post(const ReadRequest& request) override;
  void Flush() override {}
  size_t Poll(Completion* out, size_t max) override;
  int WaitDescriptor(short*) const override { return -1; }
  void Close() override { pending_ = false; }
  const std::string& error() const override { return error_; }

 private:
  ReadStatus Copy(const ReadRequest& request);

  std::shared_ptr<LocalRegion> region_;
  ChunkKey key_;
  Completion completion_{};
  bool pending_ = false;
  std::string error_;
};

}  // namespace volley
