#include "library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>

#include "../error.h"

namespace volley {
namespace {

template <typename Function>
void Bind(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr) {
    throw Error("ERR_VOLLEY_SETUP", std::string("libfabric.so.1 lacks ") + name + "; install libfabric 1.17 or newer");
  }
}

constexpr char kNet[] = "net";
constexpr char kTcp[] = "tcp";

/// FI_PROVIDER with both names of the provider that has two, when it has one of them.
std::string WithBothNames(const std::string& filter) {
  const size_t begin = filter.starts_with('^') ? 1 : 0;
  bool has[2] = {};
  std::istringstream names(filter.substr(begin));
  for (std::string name; std::getline(names, name, ',');) {
    has[0] |= name == kNet;
    has[1] |= name == kTcp;
  }
  if (has[0] == has[1]) return filter;
  return filter + ',' + (has[0] ? kTcp : kNet);
}

/// Has libfabric start with what FI_PROVIDER means here. It reads it when it is first asked for anything; an empty one, which
/// is no limit here, would leave it no provider.
void StartWithFilter(const FabricLibrary& library) {
  const char* set = getenv("FI_PROVIDER");
  if (set == nullptr) return;
  const std::string filter = set;
  const std::string meant = WithBothNames(filter);
  if (!meant.empty() && meant == filter) return;
  if (meant.empty()) unsetenv("FI_PROVIDER");
  else setenv("FI_PROVIDER", meant.c_str(), 1);
  fi_info* found = nullptr;
  if (library.getinfo(FI_VERSION(1, 14), nullptr, nullptr, FI_PROV_ATTR_ONLY, nullptr, &found) == 0) library.freeinfo(found);
  setenv("FI_PROVIDER", filter.c_str(), 1);
}

}  // namespace

const FabricLibrary& FabricLibrary::Load() {
  static const FabricLibrary library;
  return library;
}

FabricLibrary::FabricLibrary() {
  // Debian's libfabric pulls in libinfinipath, whose constructor would take over SIGINT, SIGTERM and SIGSEGV from Node.
  setenv("IPATH_NO_BACKTRACE", "1", 0);
  // For datagrams, of which we have no use, verbs would start a name server and wait for it whenever it is asked what there is.
  setenv("FI_VERBS_DGRAM_USE_NAME_SERVER", "0", 0);
  // Registrations are kept by us, for as long as their memory. libfabric's cache would keep memory pinned after its end, and
  // would put hooks into this process's mmap and munmap to learn of that.
  setenv("FI_MR_CACHE_MAX_COUNT", "0", 0);
  void* library = dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error("ERR_VOLLEY_SETUP", std::string("libfabric is not installed (") + dlerror() +
                                        "); run: apt-get install libfabric1");
  }
  Bind(library, "fi_getinfo", &getinfo);
  Bind(library, "fi_freeinfo", &freeinfo);
  Bind(library, "fi_dupinfo", &dupinfo);
  Bind(library, "fi_fabric", &fabric);
  Bind(library, "fi_strerror", &strerror);
  Bind(library, "fi_version", &version);
  StartWithFilter(*this);
}

std::string FabricLibrary::NameInLibrary(const std::string& provider) const {
  return provider == kNet && FI_VERSION_GE(version(), FI_VERSION(1, 18)) ? kTcp : provider;
}

std::string FabricLibrary::NameFromLibrary(const std::string& provider) const {
  return provider == kTcp && FI_VERSION_GE(version(), FI_VERSION(1, 18)) ? kNet : provider;
}

std::string FabricLibrary::Message(const std::string& what, long failed) const {
  return what + ": " + strerror(static_cast<int>(failed < 0 ? -failed : failed));
}

}  // namespace volley
