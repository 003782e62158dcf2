#pragma once

#include <napi.h>

#include <memory>

#include "../fabric/remote_region.h"

namespace volley {

/// `RemoteRegion` of src/native.ts; made by openRemoteRegion() only.
class RemoteRegionObject : public Napi::ObjectWrap<RemoteRegionObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit RemoteRegionObject(const Napi::CallbackInfo& info);

  /// `openRemoteRegion(options)` of src/native.ts.
  static Napi::Value OpenRemoteRegion(const Napi::CallbackInfo& info);

  /// Null after close().
  const std::shared_ptr<RemoteRegion>& region() const { return region_; }

 private:
  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Way(const Napi::CallbackInfo& info);
  Napi::Value CopyTable(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo&) { region_.reset(); }

  std::shared_ptr<RemoteRegion> region_;
};

}  // namespace volley
