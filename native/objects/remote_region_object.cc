#include "remote_region_object.h"

#include <string>

#include "addon_data.h"
#include "background.h"
#include "fabric_object.h"

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
                     {InstanceAccessor<&RemoteRegionObject::Info>("info"), InstanceAccessor<&RemoteRegionObject::Way>("way"),
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
  const Napi::Uint8Array token = ToBytes(options.Get("token"), "token");
  RemoteRegion::Options parsed{
      .query = ToFabricQuery(options, false),
      .base = ToBigInt(options, "base"),
      .key = ToBigInt(options, "key"),
      .address = std::string(reinterpret_cast<const char*>(address.Data()), address.ByteLength()),
      .token = std::string(reinterpret_cast<const char*>(token.Data()), token.ByteLength()),
      .timeoutMs = static_cast<int>(ToInteger(options.Get("timeoutMs"), "timeoutMs", INT32_MAX))};
  // The node's device has a name of its own, in `device`.
  parsed.query.device = ToOptionalString(options, "localDevice");
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

Napi::Value RemoteRegionObject::Way(const Napi::CallbackInfo& info) {
  if (!region_) throw Napi::Error::New(info.Env(), "the region is closed");
  Napi::Object way = Napi::Object::New(info.Env());
  way.Set("provider", region_->way().provider());
  way.Set("device", region_->way().domain());
  way.Set("endpoint", EndpointName(region_->way().connected() ? FI_EP_MSG : FI_EP_RDM));
  const uint32_t reads = region_->readsOutstandingMax();
  way.Set("readsOutstandingMax", reads == 0 ? info.Env().Null() : Napi::Number::New(info.Env(), reads));
  return way;
}

Napi::Value RemoteRegionObject::CopyTable(const Napi::CallbackInfo& info) {
  if (!region_) throw Napi::Error::New(info.Env(), "the region is closed");
  const uint64_t bytesMax = ToInteger(info[0], "bytesMax");
  const int timeoutMs = static_cast<int>(ToInteger(info[1], "timeoutMs", INT32_MAX));
  return Background<uint64_t>::Start(
      info.Env(), [region = region_, bytesMax, timeoutMs] { return region->CopyTable(bytesMax, timeoutMs); },
      [](Napi::Env env, uint64_t& bytes) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(bytes)); });
}

}  // namespace volley
