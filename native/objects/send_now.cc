#include "send_now.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <climits>

#include "addon_data.h"
#include "convert.h"

namespace volley {
namespace {

constexpr uint32_t kPiecesPerCall = std::min(IOV_MAX, 256);

}  // namespace

/// Pieces are sent straight from where they lie; nothing is kept of them.
Napi::Value SendNow(const Napi::CallbackInfo& info) {
  const auto descriptor = static_cast<int>(ToInteger(info[0], "descriptor", INT_MAX));
  if (!info[1].IsArray()) ThrowType(info.Env(), "pieces must be an array");
  const auto pieces = info[1].As<Napi::Array>();
  const auto count = static_cast<uint32_t>(ToInteger(info[2], "count", pieces.Length()));
  double sent = 0;
  for (uint32_t at = 0; at < count;) {
    iovec ranges[kPiecesPerCall];
    const uint32_t more = std::min(count - at, kPiecesPerCall);
    size_t wanted = 0;
    for (uint32_t i = 0; i < more; i++) {
      const Elements<uint8_t> bytes(info.Env(), pieces.Get(at + i), "piece", napi_uint8_array);
      ranges[i] = {bytes.data, bytes.count};
      wanted += bytes.count;
    }
    msghdr message{};
    message.msg_iov = ranges;
    message.msg_iovlen = more;
    const ssize_t taken = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) sent += static_cast<double>(taken);
    // What is wrong with the socket shows when the rest is written the usual way.
    if (taken != static_cast<ssize_t>(wanted)) break;
    at += more;
  }
  if (BusyWait* wait = info.Env().GetInstanceData<AddonData>()->busyWait) wait->NoteWork();
  return Napi::Number::New(info.Env(), sent);
}

void SetBusyWait(const Napi::CallbackInfo& info) {
  constexpr double kSpanNsMax = 1e9;
  const uint64_t span = ToInteger(info[0], "nanoseconds", kSpanNsMax);
  if (BusyWait* wait = info.Env().GetInstanceData<AddonData>()->busyWait) wait->Span(span);
}

}  // namespace volley
