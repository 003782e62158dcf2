#include "leave.h"

#include <unistd.h>

#include "convert.h"

namespace volley {

void Leave(const Napi::CallbackInfo& info) { _exit(static_cast<int>(ToInteger(info[0], "code", 255))); }

}  // namespace volley
