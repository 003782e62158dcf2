#include "survey.h"

#include <cstring>

namespace volley {
namespace {

/// As fi_getinfo answers without hints, or with FI_PROV_ATTR_ONLY.
std::vector<FabricInfo> Everything(const FabricQuery& query, uint64_t flags) {
  const FabricLibrary& library = FabricLibrary::Load();
  const FabricInfo hints(library.dupinfo(nullptr));
  // Without a mode nothing is left out but what asks for one.
  hints->mode = ~0ull;
  hints->domain_attr->mode = ~0ull;
  hints->domain_attr->mr_mode = static_cast<int>(~(FI_MR_BASIC | FI_MR_SCALABLE));
  if (!query.provider.empty()) hints->fabric_attr->prov_name = strdup(library.NameInLibrary(query.provider).c_str());
  fi_info* found = nullptr;
  library.getinfo(FI_VERSION(1, 14), nullptr, nullptr, flags, hints.get(), &found);
  return FabricInfo::Split(found);
}

/// Each way once; of a provider's ways of one type, those that cannot read are left out where others can.
class Collector {
 public:
  explicit Collector(std::vector<FabricSurvey::Way>* ways) : ways_(ways) {}

  void Add(const std::vector<FabricInfo>& found, bool reads, bool here) {
    std::set<std::string> kinds;
    for (const FabricInfo& info : found) {
      const FabricSurvey::Way way{info.provider(), info.domain(), info->ep_attr->type, reads, here};
      const std::string kind = way.provider + "/" + std::to_string(way.type);
      if (!reads && kinds_.count(kind) > 0) continue;
      kinds.insert(kind);
      if (seen_.insert(kind + "/" + way.device).second) ways_->push_back(way);
    }
    kinds_.merge(kinds);
  }

 private:
  std::vector<FabricSurvey::Way>* ways_;
  std::set<std::string> seen_;
  std::set<std::string> kinds_;
};

}  // namespace

FabricSurvey FabricSurvey::Make(const FabricQuery& query) {
  FabricSurvey survey;
  survey.version = FabricLibrary::Load().version();
  for (const FabricInfo& info : Everything(query, FI_PROV_ATTR_ONLY)) survey.providers.insert(info.provider());
  Collector collector(&survey.ways);
  const bool routed = query.listening || !query.host.empty();
  collector.Add(FabricInfo::All(query, routed), true, true);
  if (!query.host.empty()) collector.Add(FabricInfo::All(query, false), true, false);
  if (query.type == FI_EP_UNSPEC) collector.Add(Everything(query, 0), false, false);
  return survey;
}

}  // namespace volley
