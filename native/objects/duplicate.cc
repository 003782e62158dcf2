#include "duplicate.h"

#include <fcntl.h>

#include <cerrno>
#include <climits>

#include "convert.h"

namespace volley {

Napi::Value Duplicate(const Napi::CallbackInfo& info) {
  const auto descriptor = static_cast<int>(ToInteger(info[0], "descriptor", INT_MAX));
  const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw Napi::Error::New(info.Env(), SystemMessage("fcntl(F_DUPFD_CLOEXEC)", errno));
  return Napi::Number::New(info.Env(), copy);
}

}  // namespace volley
