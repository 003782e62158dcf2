#pragma once

#include <napi.h>

namespace volley {

/// duplicate(descriptor) of src/native.ts.
Napi::Value Duplicate(const Napi::CallbackInfo& info);

}  // namespace volley
