#include "local_region_object.h"

#include <string>

#include "addon_data.h"
#include "background.h"

namespace volley {
Napi::Function LocalRegionObject::Define(Napi::Env env) {
  return DefineClass(env, "LocalRegion",
                     {InstanceAccessor<&LocalRegionObject::Info>("info"),
                      InstanceMethod<&LocalRegionObject::Close>("close")});
}

LocalRegionObject::LocalRegionObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) ThrowType(info.Env(), "a LocalRegion comes from openLocalRegion()");
  region_ = *info[0].As<Napi::External<std::shared_ptr<LocalRegion>>>().Data();
}

Napi::Value LocalRegionObject::OpenLocalRegion(const Napi::CallbackInfo& info) {
  const std::string path = ToString(info[0], "path");
  const int timeoutMs = static_cast<int>(ToInteger(info[1], "timeoutMs", INT32_MAX));
  return Background<std::shared_ptr<LocalRegion>>::Start(
      info.Env(), [path, timeoutMs] { return LocalRegion::Open(path, timeoutMs); },
      [](Napi::Env env, std::shared_ptr<LocalRegion>& region) -> Napi::Value {
        const auto handle = Napi::External<std::shared_ptr<LocalRegion>>::New(env, &region);
        return env.GetInstanceData<AddonData>()->localRegion.New({handle});
      });
}

Napi::Value LocalRegionObject::Info(const Napi::CallbackInfo& info) {
  if (!region_) throw Napi::Error::New(info.Env(), "the region is closed");
  return ToInfo(info.Env(), region_->header());
}

}  // namespace volley
