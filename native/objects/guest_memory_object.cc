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
                      InstanceMethod<&GuestMemoryObject::KeepHole>("keepHole"),
                      InstanceMethod<&GuestMemoryObject::Write>("write"),
                      InstanceMethod<&GuestMemoryObject::Read>("read"),
                      InstanceMethod<&GuestMemoryObject::Relocate>("relocate"),
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

uint64_t GuestMemoryObject::Offset(const Napi::Value& value, uint64_t length) const {
  const uint64_t offset = ToInteger(value, "offset");
  if (!Open(value.Env()).Contains(offset, length)) {
    throw Napi::RangeError::New(value.Env(), "the range " + std::to_string(offset) + " + " + std::to_string(length) +
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
  const uint64_t offset = Offset(info[0], length);
  Guard(info.Env(), [&] { memory.Reserve(offset, length); });
}

void GuestMemoryObject::KeepHole(const Napi::CallbackInfo& info) {
  const uint64_t length = ToInteger(info[1], "length");
  const uint64_t offset = Offset(info[0], length);
  Open(info.Env()).KeepHole(offset, length);
}

void GuestMemoryObject::Write(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array bytes = ToBytes(info[1], "data");
  const uint64_t offset = Offset(info[0], bytes.ByteLength());
  if (bytes.ByteLength() == 0) return;  // its data may be null
  std::memcpy(Open(info.Env()).data() + offset, bytes.Data(), bytes.ByteLength());
}

Napi::Value GuestMemoryObject::Read(const Napi::CallbackInfo& info) {
  const uint64_t length = ToInteger(info[1], "length", 1ull << 30);
  const uint64_t offset = Offset(info[0], length);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), Open(info.Env()).data() + offset, length);
}

void GuestMemoryObject::Relocate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  constexpr double kWordsMax = 1u << 30;
  GuestMemory& memory = Open(env);
  const Napi::Object table = ToObject(info[0], "table");
  const uint64_t count = ToInteger(table.Get("count"), "count", kWordsMax);
  const uint64_t tableOffset = Offset(table.Get("offset"), count * sizeof(uint32_t));
  if (tableOffset % sizeof(uint32_t) != 0) ThrowType(env, "the table's offset must be a multiple of 4");
  const Napi::Object image = ToObject(info[1], "image");
  const uint64_t length = ToInteger(image.Get("length"), "length");
  const uint64_t offset = Offset(image.Get("offset"), length);
  const uint64_t wordBytes = ToInteger(info[2], "wordBytes", sizeof(uint64_t));
  if (wordBytes != sizeof(uint32_t) && wordBytes != sizeof(uint64_t)) ThrowType(env, "wordBytes must be 4 or 8");
  if (!info[3].IsNumber()) ThrowType(env, "addend must be a number");
  const int64_t addend = info[3].As<Napi::Number>().Int64Value();
  Guard(env, [&] {
    if (wordBytes == sizeof(uint32_t)) {
      memory.Relocate<uint32_t>(tableOffset, count, offset, length, addend);
    } else {
      memory.Relocate<uint64_t>(tableOffset, count, offset, length, addend);
    }
  });
}

}  // namespace volley
