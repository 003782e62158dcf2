#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "info.h"

namespace volley {

/// Memory that a fabric may read or fill. Deregistered at its end, which must come before the memory's.
class FabricRegistration {
 public:
  FabricRegistration(FabricHandle<fid_mr> mr, std::shared_ptr<void> owner) : owner_(std::move(owner)), mr_(std::move(mr)) {}
  uint64_t key() const { return fi_mr_key(mr_.get()); }
  void* descriptor() const { return fi_mr_desc(mr_.get()); }

 private:
  std::shared_ptr<void> owner_;  // the domain; closed after the registration
  FabricHandle<fid_mr> mr_;
};

/// One opened device (or software provider), shared by all that use it in this process.
class FabricDomain : public std::enable_shared_from_this<FabricDomain> {
 public:
  /// The domain that `info` names, opened when nobody has it open. Throws Error ERR_VOLLEY_FABRIC.
  static std::shared_ptr<FabricDomain> Open(const FabricInfo& info);
  /// The domain for one more endpoint that reads: this one, or where nothing has to be registered with it, one of the
  /// endpoint's own: before libfabric 1.18.0 net was seen to damage what the endpoints of a domain share (libfabric pull
  /// request 8656). Throws Error ERR_VOLLEY_FABRIC.
  std::shared_ptr<FabricDomain> ForEndpoint(const FabricInfo& info);

  fid_fabric* fabric() const { return fabric_.get(); }
  fid_domain* domain() const { return domain_.get(); }

  /// Registers memory for `access` (FI_REMOTE_READ, or FI_READ: local-write). Throws Error ERR_VOLLEY_MEMORY that tells
  /// how to raise the limit of locked memory.
  std::unique_ptr<FabricRegistration> Register(const void* data, size_t bytes, uint64_t access);

 private:
  explicit FabricDomain(const FabricInfo& info);

  FabricInfo info_;
  FabricHandle<fid_fabric> fabric_;
  FabricHandle<fid_domain> domain_;
};

}  // namespace volley
