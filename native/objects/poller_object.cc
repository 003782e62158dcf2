#include "poller_object.h"

#include <climits>

#include "convert.h"

namespace volley {

Napi::Function PollerObject::Define(Napi::Env env) {
  return DefineClass(env, "Poller",
                     {InstanceMethod<&PollerObject::Add>("add"), InstanceMethod<&PollerObject::Remove>("remove"),
                      InstanceMethod<&PollerObject::Close>("close")});
}

PollerObject::PollerObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Napi::Uint8Array buffer = ToBytes(info[0], "buffer");
  auto received = ToTyped<Napi::Uint32Array>(info[1], "received", napi_uint32_array);
  if (!info[2].IsFunction()) ThrowType(info.Env(), "onReceived must be a function");
  if (buffer.ByteLength() < Poller::kRoomBytesMin) ThrowType(info.Env(), "buffer is shorter than a read's room");
  if (buffer.ByteLength() > UINT32_MAX) ThrowType(info.Env(), "buffer is longer than offsets tell");
  bytes_ = buffer.Data();
  size_ = buffer.ByteLength();
  static_assert(sizeof(Poller::Received) == 3 * sizeof(uint32_t));
  out_ = reinterpret_cast<Poller::Received*>(received.Data());
  outMax_ = received.ElementLength() / 3;
  if (outMax_ == 0) ThrowType(info.Env(), "received has no room");
  buffer_ = Napi::Persistent(buffer);
  received_ = Napi::Persistent(received);
  onReceived_ = Napi::Persistent(info[2].As<Napi::Function>());
  context_.emplace(info.Env(), "VolleyPoller");
  Guard(info.Env(), [&] { poller_.emplace(); });
  Start(info.Env());
}

void PollerObject::Start(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) ThrowType(env, "a poller needs an event loop");
  auto* watch = new Watch{};
  if (uv_poll_init(loop, &watch->handle, poller_->descriptor()) != 0) {
    delete watch;
    ThrowType(env, "the event loop does not take a poller");
  }
  watch->handle.data = watch;
  watch->owner = this;
  // A process that has nothing else to do ends.
  uv_unref(reinterpret_cast<uv_handle_t*>(&watch->handle));
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void* data) { Close(static_cast<Watch*>(data)); }, watch, &watch->hook);
  uv_poll_start(&watch->handle, UV_READABLE, [](uv_poll_t* handle, int status, int) {
    PollerObject* owner = static_cast<Watch*>(handle->data)->owner;
    if (owner != nullptr && status == 0) owner->Deliver();
  });
  watch_ = watch;
}

void PollerObject::Stop() {
  if (watch_ != nullptr) Close(watch_);
}

void PollerObject::Close(Watch* watch) {
  if (watch->owner != nullptr) watch->owner->watch_ = nullptr;
  watch->owner = nullptr;
  auto* handle = reinterpret_cast<uv_handle_t*>(&watch->handle);
  if (uv_is_closing(handle)) return;
  uv_close(handle, [](uv_handle_t* closed) {
    auto* over = static_cast<Watch*>(closed->data);
    napi_remove_async_cleanup_hook(over->hook);
    delete over;
  });
}

/// Has JavaScript take what was received. What comes meanwhile is for the loop's next turn, after everything else in it.
void PollerObject::Deliver() {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const size_t count = poller_->Receive(bytes_, size_, out_, outMax_);
  if (count == 0) return;
  const napi_value argument = Napi::Number::New(env, static_cast<double>(count));
  const napi_status status =
      napi_make_callback(env, *context_, Value(), onReceived_.Value(), 1, &argument, nullptr);
  if (status != napi_pending_exception) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void PollerObject::Add(const Napi::CallbackInfo& info) {
  const auto descriptor = static_cast<int>(ToInteger(info[0], "descriptor", INT_MAX));
  const auto index = static_cast<uint32_t>(ToInteger(info[1], "index", UINT32_MAX));
  Guard(info.Env(), [&] { poller_->Add(descriptor, index); });
}

void PollerObject::Remove(const Napi::CallbackInfo& info) {
  poller_->Remove(static_cast<int>(ToInteger(info[0], "descriptor", INT_MAX)));
}

}  // namespace volley
