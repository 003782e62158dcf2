#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "library.h"

namespace volley {

/// What a fabric offers at one address: an fi_info, owned.
class FabricInfo {
 public:
  FabricInfo() = default;
  explicit FabricInfo(fi_info* info) : info_(info) {}
  FabricInfo(FabricInfo&& other) noexcept : info_(other.info_) { other.info_ = nullptr; }
  FabricInfo& operator=(FabricInfo&& other) noexcept {
    std::swap(info_, other.info_);
    return *this;
  }
  ~FabricInfo();

  /// Asks libfabric for endpoints that can read remote memory: connected ones (FI_EP_MSG), else, for fabrics that only
  /// have that, reliable datagrams (FI_EP_RDM).
  /// @param provider libfabric's name for it, such as `verbs` or `net`
  /// @param listening whether `host` is to be listened on, or to be reached
  /// Throws Error ERR_VOLLEY_FABRIC that says what is not there, ERR_VOLLEY_SETUP without libfabric.
  static FabricInfo Query(const std::string& provider, const std::string& host, uint16_t port, bool listening);

  fi_info* get() const { return info_; }
  fi_info* operator->() const { return info_; }
  std::string provider() const { return info_->fabric_attr->prov_name; }
  std::string domain() const { return info_->domain_attr->name; }
  bool connected() const { return info_->ep_attr->type == FI_EP_MSG; }
  /// Whether remote addresses are virtual addresses of the owner, not offsets into the registration.
  bool virtualAddresses() const { return (info_->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0; }
  /// Whether the buffer that a read lands in must be registered.
  bool localRegistration() const { return (info_->domain_attr->mr_mode & FI_MR_LOCAL) != 0; }
  /// Whether the provider, not the application, chooses keys.
  bool providerKeys() const { return (info_->domain_attr->mr_mode & FI_MR_PROV_KEY) != 0; }

 private:
  static fi_info* Get(const std::string& provider, const std::string& host, uint16_t port, bool listening,
                      fi_ep_type type, int* failed);

  fi_info* info_ = nullptr;
};

}  // namespace volley
