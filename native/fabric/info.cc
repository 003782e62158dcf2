#include "info.h"

#include <cstring>

#include "../error.h"

namespace volley {

FabricInfo::~FabricInfo() {
  if (info_ != nullptr) FabricLibrary::Load().freeinfo(info_);
}

FabricInfo FabricInfo::Query(const std::string& provider, const std::string& host, uint16_t port, bool listening) {
  const FabricLibrary& library = FabricLibrary::Load();
  const FabricInfo hints(library.dupinfo(nullptr));
  hints->caps = FI_RMA | FI_READ | FI_REMOTE_READ;
  // Modes and registration modes that our code is ready for; a provider takes those that it needs.
  hints->mode = FI_CONTEXT | FI_CONTEXT2 | FI_RX_CQ_DATA;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints->domain_attr->threading = FI_THREAD_SAFE;
  hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
  hints->ep_attr->type = FI_EP_MSG;
  hints->fabric_attr->prov_name = strdup(provider.c_str());

  fi_info* found = nullptr;
  const std::string service = std::to_string(port);
  const int failed = library.getinfo(FI_VERSION(1, 14), host.empty() ? nullptr : host.c_str(), service.c_str(),
                                     listening ? FI_SOURCE : 0, hints.get(), &found);
  if (failed != 0) {
    throw Error("ERR_VOLLEY_FABRIC", library.Message("the fabric provider " + provider + (listening ? " cannot listen on " : " finds no way to ") +
                                                         (host.empty() ? "this host" : host), failed) +
                                         "; volley doctor tells which fabrics there are");
  }
  return FabricInfo(found);
}

}  // namespace volley
