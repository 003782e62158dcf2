#include "local_region_object.h"

#include <optional>
#include <string>

#include "addon_data.h"
#include "convert.h"

namespace volley {
namespace {

/// Waits for the node off the event loop.
class OpenWorker : public Napi::AsyncWorker {
 public:
  OpenWorker(Napi::Env env, std::string path, int timeoutMs)
      : AsyncWorker(env), deferred_(env), path_(std::move(path)), timeoutMs_(timeoutMs) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      region_ = LocalRegion::Open(path_, timeoutMs_);
    } catch (const Error& error) {
      error_ = error;
    }
  }

  void OnOK() override {
    if (error_) return deferred_.Reject(ToJs(Env(), *error_).Value());
    const auto handle = Napi::External<std::shared_ptr<LocalRegion>>::New(Env(), &region_);
    deferred_.Resolve(Env().GetInstanceData<AddonData>()->localRegion.New({handle}));
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::string path_;
  int timeoutMs_;
  std::shared_ptr<LocalRegion> region_;
  std::optional<Error> error_;
};

}  // namespace

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
  auto* worker = new OpenWorker(info.Env(), path, static_cast<int>(ToInteger(info[1], "timeoutMs", INT32_MAX)));
  worker->Queue();
  return worker->promise();
}

Napi::Value LocalRegionObject::Info(const Napi::CallbackInfo& info) {
  if (!region_) throw Napi::Error::New(info.Env(), "the region is closed");
  return ToInfo(info.Env(), region_->header());
}

}  // namespace volley
