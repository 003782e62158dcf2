#include "remote_region_object.h"

#include <string>

#include "addon_data.h"
#include "background.h"

namespace volley {
namespace {

uint64_t ToBigInt(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsBigInt()) ThrowType(object.Env(), std::string(name) + " must be a bigint");
  bool lossless = false;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

}  // namespace

Napi::Function RemoteRegionObject::Define(Napi::Env env) {
  return DefineClass(env, "RemoteRegion",
                     {InstanceAccessor<&RemoteRegionObject::Info>("info"),
                      InstanceMethod<&RemoteRegionObject::CopyTable>("copyTable"),
                      InstanceMethod<&RemoteRegionObject::Close>("close")});
}

RemoteRegionObject::RemoteRegionObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) ThrowType(info.Env(), "a RemoteRegion comes from openRemoteRegion()");
  region_ = *info[0].As<Napi::External<std::shared_ptr<RemoteRegion>>>().Data();
}

Napi::Value RemoteRegionObject::OpenRemoteRegion(const Napi::CallbackInfo& info) {
  const Napi::Object options = ToObject(info[0], "options");
  const Napi::Uint8Array address = ToBytes(options.Get("address"), "address");
  const RemoteRegion::Options parsed{
      .provider = ToString(options.Get("provider"), "provider"),
      .host = ToString(options.Get("host"), "host"),
      .port = static_cast<uint16_t>(ToInteger(options.Get("port"), "port", UINT16_MAX)),
      .base = ToBigInt(options, "base"),
      .key = ToBigInt(options, "key"),
      .address = std::string(reinterpret_cast<const char*>(address.Data()), address.ByteLength()),
      .timeoutMs = static_cast<int>(ToInteger(options.Get("timeoutMs"), "timeoutMs", INT32_MAX))};
  return Background<std::shared_ptr<RemoteRegion>>::Start(
      info.Env(), [parsed] { return std::make_shared<RemoteRegion>(parsed); },
      [](Napi::Env env, std::shared_ptr<RemoteRegion>& region) -> Napi::Value {
        const auto handle = Napi::External<std::shared_ptr<RemoteRegion>>::New(env, &region);
        return env.GetInstanceData<AddonData>()->remoteRegion.New({handle});
      });
}

Napi::Value RemoteRegionObject::Info(const Napi::CallbackInfo& info) {
  if (!region_) throw Napi::Error::New(info.Env(), "the region is closed");
  return ToInfo(info.Env(), region_->header());
}

Napi::Value RemoteRegionObject::CopyTable(const Napi::CallbackInfo& info) {
  if (!region_) throw Napi::Error::New(info.Env(), "the region is closed");
  const int timeoutMs = static_cast<int>(ToInteger(info[0], "timeoutMs", INT32_MAX));
  return Background<std::shared_ptr<RemoteRegion>>::Start(
      info.Env(),
      [region = region_, timeoutMs] {
        region->CopyTable(timeoutMs);
        return region;
      },
      [](Napi::Env env, std::shared_ptr<RemoteRegion>&) -> Napi::Value { return env.Undefined(); });
}

}  // namespace volley
