#pragma once

#include <napi.h>

namespace volley {

/// What the addon keeps per environment, so that worker threads can load it too.
struct AddonData {
  Napi::FunctionReference localRegion;
  Napi::FunctionReference remoteRegion;
  Napi::FunctionReference guestMemory;
};

}  // namespace volley
