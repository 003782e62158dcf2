#pragma once

#include <node_api.h>
#include <uv.h>

#include <cstdint>

namespace volley {

/// Has an event loop look for events for a moment before it sleeps, after work was done: a client that asks for one thing
/// after the other is then answered without the loop having to be woken, which takes longer than to answer.
///
/// Where events come too late several times in a row, it tries ever less often, so that sparse requests cost next to nothing.
class BusyWait {
 public:
  /// Does nothing until Span() is told. It lives as long as the environment.
  static BusyWait* Make(napi_env env);

  /// How long to look for events; 0: not at all.
  void Span(uint64_t nanoseconds) { spanNs_ = nanoseconds; }

  /// To be called when something was sent.
  void NoteWork();

 private:
  explicit BusyWait(uv_loop_t* loop);
  void Turn();
  static void Remove(napi_async_cleanup_hook_handle hook, void* self);

  uv_idle_t idle_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  uint64_t spanNs_ = 0;
  uint64_t workedNs_ = 0;   // when work was done last
  bool waiting_ = false;
  bool turned_ = false;     // whether the loop has turned since work was done last
  uint32_t misses_ = 0;     // waits in a row that nothing came of
  uint32_t passed_ = 0;     // occasions to let pass before the next wait
};

}  // namespace volley
