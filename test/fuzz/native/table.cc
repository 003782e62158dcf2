// The owner's side of the hashtable against a plain map: after any inserts, erasures and growths every key is found by
// the owner and by a reader, with what was stored last, and nothing else is.
#include <map>
#include <vector>

#include "../../../native/hashtable.h"
#include "input.h"

namespace volley {
namespace {

constexpr uint64_t kBucketsMax = 64;
constexpr int kStepsMax = 2000;

bool Always(const Entry&) { return true; }

class Model {
 public:
  explicit Model(uint64_t buckets) : buckets_(kBucketsMax), table_(buckets_.data(), buckets) {}

  void Insert(uint64_t fingerprint, uint64_t address) {
    Entry value{};
    value.fingerprint = fingerprint;
    value.address = address;
    value.xxh3 = ~address;
    if (Entry* entry = table_.Find(fingerprint, Always)) {
      Hashtable::Store(entry, value);
    } else if (!table_.Insert(value)) {
      return Check();  // no room, and nothing lost of what was moved in search of it
    }
    held_[fingerprint] = address;
  }

  void Erase(uint64_t fingerprint) {
    Entry* entry = table_.Find(fingerprint, Always);
    Expect((entry != nullptr) == (held_.erase(fingerprint) == 1), "what is erased was there");
    if (entry != nullptr) Hashtable::Clear(entry);
  }

  void Grow(uint64_t by) {
    const uint64_t now = table_.bucketCount();
    const uint64_t count = std::min({now + by, 2 * now, kBucketsMax});
    if (count <= now) return;
    table_.Grow(count, [] {});
    Expect(table_.bucketCount() == count, "a table grows as told");
  }

  void Check() const {
    for (const auto& [fingerprint, address] : held_) {
      Entry found[2 * kEntriesPerBucket];
      const int entries = table_.Lookup(fingerprint, found);
      Expect(entries == 1, "a key is found once");
      Expect(found[0].address == address && found[0].xxh3 == ~address, "with what was stored last");
    }
    size_t entries = 0;
    for (const Bucket& bucket : buckets_) {
      for (const Entry& entry : bucket.entries) entries += entry.fingerprint != 0;
    }
    Expect(entries == held_.size(), "nothing else stands in the table");
  }

 private:
  std::vector<Bucket> buckets_;
  Hashtable table_;
  std::map<uint64_t, uint64_t> held_;
};

}  // namespace
}  // namespace volley

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace volley;
  Input input(bytes, size);
  Model model(1 + input.Take<uint8_t>() % kBucketsMax);
  // Fingerprints of few bits collide in their buckets; the low half alone tells keys of one bucket apart.
  const int shift = input.Take<uint8_t>() % 33;
  for (int step = 0; step < kStepsMax && input.left() > 0; step++) {
    const auto what = input.Take<uint8_t>();
    const uint64_t fingerprint = (static_cast<uint64_t>(1 + input.Take<uint8_t>()) << shift) | 1;
    if (what < 160) model.Insert(fingerprint, static_cast<uint64_t>(step) + 1);
    else if (what < 240) model.Erase(fingerprint);
    else model.Grow(1 + what % 8);
    if (step % 16 == 0) model.Check();
  }
  model.Check();
  return 0;
}
