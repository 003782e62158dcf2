#pragma once

#include <napi.h>

namespace volley {

/// `linkFile` of src/native.ts.
void LinkFile(const Napi::CallbackInfo& info);
/// `copyAttributes` of src/native.ts.
Napi::Value CopyAttributes(const Napi::CallbackInfo& info);
/// `allocateFile` of src/native.ts.
void AllocateFile(const Napi::CallbackInfo& info);

}  // namespace volley
