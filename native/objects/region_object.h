#pragma once

#include <napi.h>

#include <memory>

#include "../region.h"

namespace volley {

/// `Region` of src/native.ts.
class RegionObject : public Napi::ObjectWrap<RegionObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit RegionObject(const Napi::CallbackInfo& info);

 private:
  Region& Open(Napi::Env env) const;
  Napi::Value Memory(Napi::Env env, void* start, size_t bytes) const;

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Notice(const Napi::CallbackInfo& info);
  Napi::Value ItemCount(const Napi::CallbackInfo& info);
  Napi::Value Restored(const Napi::CallbackInfo& info);
  Napi::Value Ledger(const Napi::CallbackInfo& info);
  Napi::Value Directory(const Napi::CallbackInfo& info);
  Napi::Value Window(const Napi::CallbackInfo& info);
  void Find(const Napi::CallbackInfo& info);
  Napi::Value Link(const Napi::CallbackInfo& info);
  Napi::Value Unlink(const Napi::CallbackInfo& info);
  void Move(const Napi::CallbackInfo& info);
  Napi::Value IsIntact(const Napi::CallbackInfo& info);
  void CutPage(const Napi::CallbackInfo& info);
  Napi::Value Lend(const Napi::CallbackInfo& info);
  void Share(const Napi::CallbackInfo& info);
  void Unshare(const Napi::CallbackInfo& info);
  Napi::Value Offer(const Napi::CallbackInfo& info);
  void StopOffering(const Napi::CallbackInfo& info);
  Napi::Value FabricCounts(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  // Windows share ownership, so the memory outlives close() while JavaScript can still reach it.
  std::shared_ptr<Region> region_;
};

}  // namespace volley
