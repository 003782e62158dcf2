// A client with all that a node tells of its fabric, who wants more than to read: reads the region's first bytes, writes to
// an offset in it, and reads what stands there then, each over a connection of its own.
//
//   write-to-region HOST PORT PROVIDER BASE KEY TOKEN OFFSET     numbers in hex but for the port
//
// Prints "read BYTES", "closed" or "still connected", and "read BYTES", the bytes in hex. Exit code 1: something else failed.
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBytes = 8, kTokenBytes = 16, kTimeoutMs = 3000 };

struct Connection {
  struct fid_eq *events;
  struct fid_cq *completions;
  struct fid_ep *endpoint;
};

static struct fi_info *info;
static struct fid_fabric *fabric;
static struct fid_domain *domain;

static void check(long failed, const char *what) {
  if (failed >= 0) return;
  fprintf(stderr, "%s: %s\n", what, fi_strerror((int)-failed));
  exit(1);
}

static void find(const char *host, const char *port, const char *provider) {
  struct fi_info *hints = fi_allocinfo();
  hints->caps = FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ;
  hints->mode = FI_CONTEXT | FI_CONTEXT2 | FI_RX_CQ_DATA;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  hints->ep_attr->type = FI_EP_MSG;
  hints->fabric_attr->prov_name = strdup(provider);
  int failed = fi_getinfo(FI_VERSION(1, 14), host, port, 0, hints, &info);
  if (failed && strcmp(provider, "net") == 0) {
    // Its name since libfabric 1.18.
    hints->fabric_attr->prov_name = strdup("tcp");
    failed = fi_getinfo(FI_VERSION(1, 14), host, port, 0, hints, &info);
  }
  check(failed, "fi_getinfo");
  check(fi_fabric(info->fabric_attr, &fabric, NULL), "fi_fabric");
  check(fi_domain(fabric, info, &domain, NULL), "fi_domain");
}

static struct Connection connect_with(const char *token) {
  struct Connection to;
  struct fi_eq_attr events = {.wait_obj = FI_WAIT_UNSPEC};
  struct fi_cq_attr completions = {.format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_UNSPEC};
  struct fi_eq_cm_entry entry;
  uint32_t event = 0;
  check(fi_eq_open(fabric, &events, &to.events, NULL), "fi_eq_open");
  check(fi_cq_open(domain, &completions, &to.completions, NULL), "fi_cq_open");
  check(fi_endpoint(domain, info, &to.endpoint, NULL), "fi_endpoint");
  check(fi_ep_bind(to.endpoint, &to.events->fid, 0), "fi_ep_bind");
  check(fi_ep_bind(to.endpoint, &to.completions->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
  check(fi_enable(to.endpoint), "fi_enable");
  check(fi_connect(to.endpoint, info->dest_addr, token, kTokenBytes), "fi_connect");
  check(fi_eq_sread(to.events, &event, &entry, sizeof entry, kTimeoutMs, 0), "connecting");
  check(event == FI_CONNECTED ? 0 : -FI_ECONNREFUSED, "connecting");
  return to;
}

/// Whether what was posted completed.
static int completes(struct Connection *by) {
  struct fi_cq_entry done;
  return fi_cq_sread(by->completions, &done, 1, NULL, kTimeoutMs) == 1;
}

/// Whether the node closes the connection. That a write completes would mean nothing: some providers tell that it was sent.
static int is_closed(struct Connection *to) {
  struct fi_eq_cm_entry entry;
  uint32_t event = 0;
  return fi_eq_sread(to->events, &event, &entry, sizeof entry, kTimeoutMs, 0) >= 0 && event == FI_SHUTDOWN;
}

static void read_and_tell(const char *token, char *buffer, void *descriptor, uint64_t address, uint64_t key) {
  struct Connection reading = connect_with(token);
  struct fi_context2 context;
  memset(buffer, 0, kBytes);
  check(fi_read(reading.endpoint, buffer, kBytes, descriptor, 0, address, key, &context), "fi_read");
  check(completes(&reading) ? 0 : -FI_EIO, "reading");
  printf("read ");
  for (int i = 0; i < kBytes; i++) printf("%02x", (unsigned char)buffer[i]);
  printf("\n");
}

int main(int count, char **words) {
  if (count != 8) return 2;
  const uint64_t base = strtoull(words[4], NULL, 16), key = strtoull(words[5], NULL, 16);
  const uint64_t offset = strtoull(words[7], NULL, 16);
  char token[kTokenBytes], buffer[4096] = {0};
  struct fid_mr *registration = NULL;
  struct fi_context2 context;
  void *descriptor = NULL;
  for (int i = 0; i < kTokenBytes; i++) sscanf(words[6] + 2 * i, "%2hhx", (unsigned char *)&token[i]);
  find(words[1], words[2], words[3]);
  if (info->domain_attr->mr_mode & FI_MR_LOCAL) {
    check(fi_mr_reg(domain, buffer, sizeof buffer, FI_READ | FI_WRITE, 0, 1, 0, &registration, NULL), "fi_mr_reg");
    descriptor = fi_mr_desc(registration);
  }

  read_and_tell(token, buffer, descriptor, base, key);
  struct Connection writing = connect_with(token);
  memset(buffer, 0xee, kBytes);
  check(fi_write(writing.endpoint, buffer, kBytes, descriptor, 0, base + offset, key, &context), "fi_write");
  printf("%s\n", is_closed(&writing) ? "closed" : "still connected");
  read_and_tell(token, buffer, descriptor, base + offset, key);
  return 0;
}
