#include "region_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace volley {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kSmallPageBytes = 4096;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

UniqueFd ReopenReadOnly(int fd) {
  return UniqueFd(open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC));
}

[[noreturn]] void Refuse(const std::string& path, const std::string& why) {
  throw Error("ERR_VOLLEY_FILE", "the region file " + path + " cannot be used: " + why);
}

}  // namespace

RegionMemory RegionMemory::Anonymous(uint64_t bytes, bool hugepages) {
  RegionMemory memory;
  UniqueFd fd(memfd_create("volley-region", MFD_CLOEXEC | MFD_ALLOW_SEALING | (hugepages ? MFD_HUGETLB : 0)));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return memory;
  Mapping mapping(fd.get(), bytes, PROT_READ | PROT_WRITE);
  if (!mapping) return memory;
  // From here on nobody can map the region writable or resize it; our own mapping stays writable.
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return memory;
  memory.readOnlyFd_ = ReopenReadOnly(fd.get());
  if (!memory.readOnlyFd_) return memory;
  madvise(mapping.data(), mapping.bytes(), MADV_DONTDUMP);
  if (!hugepages) madvise(mapping.data(), mapping.bytes(), MADV_HUGEPAGE);
  memory.fd_ = std::move(fd);
  memory.mapping_ = std::move(mapping);
  memory.pageBytes_ = hugepages ? kHugePageBytes : kSmallPageBytes;
  return memory;
}

RegionMemory RegionMemory::Open(const std::string& path) {
  RegionMemory memory;
  memory.path_ = path;
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  memory.fd_ = UniqueFd(open(path.c_str(), kFlags));
  const bool isNew = !memory.fd_ && errno == ENOENT;
  if (isNew) memory.fd_ = UniqueFd(open(path.c_str(), kFlags | O_CREAT, 0600));
  if (!memory.fd_) Refuse(path, std::strerror(errno));
  const int fd = memory.fd_.get();
  struct stat status {};
  struct statfs system {};
  if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) Refuse(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) Refuse(path, "it is no regular file");
  const auto kind = static_cast<uint64_t>(system.f_type);
  if (kind != TMPFS_MAGIC && kind != HUGETLBFS_MAGIC && kind != RAMFS_MAGIC) {
    if (isNew) unlink(path.c_str());
    Refuse(path, "it is not in memory; give one on tmpfs (such as /dev/shm) or hugetlbfs");
  }
  if ((status.st_mode & 077) != 0 || (status.st_uid != geteuid() && status.st_uid != 0)) {
    Refuse(path, "others may use it; it must belong to the node's user and have mode 600");
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    Refuse(path, errno == EWOULDBLOCK ? "a running node has it; stop that first, or give another with --region"
                                      : std::strerror(errno));
  }
  memory.readOnlyFd_ = ReopenReadOnly(fd);
  if (!memory.readOnlyFd_) Refuse(path, std::strerror(errno));
  memory.pageBytes_ = kind == HUGETLBFS_MAGIC ? static_cast<uint64_t>(system.f_bsize) : kSmallPageBytes;
  return memory;
}

void RegionMemory::Map(uint64_t bytes) {
  mapping_ = Mapping(fd_.get(), bytes, PROT_READ | PROT_WRITE);
  if (!mapping_) Refuse(path_, SystemMessage("mmap", errno));
  madvise(mapping_.data(), mapping_.bytes(), MADV_DONTDUMP);
  if (pageBytes_ == kSmallPageBytes) madvise(mapping_.data(), mapping_.bytes(), MADV_HUGEPAGE);
}

void RegionMemory::Resize(uint64_t bytes) {
  if (ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) Refuse(path_, std::strerror(errno));
}

bool RegionMemory::Reserve(uint64_t offset, uint64_t bytes) const {
  if (!isFile()) return true;
  int result = -1;
  do {
    result = fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

bool RegionMemory::Zero(uint64_t offset, uint64_t bytes) const {
  const uint64_t end = offset + bytes;
  const uint64_t first = std::min(end, (offset + pageBytes_ - 1) / pageBytes_ * pageBytes_);
  const uint64_t last = std::max(first, end / pageBytes_ * pageBytes_);
  std::memset(mapping_.data() + offset, 0, first - offset);
  std::memset(mapping_.data() + last, 0, end - last);
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const auto from = static_cast<off_t>(first);
  const auto length = static_cast<off_t>(last - first);
  if (length == 0 || fallocate(fd_.get(), kPunch, from, length) == 0) return true;
  // What cannot be given back may have holes all the same.
  if (!Reserve(first, last - first)) return false;
  std::memset(mapping_.data() + first, 0, last - first);
  return true;
}

void RegionMemory::Unlock() {
  // Closing would not do: the mapping holds the open file too.
  if (isFile()) flock(fd_.get(), LOCK_UN);
}

uint64_t RegionMemory::fileBytes() const {
  struct stat status {};
  return fstat(fd_.get(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

}  // namespace volley
