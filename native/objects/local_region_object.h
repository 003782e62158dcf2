#pragma once

#include <napi.h>

#include <memory>

#include "../local_region.h"

namespace volley {

/// `LocalRegion` of src/native.ts; made by openLocalRegion() only.
class LocalRegionObject : public Napi::ObjectWrap<LocalRegionObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit LocalRegionObject(const Napi::CallbackInfo& info);

  /// `openLocalRegion(path, timeoutMs)` of src/native.ts.
  static Napi::Value OpenLocalRegion(const Napi::CallbackInfo& info);

  /// Null after close().
  const std::shared_ptr<LocalRegion>& region() const { return region_; }

 private:
  Napi::Value Info(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo&) { region_.reset(); }

  std::shared_ptr<LocalRegion> region_;
};

}  // namespace volley
