#include "library.h"

#include <dlfcn.h>

#include <cstdlib>

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
}

std::string FabricLibrary::Message(const std::string& what, long failed) const {
  return what + ": " + strerror(static_cast<int>(failed < 0 ? -failed : failed));
}

}  // namespace volley
