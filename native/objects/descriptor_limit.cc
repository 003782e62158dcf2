#include "descriptor_limit.h"

#include <sys/resource.h>

#include <cerrno>
#include <climits>

#include "convert.h"

namespace volley {

Napi::Value RaiseDescriptorLimit(const Napi::CallbackInfo& info) {
  const auto wanted = static_cast<rlim_t>(ToInteger(info[0], "wanted", INT_MAX));
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw Napi::Error::New(info.Env(), SystemMessage("getrlimit(RLIMIT_NOFILE)", errno));
  }
  if (limit.rlim_cur < wanted) {
    rlimit raised = limit;
    raised.rlim_cur = wanted;
    if (raised.rlim_max < wanted) raised.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  // Beyond the hard limit only root may go: then all that it allows.
  if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = raised.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  const rlim_t allowed = limit.rlim_cur > INT_MAX ? INT_MAX : limit.rlim_cur;
  return Napi::Number::New(info.Env(), static_cast<double>(allowed));
}

}  // namespace volley
