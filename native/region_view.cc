#include "region_view.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "error.h"
#include "hash.h"

namespace volley {
namespace {

/// Bits of a slot header's state: read since it was stored, and since the eviction came by.
constexpr uint32_t kUsed = 4 | 16;
constexpr uint32_t kWallExptime = 32;
/// How long a lookup waits for the owner to end a change of the table: many times what the largest takes.
constexpr auto kChangeMax = std::chrono::seconds(1);
/// Lookups that are tried again at once, before the processor is left to others.
constexpr int kTriesAtOnce = 16;

struct Lent {
  std::weak_ptr<Region> region;
  RegionHeader header;
};

std::mutex lendingMutex;
std::map<uint32_t, Lent>& Lending() {
  static std::map<uint32_t, Lent> lending;
  return lending;
}

template <typename T>
T Get(T& field) {
  return std::atomic_ref<T>(field).load(std::memory_order_relaxed);
}

}  // namespace

uint32_t RegionView::Lend(const std::shared_ptr<Region>& region) {
  static uint32_t last = 0;
  const std::lock_guard lock(lendingMutex);
  std::erase_if(Lending(), [](const auto& lent) { return lent.second.region.expired(); });
  Lending()[++last] = {region, region->header()};
  return last;
}

RegionView::RegionView(uint32_t number) {
  const std::lock_guard lock(lendingMutex);
  if (const auto lent = Lending().find(number); lent != Lending().end()) {
    region_ = lent->second.region.lock();
    header_ = lent->second.header;
  }
  if (!region_) throw Error("ERR_VOLLEY_USAGE", "no region is lent under the number " + std::to_string(number));
}

/// The table as large as it is now.
Hashtable RegionView::table() const {
  auto* told = reinterpret_cast<RegionHeader*>(region_->data());
  const uint64_t count = std::atomic_ref<uint64_t>(told->bucketCount).load(std::memory_order_acquire);
  return {reinterpret_cast<Bucket*>(region_->data() + header_.tableOffset), count};
}

SlotHeader* RegionView::HeaderAt(uint64_t slot) const {
  return reinterpret_cast<SlotHeader*>(region_->arena() + slot);
}

bool RegionView::HoldsKey(uint64_t slot, const uint8_t* key, size_t bytes) const {
  const SlotHeader* header = HeaderAt(slot);
  const uint8_t* text = reinterpret_cast<const uint8_t*>(header) + header->valueOffset - header->textBytes;
  return header->keyBytes == bytes && std::memcmp(text + kTextKeyOffset, key, bytes) == 0;
}

/// A hit holds whatever happens beside it; a miss counts only if nothing was on its way meanwhile.
int64_t RegionView::LookUp(const uint8_t* key, size_t bytes) const {
  const uint64_t fingerprint = Fingerprint(key, bytes);
  std::chrono::steady_clock::time_point deadline{};
  for (int tries = 0;; tries++) {
    const uint64_t before = region_->changes().Count();
    Entry found[2 * kEntriesPerBucket];
    const int count = table().Lookup(fingerprint, found);
    for (int i = 0; i < count; i++) {
      const uint64_t slot = found[i].address - found[i].slotUnits * kSlotUnitBytes - header_.arenaOffset;
      if (HoldsKey(slot, key, bytes)) return static_cast<int64_t>(slot);
    }
    if (region_->changes().HasRested(before)) return kMissing;
    if (tries < kTriesAtOnce) continue;
    const auto now = std::chrono::steady_clock::now();
    if (tries == kTriesAtOnce) deadline = now + kChangeMax;
    if (now >= deadline) return kMissing;
    std::this_thread::yield();
  }
}

int64_t RegionView::Find(const uint8_t* key, size_t bytes, uint32_t nowSeconds, uint32_t wallSeconds) const {
  // What the caller has announced must be seen by the owner before anything is read here; see thread-flights.ts.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const int64_t slot = LookUp(key, bytes);
  if (slot < 0) return slot;
  SlotHeader* header = HeaderAt(static_cast<uint64_t>(slot));
  const uint32_t expiresAt = Get(header->expiresAt);
  if (expiresAt != 0) {
    const bool isDate = (Get(header->state) & kWallExptime) != 0;
    if (expiresAt <= (isDate ? wallSeconds : nowSeconds)) return kExpired;
  }
  const uint64_t* ledger = region_->ledger();
  const uint64_t flushedCas = Get(const_cast<uint64_t&>(ledger[2]));
  if (flushedCas > 0 && Get(header->cas) <= flushedCas) return kFlushed;
  const auto start = static_cast<uint32_t>(Get(const_cast<uint64_t&>(ledger[0])));
  if (region_->restored() && Get(header->seen) != start) {
    if (!region_->IsIntact(static_cast<uint64_t>(slot))) return kDamaged;
    std::atomic_ref<uint32_t>(header->seen).store(start, std::memory_order_relaxed);
  }
  return slot;
}

/// The owner writes these fields too, without looking whether somebody else does: a mark may get lost, and no more.
void RegionView::NoteUse(uint64_t slot, uint32_t nowSeconds) const {
  SlotHeader* header = HeaderAt(slot);
  std::atomic_ref<uint32_t> accessed(header->accessedAt);
  if (accessed.load(std::memory_order_relaxed) != nowSeconds) accessed.store(nowSeconds, std::memory_order_relaxed);
  std::atomic_ref<uint32_t> state(header->state);
  if ((state.load(std::memory_order_relaxed) & kUsed) != kUsed) state.fetch_or(kUsed, std::memory_order_relaxed);
}

}  // namespace volley
