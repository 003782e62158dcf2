#pragma once

#include <set>
#include <string>
#include <vector>

#include "info.h"

namespace volley {

/// What libfabric has on this host: which providers, and which ways of theirs there are at an address.
struct FabricSurvey {
  struct Way {
    std::string provider;
    std::string device;
    fi_ep_type type;
    bool reads;  // whether it can read remote memory in the way that we need
    bool here;   // whether it is at the address, or routes to it
  };

  /// Opens nothing; takes some hundred milliseconds where there are many providers. The query's device does not
  /// matter; with a type, only ways of that type that can read are told of. Throws Error ERR_VOLLEY_SETUP without libfabric.
  static FabricSurvey Make(const FabricQuery& query);

  uint32_t version = 0;                // of libfabric, as FI_VERSION makes it
  std::set<std::string> providers;     // those that libfabric has in it, and that FI_PROVIDER leaves
  std::vector<Way> ways;               // each provider, device and type once, in libfabric's order: connected ones first
};

}  // namespace volley
