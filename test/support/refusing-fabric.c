// Stands before libfabric and refuses reads.
//
//   cc -shared -fPIC -o FOLDER/libfabric.so.1 refusing-fabric.c
//   LD_LIBRARY_PATH=FOLDER VOLLEY_TEST_LIBFABRIC=<the real one> VOLLEY_TEST_REFUSALS=FILE volley load …
//
// Without more: for now (FI_EAGAIN), as a provider does whose queue is full. Refused are all reads of a new endpoint for REFUSED_MS from
// its first one on, when nothing is in flight whose end could tell that it is time to try again; then three out of four.
//
// With VOLLEY_TEST_ERROR=<errno> and VOLLEY_TEST_FIRST=<n>: for good, from the process's n-th read on, as a provider does whose device
// is gone.
//
// FILE is made to hold a byte for each refused read.
#include <dlfcn.h>
#include <fcntl.h>
#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define REFUSED_MS 100

static void* real;
static int refusals = -1;
static int error;
static unsigned long first;
static long first_ms;
static struct fi_ops_fabric fabric_ops;
static struct fi_ops_domain domain_ops;
static struct fi_ops_rma rma_ops;
static int (*real_domain)(struct fid_fabric*, struct fi_info*, struct fid_domain**, void*);
static int (*real_endpoint)(struct fid_domain*, struct fi_info*, struct fid_ep**, void*);
static ssize_t (*real_readmsg)(struct fid_ep*, const struct fi_msg_rma*, uint64_t);

__attribute__((constructor)) static void load(void) {
  real = dlopen(getenv("VOLLEY_TEST_LIBFABRIC"), RTLD_NOW | RTLD_LOCAL);
  refusals = open(getenv("VOLLEY_TEST_REFUSALS"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (real == NULL || refusals < 0) abort();
  if (getenv("VOLLEY_TEST_ERROR") == NULL) return;
  error = atoi(getenv("VOLLEY_TEST_ERROR"));
  first = strtoul(getenv("VOLLEY_TEST_FIRST"), NULL, 10);
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int is_taken(void) {
  static atomic_ulong count;
  static atomic_uint later;
  if (error != 0) return atomic_fetch_add(&count, 1) + 1 < first;
  if (first_ms == 0) first_ms = now_ms();
  return now_ms() - first_ms >= REFUSED_MS && atomic_fetch_add(&later, 1) % 4 == 3;
}

static ssize_t readmsg(struct fid_ep* endpoint, const struct fi_msg_rma* message, uint64_t flags) {
  if (is_taken()) return real_readmsg(endpoint, message, flags);
  if (write(refusals, ".", 1) != 1) abort();
  return error != 0 ? -error : -FI_EAGAIN;
}

static int endpoint(struct fid_domain* domain, struct fi_info* info, struct fid_ep** made, void* context) {
  const int failed = real_endpoint(domain, info, made, context);
  first_ms = 0;
  if (failed || (*made)->rma == &rma_ops) return failed;
  rma_ops = *(*made)->rma;
  real_readmsg = rma_ops.readmsg;
  rma_ops.readmsg = readmsg;
  (*made)->rma = &rma_ops;
  return 0;
}

static int domain(struct fid_fabric* fabric, struct fi_info* info, struct fid_domain** made, void* context) {
  const int failed = real_domain(fabric, info, made, context);
  if (failed || (*made)->ops == &domain_ops) return failed;
  domain_ops = *(*made)->ops;
  real_endpoint = domain_ops.endpoint;
  domain_ops.endpoint = endpoint;
  (*made)->ops = &domain_ops;
  return 0;
}

int fi_fabric(struct fi_fabric_attr* attributes, struct fid_fabric** made, void* context) {
  const __typeof__(&fi_fabric) function = dlsym(real, "fi_fabric");
  const int failed = function(attributes, made, context);
  if (failed || (*made)->ops == &fabric_ops) return failed;
  fabric_ops = *(*made)->ops;
  real_domain = fabric_ops.domain;
  fabric_ops.domain = domain;
  (*made)->ops = &fabric_ops;
  return 0;
}

int fi_getinfo(uint32_t version, const char* node, const char* service, uint64_t flags, const struct fi_info* hints,
               struct fi_info** found) {
  const __typeof__(&fi_getinfo) function = dlsym(real, "fi_getinfo");
  return function(version, node, service, flags, hints, found);
}

void fi_freeinfo(struct fi_info* info) { ((__typeof__(&fi_freeinfo))dlsym(real, "fi_freeinfo"))(info); }

struct fi_info* fi_dupinfo(const struct fi_info* info) {
  return ((__typeof__(&fi_dupinfo))dlsym(real, "fi_dupinfo"))(info);
}

const char* fi_strerror(int error) { return ((__typeof__(&fi_strerror))dlsym(real, "fi_strerror"))(error); }

uint32_t fi_version(void) { return ((__typeof__(&fi_version))dlsym(real, "fi_version"))(); }
