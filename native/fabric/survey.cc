#include "survey.h"

#include <cstring>

namespace volley {
namespace {

/// As fi_getinfo answers without hints, or with FI_PROV_ATTR_ONLY.
FabricInfo Everything(const FabricQuery& query, uint64_t flags) {
  const FabricLibrary& library = FabricLibrary::Load();
  const FabricInfo hints(library.dupinfo(nullptr));
  // Without a mode nothing is left out but what asks for one.
  hints->mode = ~0ull;
  hints->domain_attr->mode = ~0ull;
  hints->domain_attr->mr_mode = static_cast<int>(~(FI_MR_BASIC | FI_MR_SCALABLE));
  if (!query.provider.empty()) hints->fabric_attr->prov_name = strdup(query.provider.c_str());
  fi_info* found = nullptr;
  library.getinfo(FI_VERSION(1, 14), nullptr, nullptr, flags, hints.get(), &found);
  return FabricInfo(found);
}

void Collect(const FabricInfo& found, bool reads, std::set<std::string>* seen, std::vector<FabricSurvey::Way>* ways) {
  for (const fi_info* info = found.get(); info != nullptr; info = info->next) {
    const FabricSurvey::Way way{info->fabric_attr->prov_name, info->domain_attr->name, info->ep_attr->type, reads};
    if (seen->insert(way.provider + "/" + way.device + "/" + std::to_string(way.type)).second) ways->push_back(way);
  }
}

}  // namespace

FabricSurvey FabricSurvey::Make(const FabricQuery& query) {
  FabricSurvey survey;
  survey.version = FabricLibrary::Load().version();
  const FabricInfo providers = Everything(query, FI_PROV_ATTR_ONLY);
  for (const fi_info* info = providers.get(); info != nullptr; info = info->next) {
    survey.providers.insert(info->fabric_attr->prov_name);
  }
  std::set<std::string> seen;
  Collect(FabricInfo::All(query), true, &seen, &survey.ways);
  // What is left can be no help at this address, or none at all.
  Collect(Everything(query, 0), false, &seen, &survey.ways);
  return survey;
}

}  // namespace volley
