#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "library.h"

namespace volley {

/// Which way through a fabric is wanted.
struct FabricQuery {
  std::string provider;            // our name for it, such as `verbs` or `net`; empty: any
  std::string device;               // libfabric's name of the domain, such as `mlx5_0`; empty: the first that routes to `host`
  fi_ep_type type = FI_EP_UNSPEC;   // FI_EP_MSG or FI_EP_RDM; FI_EP_UNSPEC: connected endpoints if there are any
  std::string host;                 // empty: every address
  uint16_t port = 0;
  bool listening = false;           // whether `host` is to be listened on, or to be reached
};

/// What a fabric offers at one address: an fi_info, which all copies share. Whoever makes a libfabric object from one keeps a
/// copy for as long: some providers go on looking at what they were given.
class FabricInfo {
 public:
  FabricInfo() = default;
  /// Takes over an fi_info, alone or the first of a list.
  explicit FabricInfo(fi_info* info);

  /// The first endpoint that can read remote memory among what libfabric offers for a query.
  /// Throws Error ERR_VOLLEY_FABRIC that says what is not there, ERR_VOLLEY_SETUP without libfabric.
  static FabricInfo Query(const FabricQuery& query);
  /// All that libfabric offers for a query. @param routed whether at the query's address, or at any that the devices have
  static std::vector<FabricInfo> All(const FabricQuery& query, bool routed);
  /// One for each of a list, which is taken over.
  static std::vector<FabricInfo> Split(fi_info* list);

  fi_info* get() const { return info_.get(); }
  fi_info* operator->() const { return info_.get(); }
  explicit operator bool() const { return info_ != nullptr; }
  /// Our name of it, see FabricLibrary::NameFromLibrary.
  std::string provider() const { return FabricLibrary::Load().NameFromLibrary(info_->fabric_attr->prov_name); }
  std::string domain() const { return info_->domain_attr->name; }
  bool connected() const { return info_->ep_attr->type == FI_EP_MSG; }
  /// Whether remote addresses are virtual addresses of the owner, not offsets into the registration.
  bool virtualAddresses() const { return (info_->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0; }
  /// Whether the buffer that a read lands in must be registered.
  bool localRegistration() const { return (info_->domain_attr->mr_mode & FI_MR_LOCAL) != 0; }
  /// Whether the provider, not the application, chooses keys.
  bool providerKeys() const { return (info_->domain_attr->mr_mode & FI_MR_PROV_KEY) != 0; }

 private:
  std::shared_ptr<fi_info> info_;
};

}  // namespace volley
