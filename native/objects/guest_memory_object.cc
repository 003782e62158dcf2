#include "guest_memory_object.h"

#include <cstring>

#include "addon_data.h"
#include "convert.h"

namespace volley {
namespace {

Napi::Value Wrap(Napi::Env env, std::shared_ptr<GuestMemory> memory) {
  const auto handle = Napi::External<std::shared_ptr<GuestMemory>>::New(env, &memory);
  return env.GetInstanceData<AddonData>()->guestMemory.New({handle});
}

}  // namespace

Napi::Function GuestMemoryObject::Define(Napi::Env env) {
  return DefineClass(env, "GuestMemory",
                     {StaticMethod<&GuestMemoryObject::Create>("create"), StaticMethod<&GuestMemoryObject::Map>("map"),
                      InstanceAccessor<&GuestMemoryObject::Bytes>("bytes"),
                      InstanceAccessor<&GuestMemoryObject::Descriptor>("fd"),
                      InstanceAccessor<&GuestMemoryObject::Notice>("notice"),
                      InstanceMethod<&GuestMemoryObject::Reserve>("reserve"),
                      InstanceMethod<&GuestMemoryObject::Write>("write"),
                      InstanceMethod<&GuestMemoryObject::Read>("read"),
                      InstanceMethod<&GuestMemoryObject::Close>("close")});
}

GuestMemoryObject::GuestMemoryObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) ThrowType(info.Env(), "a GuestMemory comes from GuestMemory.create() or .map()");
  memory_ = *info[0].As<Napi::External<std::shared_ptr<GuestMemory>>>().Data();
}

Napi::Value GuestMemoryObject::Create(const Napi::CallbackInfo& info) {
  const uint64_t bytes = ToInteger(info[0], "bytes");
  const bool hugepages = !info[1].IsUndefined() && ToBool(ToObject(info[1], "options"), "hugepages");
  return Wrap(info.Env(), Guard(info.Env(), [&] { return GuestMemory::Create(bytes, hugepages); }));
}

Napi::Value GuestMemoryObject::Map(const Napi::CallbackInfo& info) {
  const int descriptor = static_cast<int>(ToInteger(info[0], "fd", INT32_MAX));
  const uint64_t bytes = ToInteger(info[1], "bytes");
  return Wrap(info.Env(), Guard(info.Env(), [&] { return GuestMemory::Map(descriptor, bytes); }));
}

GuestMemory& GuestMemoryObject::Open(Napi::Env env) const {
  if (!memory_) throw Napi::Error::New(env, "the guest memory is closed");
  return *memory_;
}

uint64_t GuestMemoryObject::Offset(const Napi::CallbackInfo& info, uint64_t length) const {
  const uint64_t offset = ToInteger(info[0], "offset");
  if (!Open(info.Env()).Contains(offset, length)) {
    throw Napi::RangeError::New(info.Env(), "the range " + std::to_string(offset) + " + " + std::to_string(length) +
                                                " lies outside the guest memory");
  }
  return offset;
}

Napi::Value GuestMemoryObject::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Open(info.Env()).bytes()));
}

Napi::Value GuestMemoryObject::Descriptor(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Open(info.Env()).fd());
}

Napi::Value GuestMemoryObject::Notice(const Napi::CallbackInfo& info) {
  return TextOrNull(info.Env(), Open(info.Env()).notice());
}

void GuestMemoryObject::Reserve(const Napi::CallbackInfo& info) {
  GuestMemory& memory = Open(info.Env());
  const uint64_t length = ToInteger(info[1], "length");
  const uint64_t offset = Offset(info, length);
  Guard(info.Env(), [&] { memory.Reserve(offset, length); });
}

void GuestMemoryObject::Write(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array bytes = ToBytes(info[1], "data");
  const uint64_t offset = Offset(info, bytes.ByteLength());
  if (bytes.ByteLength() == 0) return;  // its data may be null
  std::memcpy(Open(info.Env()).data() + offset, bytes.Data(), bytes.ByteLength());
}

Napi::Value GuestMemoryObject::Read(const Napi::CallbackInfo& info) {
  const uint64_t length = ToInteger(info[1], "length", 1ull << 30);
  const uint64_t offset = Offset(info, length);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), Open(info.Env()).data() + offset, length);
}

}  // namespace volley
