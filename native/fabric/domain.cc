#include "domain.h"

#include <sys/random.h>
#include <sys/resource.h>

#include "../error.h"

namespace volley {
namespace {

std::string MemlockLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur >> 10) + " kB";
}

/// A key that cannot be guessed from another one.
uint64_t RandomKey(size_t bytes) {
  uint64_t key = 0;
  [[maybe_unused]] const ssize_t got = getrandom(&key, bytes < sizeof key ? bytes : sizeof key, 0);
  return key;
}

}  // namespace

std::shared_ptr<FabricDomain> FabricDomain::Open(const FabricInfo& info) {
  static std::mutex mutex;
  static std::unordered_map<std::string, std::weak_ptr<FabricDomain>> open;
  const std::lock_guard lock(mutex);
  std::weak_ptr<FabricDomain>& slot = open[info.provider() + "/" + info->fabric_attr->name + "/" + info.domain()];
  std::shared_ptr<FabricDomain> domain = slot.lock();
  if (!domain) {
    domain = std::shared_ptr<FabricDomain>(new FabricDomain(info));
    slot = domain;
  }
  return domain;
}

std::shared_ptr<FabricDomain> FabricDomain::ForEndpoint(const FabricInfo& info) {
  return info.localRegistration() ? shared_from_this() : std::shared_ptr<FabricDomain>(new FabricDomain(info));
}

FabricDomain::FabricDomain(const FabricInfo& info) : info_(info) {
  const FabricLibrary& library = FabricLibrary::Load();
  const auto check = [&](int failed, const char* what) {
    if (failed == 0) return;
    throw Error("ERR_VOLLEY_FABRIC", library.Message(std::string(what) + " " + info.domain() + " (" + info.provider() + ")", failed));
  };
  check(library.fabric(info->fabric_attr, fabric_.Receive(), nullptr), "cannot open the fabric of");
  check(fi_domain(fabric_.get(), info.get(), domain_.Receive(), nullptr), "cannot open");
}

std::unique_ptr<FabricRegistration> FabricDomain::Register(const void* data, size_t bytes, uint64_t access) {
  FabricHandle<fid_mr> mr;
  // Where keys are ours to choose, two may collide: the provider says so, and another one is drawn.
  int failed = -FI_ENOKEY;
  for (int attempt = 0; attempt < 8 && failed == -FI_ENOKEY; attempt++) {
    failed = fi_mr_reg(domain_.get(), data, bytes, access, 0, info_.providerKeys() ? 0 : RandomKey(sizeof(uint64_t)), 0, mr.Receive(), nullptr);
  }
  if (failed != 0) {
    throw Error("ERR_VOLLEY_MEMORY",
                FabricLibrary::Load().Message("cannot register " + std::to_string(bytes >> 10) + " kB of memory for the fabric", failed) +
                    "; the limit of locked memory is " + MemlockLimit() +
                    ": raise it with ulimit -l, or LimitMEMLOCK= in a systemd unit");
  }
  return std::make_unique<FabricRegistration>(std::move(mr), shared_from_this());
}

}  // namespace volley
