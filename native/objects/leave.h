#pragma once

#include <napi.h>

namespace volley {

/// leave(code) of src/native.ts.
void Leave(const Napi::CallbackInfo& info);

}  // namespace volley
