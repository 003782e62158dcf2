#include "device_limits.h"

#include <dlfcn.h>
#include <infiniband/verbs.h>

#include <algorithm>
#include <string>

// A macro around an inline function there; what we want is the type of the library's own.
#undef ibv_get_device_list

namespace volley {
namespace {

constexpr char kVerbs[] = "verbs";

/// The entry points of libibverbs that are needed; the library is there where libfabric's verbs provider is.
struct VerbsLibrary {
  decltype(&::ibv_get_device_list) getDeviceList = nullptr;
  decltype(&::ibv_free_device_list) freeDeviceList = nullptr;
  decltype(&::ibv_get_device_name) getDeviceName = nullptr;
  decltype(&::ibv_open_device) openDevice = nullptr;
  decltype(&::ibv_query_device) queryDevice = nullptr;
  decltype(&::ibv_close_device) closeDevice = nullptr;

  static const VerbsLibrary* Load() {
    static const VerbsLibrary library;
    return library.complete_ ? &library : nullptr;
  }

 private:
  VerbsLibrary() {
    void* library = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    complete_ = Bind(library, "ibv_get_device_list", &getDeviceList) && Bind(library, "ibv_free_device_list", &freeDeviceList) &&
                Bind(library, "ibv_get_device_name", &getDeviceName) && Bind(library, "ibv_open_device", &openDevice) &&
                Bind(library, "ibv_query_device", &queryDevice) && Bind(library, "ibv_close_device", &closeDevice);
  }

  template <typename Function>
  static bool Bind(void* library, const char* name, Function* function) {
    *function = reinterpret_cast<Function>(dlsym(library, name));
    return *function != nullptr;
  }

  bool complete_ = false;
};

uint32_t Ask(const VerbsLibrary& library, ibv_device* device) {
  ibv_context* context = library.openDevice(device);
  if (context == nullptr) return 0;
  ibv_device_attr attributes{};
  const int failed = library.queryDevice(context, &attributes);
  library.closeDevice(context);
  return failed != 0 ? 0 : static_cast<uint32_t>(std::max(attributes.max_qp_init_rd_atom, 0));
}

}  // namespace

uint32_t ReadsOutstandingMax(const FabricInfo& info) {
  if (info.provider().rfind(kVerbs, 0) != 0) return 0;
  const VerbsLibrary* library = VerbsLibrary::Load();
  if (library == nullptr) return 0;
  int count = 0;
  ibv_device** devices = library->getDeviceList(&count);
  uint32_t most = 0;
  for (int i = 0; i < count; i++) {
    if (info.domain() == library->getDeviceName(devices[i])) most = Ask(*library, devices[i]);
  }
  if (devices != nullptr) library->freeDeviceList(devices);
  return most;
}

}  // namespace volley
