#pragma once

#include <napi.h>

#include "../busy_wait.h"

namespace volley {

/// What the addon keeps per environment, so that worker threads can load it too.
struct AddonData {
  Napi::FunctionReference localRegion;
  Napi::FunctionReference remoteRegion;
  Napi::FunctionReference guestMemory;
  /// Belongs to the environment; null where that has no event loop.
  BusyWait* busyWait = nullptr;
};

}  // namespace volley
