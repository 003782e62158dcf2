#include "region_view_object.h"

#include "convert.h"

namespace volley {

Napi::Function RegionViewObject::Define(Napi::Env env) {
  return DefineClass(
      env, "RegionView",
      {InstanceAccessor<&RegionViewObject::Info>("info"), InstanceMethod<&RegionViewObject::Window>("window"),
       InstanceAccessor<&RegionViewObject::Directory>("directory"), InstanceMethod<&RegionViewObject::Find>("find"),
       InstanceMethod<&RegionViewObject::NoteUse>("noteUse")});
}

RegionViewObject::RegionViewObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const auto number = static_cast<uint32_t>(ToInteger(info[0], "lent", UINT32_MAX));
  Guard(info.Env(), [&] { view_.emplace(number); });
}

/// Memory of the region as an ArrayBuffer that keeps it alive.
Napi::Value RegionViewObject::Memory(Napi::Env env, void* start, size_t bytes) const {
  auto* owner = new std::shared_ptr<Region>(view_->region());
  return Napi::ArrayBuffer::New(
      env, start, bytes, [](Napi::Env, void*, std::shared_ptr<Region>* held) { delete held; }, owner);
}

Napi::Value RegionViewObject::Info(const Napi::CallbackInfo& info) { return ToInfo(info.Env(), view_->header()); }

Napi::Value RegionViewObject::Window(const Napi::CallbackInfo& info) {
  const uint64_t pages = view_->region()->pageCount();
  const uint64_t first = ToInteger(info[0], "firstPage", static_cast<double>(pages));
  const uint64_t count = ToInteger(info[1], "pageCount", static_cast<double>(pages - first));
  return Memory(info.Env(), view_->region()->arena() + first * kArenaPageBytes, count * kArenaPageBytes);
}

Napi::Value RegionViewObject::Directory(const Napi::CallbackInfo& info) {
  const uint64_t pages = view_->region()->pageCount();
  auto* start = const_cast<uint32_t*>(view_->region()->directory());
  const Napi::Value memory = Memory(info.Env(), start, pages * sizeof(uint32_t));
  return Napi::Uint32Array::New(info.Env(), pages, memory.As<Napi::ArrayBuffer>(), 0);
}

void RegionViewObject::Find(const Napi::CallbackInfo& info) {
  const Napi::Uint8Array bytes = ToBytes(info[0], "bytes");
  const auto ranges = ToTyped<Napi::Uint32Array>(info[1], "ranges", napi_uint32_array);
  auto out = ToTyped<Napi::Float64Array>(info[3], "out", napi_float64_array);
  const uint64_t count = ToInteger(info[2], "count", static_cast<double>(out.ElementLength()));
  const auto now = static_cast<uint32_t>(ToInteger(info[4], "nowSeconds", UINT32_MAX));
  const auto wall = static_cast<uint32_t>(ToInteger(info[5], "wallSeconds", UINT32_MAX));
  if (!info[6].IsBoolean()) ThrowType(info.Env(), "isUse must be a boolean");
  const bool isUse = info[6].As<Napi::Boolean>().Value();
  if (count * 2 > ranges.ElementLength()) ThrowType(info.Env(), "ranges is shorter than count says");
  const uint8_t* data = bytes.Data();
  const size_t length = bytes.ByteLength();
  for (uint64_t i = 0; i < count; i++) {
    const uint32_t start = ranges[2 * i];
    const uint32_t end = ranges[2 * i + 1];
    if (start > end || end > length) ThrowType(info.Env(), "a key's range lies outside bytes");
    const int64_t slot = view_->Find(data + start, end - start, now, wall);
    if (slot >= 0 && isUse) view_->NoteUse(static_cast<uint64_t>(slot), now);
    out[i] = static_cast<double>(slot);
  }
}

void RegionViewObject::NoteUse(const Napi::CallbackInfo& info) {
  const uint64_t slot = ToInteger(info[0], "slotOffset");
  const auto now = static_cast<uint32_t>(ToInteger(info[1], "nowSeconds", UINT32_MAX));
  const uint64_t arenaBytes = view_->header().arenaBytes;
  if (slot % kSlotUnitBytes != 0 || slot > arenaBytes - kSlotHeaderBytes) ThrowType(info.Env(), "no slot begins there");
  view_->NoteUse(slot, now);
}

}  // namespace volley
