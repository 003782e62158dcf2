#include "region_object.h"

#include <algorithm>

#include "convert.h"
#include "fabric_object.h"
#include "../region_view.h"

namespace volley {

Napi::Function RegionObject::Define(Napi::Env env) {
  return DefineClass(env, "Region",
                     {InstanceAccessor<&RegionObject::Info>("info"), InstanceAccessor<&RegionObject::Notice>("notice"),
                      InstanceAccessor<&RegionObject::ItemCount>("itemCount"),
                      InstanceAccessor<&RegionObject::Restored>("restored"),
                      InstanceAccessor<&RegionObject::Ledger>("ledger"),
                      InstanceAccessor<&RegionObject::Directory>("directory"),
                      InstanceMethod<&RegionObject::Window>("window"), InstanceMethod<&RegionObject::Find>("find"),
                      InstanceMethod<&RegionObject::Link>("link"), InstanceMethod<&RegionObject::Unlink>("unlink"),
                      InstanceMethod<&RegionObject::Move>("move"),
                      InstanceMethod<&RegionObject::IsIntact>("isIntact"),
                      InstanceMethod<&RegionObject::CutPage>("cutPage"),
                      InstanceMethod<&RegionObject::Lend>("lend"),
                      InstanceMethod<&RegionObject::Share>("share"),
                      InstanceMethod<&RegionObject::Unshare>("unshare"),
                      InstanceMethod<&RegionObject::Offer>("offer"),
                      InstanceMethod<&RegionObject::StopOffering>("stopOffering"),
                      InstanceAccessor<&RegionObject::FabricCounts>("fabricCounts"),
                      InstanceMethod<&RegionObject::Close>("close")});
}

RegionObject::RegionObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Object options = ToObject(info[0], "options");
  constexpr double kArenaBytesMax = 64.0 * (1ull << 40);
  constexpr double kItemsMax = 1ull << 36;
  const uint64_t items = ToInteger(options.Get("tableItems"), "tableItems", kItemsMax);
  const Napi::Value file = options.Get("file");
  const Region::Options parsed{.arenaBytes = ToInteger(options.Get("arenaBytes"), "arenaBytes", kArenaBytesMax),
                               .tableItems = items,
                               .tableItemsPinned = ToInteger(options, "tableItemsPinned", items, kItemsMax),
                               .hugepages = ToBool(options, "hugepages"),
                               .file = file.IsUndefined() ? "" : ToPath(file, "file")};
  region_ = Guard(info.Env(), [&] { return std::make_shared<Region>(parsed); });
}

Region& RegionObject::Open(Napi::Env env) const {
  if (!region_) throw Napi::Error::New(env, "the region is closed");
  return *region_;
}

Napi::Value RegionObject::Info(const Napi::CallbackInfo& info) { return ToInfo(info.Env(), Open(info.Env()).header()); }

Napi::Value RegionObject::Notice(const Napi::CallbackInfo& info) {
  return TextOrNull(info.Env(), Open(info.Env()).notice());
}

Napi::Value RegionObject::ItemCount(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Open(info.Env()).itemCount()));
}

Napi::Value RegionObject::Window(const Napi::CallbackInfo& info) {
  const Region& region = Open(info.Env());
  const uint64_t pages = region.header().arenaBytes / kArenaPageBytes;
  const uint64_t first = ToInteger(info[0], "firstPage", static_cast<double>(pages));
  const uint64_t count = ToInteger(info[1], "pageCount", static_cast<double>(pages - first));
  return Memory(info.Env(), region.arena() + first * kArenaPageBytes, count * kArenaPageBytes);
}

/// Memory of the region as an ArrayBuffer that keeps it alive.
Napi::Value RegionObject::Memory(Napi::Env env, void* start, size_t bytes) const {
  auto* owner = new std::shared_ptr<Region>(region_);
  return Napi::ArrayBuffer::New(
      env, start, bytes, [](Napi::Env, void*, std::shared_ptr<Region>* held) { delete held; }, owner);
}

Napi::Value RegionObject::Restored(const Napi::CallbackInfo& info) {
  const std::optional<Region::Restored>& restored = Open(info.Env()).restored();
  if (!restored) return info.Env().Null();
  Napi::Object told = Napi::Object::New(info.Env());
  told.Set("items", static_cast<double>(restored->items));
  told.Set("damaged", static_cast<double>(restored->damaged));
  told.Set("replaced", static_cast<double>(restored->replaced));
  return told;
}

Napi::Value RegionObject::Ledger(const Napi::CallbackInfo& info) {
  const Napi::Value memory = Memory(info.Env(), Open(info.Env()).ledger(), kLedgerWords * sizeof(uint64_t));
  return Napi::BigUint64Array::New(info.Env(), kLedgerWords, memory.As<Napi::ArrayBuffer>(), 0);
}

Napi::Value RegionObject::Directory(const Napi::CallbackInfo& info) {
  const Region& region = Open(info.Env());
  Napi::Uint32Array copy = Napi::Uint32Array::New(info.Env(), region.pageCount());
  std::copy_n(region.directory(), region.pageCount(), copy.Data());
  return copy;
}

void RegionObject::Move(const Napi::CallbackInfo& info) {
  Region& region = Open(info.Env());
  const uint64_t from = ToInteger(info[0], "from");
  const uint64_t to = ToInteger(info[1], "to");
  Guard(info.Env(), [&] { region.Move(from, to); });
}

