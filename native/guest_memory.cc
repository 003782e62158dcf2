#include "guest_memory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace volley {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kHugePageBytes = 2 << 20;

struct Backing {
  UniqueFd fd;
  Mapping mapping;
};

Backing MakeMemfd(uint64_t bytes, bool hugepages) {
  Backing backing{UniqueFd(memfd_create("volley-guest", MFD_CLOEXEC | (hugepages ? MFD_HUGETLB : 0))), {}};
  if (backing.fd && ftruncate(backing.fd.get(), static_cast<off_t>(bytes)) == 0) {
    backing.mapping = Mapping(backing.fd.get(), bytes, PROT_READ | PROT_WRITE);
  }
  return backing;
}

}  // namespace

GuestMemory::GuestMemory(UniqueFd fd, Mapping mapping, std::string notice)
    : fd_(std::move(fd)),
      mapping_(std::move(mapping)),
      notice_(std::move(notice)),
      populated_((mapping_.bytes() + kBlockBytes - 1) / kBlockBytes) {
  // A core dump of the hook is no place for a guest's memory.
  madvise(mapping_.data(), mapping_.bytes(), MADV_DONTDUMP);
  // Taken up where the system lets shared memory have huge pages on advice; fills several times as fast.
  madvise(mapping_.data(), mapping_.bytes(), MADV_HUGEPAGE);
}

std::shared_ptr<GuestMemory> GuestMemory::Create(uint64_t bytes, bool hugepages) {
  std::string notice;
  Backing backing;
  if (hugepages) {
    if (bytes % kHugePageBytes == 0) backing = MakeMemfd(bytes, true);
    if (!backing.mapping) notice = "no hugepages for guest memory; using 4 KiB pages";
  }
  if (!backing.mapping) backing = MakeMemfd(bytes, false);
  if (!backing.mapping) {
    throw Error("ERR_VOLLEY_MEMORY",
                SystemMessage("cannot map " + std::to_string(bytes) + " bytes of guest memory", errno));
  }
  return std::shared_ptr<GuestMemory>(
      new GuestMemory(std::move(backing.fd), std::move(backing.mapping), std::move(notice)));
}

std::shared_ptr<GuestMemory> GuestMemory::Map(int fd, uint64_t bytes) {
  UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  struct stat status {};
  if (!own || fstat(own.get(), &status) != 0) {
    throw Error("ERR_VOLLEY_FILE", SystemMessage("cannot use descriptor " + std::to_string(fd), errno));
  }
  if (static_cast<uint64_t>(status.st_size) < bytes) {
    throw Error("ERR_VOLLEY_FILE", "the file to map has " + std::to_string(status.st_size) + " bytes, not the " +
                                       std::to_string(bytes) + " to be filled");
  }
  Mapping mapping(own.get(), bytes, PROT_READ | PROT_WRITE);
  if (!mapping) throw Error("ERR_VOLLEY_FILE", SystemMessage("cannot map the file writable", errno));
  return std::shared_ptr<GuestMemory>(new GuestMemory(std::move(own), std::move(mapping), ""));
}

void GuestMemory::Reserve(uint64_t offset, uint64_t length) {
  if (length == 0) return;
  const int failed = posix_fallocate(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(length));
  if (failed != 0) {
    throw Error("ERR_VOLLEY_MEMORY", SystemMessage("cannot reserve " + std::to_string(length) + " bytes", failed));
  }
}

void GuestMemory::KeepHole(uint64_t offset, uint64_t length) {
  if (length == 0) return;
  const uint64_t end = offset + length;
  for (uint64_t block = offset / kBlockBytes; block <= (end - 1) / kBlockBytes; block++) {
    populated_[block].store(kHasHole, std::memory_order_relaxed);
  }
  // File systems give blocks to all of a page that is written to, which may be a huge one, and read ahead of it.
  madvise(mapping_.data(), mapping_.bytes(), MADV_RANDOM);
  if (offset % kHugePageBytes != 0) KeepPagesSmall(offset);
  if (end % kHugePageBytes != 0) KeepPagesSmall(end);
}

/// In the 2 MiB around `offset`; in all of the mapping where that would take too many pieces of it.
void GuestMemory::KeepPagesSmall(uint64_t offset) {
  const uint64_t start = offset / kHugePageBytes * kHugePageBytes;
  const uint64_t length = std::min(kHugePageBytes, bytes() - start);
  if (smallUpTo_ == start + length) return;
  smallUpTo_ = start + length;
  if (madvise(mapping_.data() + start, length, MADV_NOHUGEPAGE) == 0 || errno != ENOMEM) return;
  madvise(mapping_.data(), mapping_.bytes(), MADV_NOHUGEPAGE);
}

void GuestMemory::Populate(uint64_t offset, uint64_t length) {
  if (length == 0) return;
  for (uint64_t block = offset / kBlockBytes; block <= (offset + length - 1) / kBlockBytes; block++) {
    const uint8_t state = populated_[block].load(std::memory_order_relaxed);
    if (state == kPresent) continue;
    uint64_t start = block * kBlockBytes;
    uint64_t end = std::min(start + kBlockBytes, bytes());
    if (state == kFresh) {
      populated_[block].store(kPresent, std::memory_order_relaxed);
    } else {
      start = std::max(start, offset / kPageBytes * kPageBytes);
      end = std::min(end, offset + length);
    }
    // Best effort: where the kernel is older than 5.14 the pages come by faults.
    madvise(mapping_.data() + start, end - start, MADV_POPULATE_WRITE);
  }
}

template <typename Word>
void GuestMemory::Relocate(uint64_t table, uint64_t count, uint64_t offset, uint64_t length, int64_t addend) {
  const auto* const distances = reinterpret_cast<const uint32_t*>(mapping_.data() + table);
  uint8_t* const image = mapping_.data() + offset;
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t distance = __atomic_load_n(&distances[i], __ATOMIC_RELAXED);
    if (distance + sizeof(Word) > length) {
      throw Error("ERR_VOLLEY_KERNEL", "relocation " + std::to_string(i) + " of the kernel points outside it");
    }
    Word word;
    std::memcpy(&word, image + distance, sizeof word);
    word += static_cast<Word>(addend);
    std::memcpy(image + distance, &word, sizeof word);
  }
}

template void GuestMemory::Relocate<uint32_t>(uint64_t, uint64_t, uint64_t, uint64_t, int64_t);
template void GuestMemory::Relocate<uint64_t>(uint64_t, uint64_t, uint64_t, uint64_t, int64_t);

std::shared_ptr<void> GuestMemory::Attachment(const void* owner,
                                              const std::function<std::shared_ptr<void>()>& make) {
  const std::lock_guard lock(attaching_);
  std::shared_ptr<void>& attachment = attachments_[owner];
  if (!attachment) attachment = make();
  return attachment;
}

}  // namespace volley
