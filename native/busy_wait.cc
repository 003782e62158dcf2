#include "busy_wait.h"

#include <algorithm>

namespace volley {
namespace {

// After so many waits in vain one in 2^7 occasions is tried.
constexpr uint32_t kMissesMax = 7;

}  // namespace

BusyWait* BusyWait::Make(napi_env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return nullptr;
  auto* made = new BusyWait(loop);
  napi_add_async_cleanup_hook(env, &BusyWait::Remove, made, &made->hook_);
  return made;
}

BusyWait::BusyWait(uv_loop_t* loop) {
  uv_idle_init(loop, &idle_);
  idle_.data = this;
  // A process that has nothing else to do ends.
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
}

void BusyWait::NoteWork() {
  if (spanNs_ == 0) return;
  if (waiting_) {
    if (turned_) misses_ = 0;
  } else if (passed_ > 0) {
    passed_--;
    return;
  } else {
    waiting_ = true;
    // An active idle handle is what keeps libuv from sleeping.
    uv_idle_start(&idle_, [](uv_idle_t* idle) { static_cast<BusyWait*>(idle->data)->Turn(); });
  }
  turned_ = false;
  workedNs_ = uv_hrtime();
}

void BusyWait::Turn() {
  turned_ = true;
  if (uv_hrtime() - workedNs_ < spanNs_) return;
  uv_idle_stop(&idle_);
  waiting_ = false;
  misses_ = std::min(misses_ + 1, kMissesMax);
  passed_ = (1u << misses_) - 1;
}

void BusyWait::Remove(napi_async_cleanup_hook_handle, void* self) {
  uv_close(reinterpret_cast<uv_handle_t*>(&static_cast<BusyWait*>(self)->idle_), [](uv_handle_t* idle) {
    auto* wait = static_cast<BusyWait*>(idle->data);
    napi_remove_async_cleanup_hook(wait->hook_);
    delete wait;
  });
}

}  // namespace volley