Napi::Value RegionObject::IsIntact(const Napi::CallbackInfo& info) {
  const Region& region = Open(info.Env());
  const uint64_t slot = ToInteger(info[0], "slotOffset");
  return Napi::Boolean::New(info.Env(), Guard(info.Env(), [&] { return region.IsIntact(slot); }));
}

void RegionObject::CutPage(const Napi::CallbackInfo& info) {
  Region& region = Open(info.Env());
  const uint64_t page = ToInteger(info[0], "page", static_cast<double>(region.pageCount() - 1));
  const uint64_t slotBytes = ToInteger(info[1], "slotBytes", kArenaPageBytes);
  const bool isSound = slotBytes == 0 || (slotBytes > kSlotHeaderBytes && slotBytes % kSlotUnitBytes == 0);
  if (!isSound) ThrowType(info.Env(), "slotBytes is no size that slots can have");
  region.CutPage(page, static_cast<uint32_t>(slotBytes));
}

void RegionObject::Find(const Napi::CallbackInfo& info) {
  const Region& region = Open(info.Env());
  const Elements<const uint8_t> bytes(info.Env(), info[0], "bytes", napi_uint8_array);
  const Elements<const uint32_t> ranges(info.Env(), info[1], "ranges", napi_uint32_array);
  const Elements<double> out(info.Env(), info[3], "out", napi_float64_array);
  const uint64_t count = ToInteger(info[2], "count", static_cast<double>(out.count));
  if (count * 2 > ranges.count) ThrowType(info.Env(), "ranges is shorter than count says");
  for (uint64_t i = 0; i < count; i++) {
    const uint32_t start = ranges.data[2 * i];
    const uint32_t end = ranges.data[2 * i + 1];
    if (start > end || end > bytes.count) ThrowType(info.Env(), "a key's range lies outside bytes");
    out.data[i] = static_cast<double>(region.Find(bytes.data + start, end - start));
  }
}

Napi::Value RegionObject::Link(const Napi::CallbackInfo& info) {
  Region& region = Open(info.Env());
  const uint64_t slot = ToInteger(info[0], "slotOffset");
  return Napi::Number::New(info.Env(), static_cast<double>(Guard(info.Env(), [&] { return region.Link(slot); })));
}

Napi::Value RegionObject::Unlink(const Napi::CallbackInfo& info) {
  Region& region = Open(info.Env());
  const uint64_t slot = ToInteger(info[0], "slotOffset");
  return Napi::Boolean::New(info.Env(), Guard(info.Env(), [&] { return region.Unlink(slot); }));
}

Napi::Value RegionObject::Lend(const Napi::CallbackInfo& info) {
  Open(info.Env());
  return Napi::Number::New(info.Env(), RegionView::Lend(region_));
}

void RegionObject::Share(const Napi::CallbackInfo& info) {
  Region& region = Open(info.Env());
  const std::string path = ToString(info[0], "path");
  Guard(info.Env(), [&] { region.Share(path); });
}

void RegionObject::Unshare(const Napi::CallbackInfo& info) { Open(info.Env()).Unshare(); }

Napi::Value RegionObject::Offer(const Napi::CallbackInfo& info) {
  Region& region = Open(info.Env());
  const Napi::Object options = ToObject(info[0], "options");
  FabricListener::Options parsed{
      .query = ToFabricQuery(options, true),
      .connectionsMax = static_cast<uint32_t>(ToInteger(options.Get("connectionsMax"), "connectionsMax", UINT32_MAX)),
      .placeHeldMs = static_cast<uint32_t>(ToInteger(options.Get("placeHeldMs"), "placeHeldMs", UINT32_MAX))};
  parsed.query.device = ToOptionalString(options, "device");
  const FabricListener& listener = *Guard(info.Env(), [&] { return &region.Offer(parsed); });
  Napi::Object offer = Napi::Object::New(info.Env());
  offer.Set("provider", listener.provider());
  offer.Set("device", listener.device());
  offer.Set("endpoint", EndpointName(listener.connected() ? FI_EP_MSG : FI_EP_RDM));
  offer.Set("port", listener.port());
  offer.Set("address", Napi::Buffer<char>::Copy(info.Env(), listener.address().data(), listener.address().size()));
  offer.Set("base", Napi::BigInt::New(info.Env(), listener.base()));
  offer.Set("key", Napi::BigInt::New(info.Env(), listener.key()));
  offer.Set("token", Napi::Buffer<uint8_t>::Copy(info.Env(), listener.token().data(), listener.token().size()));
  return offer;
}

void RegionObject::StopOffering(const Napi::CallbackInfo& info) { Open(info.Env()).StopOffering(); }

Napi::Value RegionObject::FabricCounts(const Napi::CallbackInfo& info) {
  const FabricListener* listener = Open(info.Env()).fabric();
  static const FabricListener::Counts none;
  const FabricListener::Counts& counts = listener == nullptr ? none : listener->counts();
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("connections", static_cast<double>(counts.connections));
  out.Set("refusedToken", static_cast<double>(counts.refusedToken));
  out.Set("refusedFull", static_cast<double>(counts.refusedFull));
  out.Set("reclaimed", static_cast<double>(counts.reclaimed));
  return out;
}

void RegionObject::Close(const Napi::CallbackInfo&) {
  if (region_) region_->Close();
  region_.reset();
}

}  // namespace volley
