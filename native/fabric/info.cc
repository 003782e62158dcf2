#include "info.h"

#include <cstring>
#include <utility>

#include "../error.h"

namespace volley {
namespace {

/// Fabrics whose addresses are no IP addresses (EFA, Slingshot, Omni-Path): no device of theirs routes to one.
bool HasOwnAddresses(const fi_info& info) {
  switch (info.addr_format) {
    case FI_FORMAT_UNSPEC:
    case FI_SOCKADDR:
    case FI_SOCKADDR_IN:
    case FI_SOCKADDR_IN6:
    case FI_SOCKADDR_IB:
      return false;
    default:
      return true;
  }
}

/// Asks for endpoints of one type that can read remote memory. @param routed whether for the query's address
std::vector<FabricInfo> Ask(const FabricQuery& query, bool routed, int* failed) {
  const FabricLibrary& library = FabricLibrary::Load();
  const FabricInfo hints(library.dupinfo(nullptr));
  hints->caps = FI_RMA | FI_READ | FI_REMOTE_READ;
  // Modes and registration modes that our code is ready for; a provider takes those that it needs.
  hints->mode = FI_CONTEXT | FI_CONTEXT2 | FI_RX_CQ_DATA;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints->domain_attr->threading = FI_THREAD_SAFE;
  hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
  if (query.type == FI_EP_RDM) {
    // Nobody calls into a storage node's endpoint: the provider must make progress by itself.
    hints->domain_attr->data_progress = FI_PROGRESS_AUTO;
    hints->domain_attr->control_progress = FI_PROGRESS_AUTO;
    hints->domain_attr->av_type = FI_AV_TABLE;
  }
  hints->ep_attr->type = query.type;
  if (!query.provider.empty()) hints->fabric_attr->prov_name = strdup(library.NameInLibrary(query.provider).c_str());
  if (!query.device.empty()) hints->domain_attr->name = strdup(query.device.c_str());
  const std::string port = std::to_string(query.port);
  fi_info* found = nullptr;
  *failed = library.getinfo(FI_VERSION(1, 14), routed && !query.host.empty() ? query.host.c_str() : nullptr,
                            routed ? port.c_str() : nullptr, routed && query.listening ? FI_SOURCE : 0, hints.get(), &found);
  return FabricInfo::Split(found);
}

std::vector<FabricInfo> AllOfType(const FabricQuery& query, bool routed, int* failed) {
  std::vector<FabricInfo> all = Ask(query, routed, failed);
  if (query.type != FI_EP_RDM || !routed) return all;
  // A provider with addresses of its own makes nothing of an IP address: it is asked without.
  int ignored = 0;
  for (FabricInfo& info : Ask(query, false, &ignored)) {
    if (HasOwnAddresses(*info.get())) all.push_back(std::move(info));
  }
  return all;
}

}  // namespace

FabricInfo::FabricInfo(fi_info* info) : info_(info, [](fi_info* last) { FabricLibrary::Load().freeinfo(last); }) {}

std::vector<FabricInfo> FabricInfo::Split(fi_info* list) {
  std::vector<FabricInfo> all;
  while (list != nullptr) {
    fi_info* one = list;
    list = std::exchange(one->next, nullptr);
    all.emplace_back(one);
  }
  return all;
}

std::vector<FabricInfo> FabricInfo::All(const FabricQuery& query, bool routed) {
  int failed = 0;
  std::vector<FabricInfo> all;
  for (const fi_ep_type type : {FI_EP_MSG, FI_EP_RDM}) {
    if (query.type != FI_EP_UNSPEC && query.type != type) continue;
    FabricQuery typed = query;
    typed.type = type;
    for (FabricInfo& info : AllOfType(typed, routed, &failed)) all.push_back(std::move(info));
  }
  return all;
}

FabricInfo FabricInfo::Query(const FabricQuery& query) {
  int failed = 0;
  for (const fi_ep_type type : {FI_EP_MSG, FI_EP_RDM}) {
    if (query.type != FI_EP_UNSPEC && query.type != type) continue;
    FabricQuery typed = query;
    typed.type = type;
    const std::vector<FabricInfo> found = AllOfType(typed, true, &failed);
    for (const FabricInfo& info : found) {
      // Not every provider looks at the name in the hints.
      if (query.device.empty() || query.device == info.domain()) return info;
    }
    if (!found.empty()) failed = -FI_ENODEV;
  }
  const std::string place = query.host.empty() ? "this host" : query.host;
  const std::string device = query.device.empty() ? "" : " on device " + query.device;
  const std::string what = "the fabric provider " + query.provider + device +
                           (query.listening ? " cannot listen on " : " finds no way to ") + place;
  throw Error("ERR_VOLLEY_FABRIC",
              FabricLibrary::Load().Message(what, failed) + "; volley doctor tells which fabrics there are");
}

}  // namespace volley
