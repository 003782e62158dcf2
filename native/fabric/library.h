#pragma once

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include <string>

namespace volley {

/// libfabric, loaded when a fabric is first wanted: on a machine without it Volley installs and runs all the same.
///
/// Everything but these few entry points is reached through tables of functions inside libfabric's own objects.
class FabricLibrary {
 public:
  /// Loads it once per process. Throws Error ERR_VOLLEY_SETUP when it is not installed.
  static const FabricLibrary& Load();

  decltype(&::fi_getinfo) getinfo;
  decltype(&::fi_freeinfo) freeinfo;
  decltype(&::fi_dupinfo) dupinfo;
  decltype(&::fi_fabric) fabric;
  decltype(&::fi_strerror) strerror;
  decltype(&::fi_version) version;

  /// Names of providers here and in libfabric: what libfabric 1.17 calls `net` has been `tcp` since 1.18, with the same wire
  /// protocol. It is `net` here, whichever libfabric is installed. 1.17's own `tcp` is another one.
  std::string NameInLibrary(const std::string& provider) const;
  std::string NameFromLibrary(const std::string& provider) const;

  /// "what: Connection refused"; `failed` as libfabric returns it, negative or positive.
  std::string Message(const std::string& what, long failed) const;

 private:
  FabricLibrary();
};

/// Closes a libfabric object (fid) when it goes out of scope.
template <typename Object>
class FabricHandle {
 public:
  FabricHandle() = default;
  explicit FabricHandle(Object* object) : object_(object) {}
  FabricHandle(FabricHandle&& other) noexcept : object_(other.Release()) {}
  FabricHandle& operator=(FabricHandle&& other) noexcept {
    if (this != &other) {
      Reset();
      object_ = other.Release();
    }
    return *this;
  }
  ~FabricHandle() { Reset(); }

  Object* get() const { return object_; }
  Object* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  /// For functions that return an object through a pointer.
  Object** Receive() {
    Reset();
    return &object_;
  }
  void Reset() {
    if (object_ != nullptr) fi_close(&Release()->fid);
  }

 private:
  Object* Release() {
    Object* object = object_;
    object_ = nullptr;
    return object;
  }

  Object* object_ = nullptr;
};

}  // namespace volley
