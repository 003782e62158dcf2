#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

namespace volley {

/// The address of a unix socket. False when the path is empty or longer than the 107 bytes that fit.
inline bool MakeUnixAddress(const std::string& path, sockaddr_un* out) {
  *out = {};
  out->sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof out->sun_path) return false;
  std::memcpy(out->sun_path, path.data(), path.size());
  return true;
}

}  // namespace volley
