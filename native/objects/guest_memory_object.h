#pragma once

#include <napi.h>

#include <memory>

#include "../guest_memory.h"

namespace volley {

/// `GuestMemory` of src/native.ts.
class GuestMemoryObject : public Napi::ObjectWrap<GuestMemoryObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit GuestMemoryObject(const Napi::CallbackInfo& info);

  /// Null after close().
  const std::shared_ptr<GuestMemory>& memory() const { return memory_; }

 private:
  static Napi::Value Create(const Napi::CallbackInfo& info);
  static Napi::Value Map(const Napi::CallbackInfo& info);

  GuestMemory& Open(Napi::Env env) const;
  /// Checks that the range [offset, offset + length) lies inside. Returns its start.
  uint64_t Offset(const Napi::Value& offset, uint64_t length) const;

  Napi::Value Bytes(const Napi::CallbackInfo& info);
  Napi::Value Descriptor(const Napi::CallbackInfo& info);
  Napi::Value Notice(const Napi::CallbackInfo& info);
  void Reserve(const Napi::CallbackInfo& info);
  void KeepHole(const Napi::CallbackInfo& info);
  void Write(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  void Relocate(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo&) { memory_.reset(); }

  std::shared_ptr<GuestMemory> memory_;
};

}  // namespace volley
