#include "file.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

#include "convert.h"

namespace volley {
namespace {

/// Attributes that are the system's word on the old content, and false of another.
constexpr std::array kOfContent = {"security.capability", "security.ima", "security.evm"};

int ToDescriptor(const Napi::Value& value, const char* what) {
  return static_cast<int>(ToInteger(value, what, INT_MAX));
}

/// An error as those of Node's fs are: `errno` is negative.
[[noreturn]] void ThrowErrno(Napi::Env env, const char* call, int code) {
  Napi::Error error = Napi::Error::New(env, SystemMessage(call, code));
  error.Set("errno", Napi::Number::New(env, -code));
  throw error;
}

/// The names of a file's attributes; none where its file system has no attributes.
bool ListAttributes(int descriptor, std::vector<std::string>& names) {
  std::vector<char> list(XATTR_LIST_MAX);
  const ssize_t bytes = flistxattr(descriptor, list.data(), list.size());
  if (bytes < 0) return errno == ENOTSUP;
  for (ssize_t at = 0; at < bytes; at += static_cast<ssize_t>(names.back().size()) + 1) {
    names.emplace_back(list.data() + at);
  }
  return true;
}

bool IsOfContent(const std::string& name) {
  for (const char* one : kOfContent) {
    if (name == one) return true;
  }
  return false;
}

/// Whether `to` has the attribute as `from` has it, now or already.
bool CopyAttribute(int from, int to, const std::string& name) {
  std::vector<char> value(XATTR_SIZE_MAX);
  std::vector<char> before(XATTR_SIZE_MAX);
  const ssize_t bytes = fgetxattr(from, name.c_str(), value.data(), value.size());
  if (bytes < 0) return false;
  const ssize_t had = fgetxattr(to, name.c_str(), before.data(), before.size());
  if (had == bytes && std::memcmp(value.data(), before.data(), static_cast<size_t>(bytes)) == 0) return true;
  return fsetxattr(to, name.c_str(), value.data(), static_cast<size_t>(bytes), 0) == 0;
}

}  // namespace

void LinkFile(const Napi::CallbackInfo& info) {
  const int descriptor = ToDescriptor(info[0], "descriptor");
  const Napi::Uint8Array bytes = ToBytes(info[1], "path");
  const std::string path(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  // By /proc, for AT_EMPTY_PATH is for root only.
  const std::string from = "/proc/self/fd/" + std::to_string(descriptor);
  if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    ThrowErrno(info.Env(), "linkat", errno);
  }
}

Napi::Value CopyAttributes(const Napi::CallbackInfo& info) {
  const int from = ToDescriptor(info[0], "from");
  const int to = ToDescriptor(info[1], "to");
  std::vector<std::string> names;
  bool is_same = ListAttributes(from, names);
  for (const std::string& name : names) is_same = is_same && (IsOfContent(name) || CopyAttribute(from, to, name));
  return Napi::Boolean::New(info.Env(), is_same);
}

void AllocateFile(const Napi::CallbackInfo& info) {
  const int descriptor = ToDescriptor(info[0], "descriptor");
  const auto offset = static_cast<off_t>(ToInteger(info[1], "offset"));
  const auto length = static_cast<off_t>(ToInteger(info[2], "length"));
  if (length == 0 || fallocate(descriptor, FALLOC_FL_KEEP_SIZE, offset, length) == 0) return;
  // Where the file system cannot reserve, the writes show whether there is room.
  if (errno != EOPNOTSUPP && errno != ENOSYS) ThrowErrno(info.Env(), "fallocate", errno);
}

}  // namespace volley
