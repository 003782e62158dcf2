#pragma once

#include <napi.h>

#include <optional>

#include "../region_view.h"

namespace volley {

/// `RegionView` of src/native.ts.
class RegionViewObject : public Napi::ObjectWrap<RegionViewObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit RegionViewObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Memory(Napi::Env env, void* start, size_t bytes) const;

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Window(const Napi::CallbackInfo& info);
  Napi::Value Directory(const Napi::CallbackInfo& info);
  void Find(const Napi::CallbackInfo& info);
  void NoteUse(const Napi::CallbackInfo& info);

  std::optional<RegionView> view_;
};

}  // namespace volley
