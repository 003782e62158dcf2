#pragma once

#include <napi.h>

namespace volley {

/// raiseDescriptorLimit(wanted) of src/native.ts.
Napi::Value RaiseDescriptorLimit(const Napi::CallbackInfo& info);

}  // namespace volley
