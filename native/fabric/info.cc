#include "info.h"

#include <cstring>

#include "../error.h"

namespace volley {

FabricInfo::~FabricInfo() {
  if (info_ != nullptr) FabricLibrary::Load().freeinfo(info_);
}

fi_info* FabricInfo::Get(const std::string& provider, const std::string& host, uint16_t port, bool listening,
                         fi_ep_type type, int* failed) {
  const FabricLibrary& library = FabricLibrary::Load();
  const FabricInfo hints(library.dupinfo(nullptr));
  hints->caps = FI_RMA | FI_READ | FI_REMOTE_READ;
  // Modes and registration modes that our code is ready for; a provider takes those that it needs.
  hints->mode = FI_CONTEXT | FI_CONTEXT2 | FI_RX_CQ_DATA;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints->domain_attr->threading = FI_THREAD_SAFE;
  hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
  if (type == FI_EP_RDM) {
    // Nobody calls into a storage node's endpoint: the provider must make progress by itself.
    hints->domain_attr->data_progress = FI_PROGRESS_AUTO;
    hints->domain_attr->control_progress = FI_PROGRESS_AUTO;
    hints->domain_attr->av_type = FI_AV_TABLE;
  }
  hints->ep_attr->type = type;
  hints->fabric_attr->prov_name = strdup(provider.c_str());
  fi_info* found = nullptr;
  *failed = library.getinfo(FI_VERSION(1, 14), host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(),
                            listening ? FI_SOURCE : 0, hints.get(), &found);
  return found;
}

FabricInfo FabricInfo::Query(const std::string& provider, const std::string& host, uint16_t port, bool listening) {
  int failed = 0;
  fi_info* found = Get(provider, host, port, listening, FI_EP_MSG, &failed);
  if (found == nullptr) found = Get(provider, host, port, listening, FI_EP_RDM, &failed);
  if (found == nullptr) {
    const std::string place = host.empty() ? "this host" : host;
    const std::string what = "the fabric provider " + provider + (listening ? " cannot listen on " : " finds no way to ") + place;
    throw Error("ERR_VOLLEY_FABRIC",
                FabricLibrary::Load().Message(what, failed) + "; volley doctor tells which fabrics there are");
  }
  return FabricInfo(found);
}

}  // namespace volley
