#pragma once

#include <napi.h>

namespace volley {

/// writePiece(text, records, piece) of src/native.ts.
Napi::Value WritePieceInBackground(const Napi::CallbackInfo& info);

}  // namespace volley
