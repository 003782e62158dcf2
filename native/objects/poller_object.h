#pragma once

#include <napi.h>
#include <uv.h>

#include <optional>

#include "../poller.h"

namespace volley {

/// `Poller` of src/native.ts.
class PollerObject : public Napi::ObjectWrap<PollerObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit PollerObject(const Napi::CallbackInfo& info);
  ~PollerObject() override { Stop(); }

 private:
  /// What the event loop has of the poller. It goes when the loop has let go of it, which may be after the poller.
  struct Watch {
    uv_poll_t handle;
    napi_async_cleanup_hook_handle hook;
    PollerObject* owner;  // null when nobody is to be told any more
  };

  void Start(Napi::Env env);
  void Stop();
  static void Close(Watch* watch);
  void Deliver();

  void Add(const Napi::CallbackInfo& info);
  void Remove(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo&) { Stop(); }

  std::optional<Poller> poller_;
  Napi::Reference<Napi::Uint8Array> buffer_;
  Napi::Reference<Napi::Uint32Array> received_;
  Napi::FunctionReference onReceived_;
  std::optional<Napi::AsyncContext> context_;
  uint8_t* bytes_ = nullptr;  // the buffer's
  size_t size_ = 0;
  Poller::Received* out_ = nullptr;  // received's
  size_t outMax_ = 0;
  Watch* watch_ = nullptr;
};

}  // namespace volley
