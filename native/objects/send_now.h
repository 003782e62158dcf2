#pragma once

#include <napi.h>

namespace volley {

/// sendNow(descriptor, pieces, count) of src/native.ts.
Napi::Value SendNow(const Napi::CallbackInfo& info);

/// setBusyWait(nanoseconds) of src/native.ts.
void SetBusyWait(const Napi::CallbackInfo& info);

}  // namespace volley
