// A pipelined client that stores a file in memcached as `volley upload` does: it reads the file, hashes each value with OpenSSL's
// SHA-256, sets it under its digest, and ends when all are acknowledged. Prints seconds.
//
//   upload HOST PORT FILE VALUE_BYTES
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/// Values whose answers may be outstanding.
#define WINDOW 512
#define ANSWER "STORED\r\n"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "upload: %s\n", what);
  exit(1);
}

static int dial(const char *host, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("host");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  return fd;
}

static void send_all(int fd, struct iovec *ranges, int count) {
  while (count > 0) {
    ssize_t sent = writev(fd, ranges, count);
    if (sent < 0) die("writev");
    while (count > 0 && (size_t)sent >= ranges->iov_len) {
      sent -= (ssize_t)ranges->iov_len;
      ranges++;
      count--;
    }
    if (count > 0) {
      ranges->iov_base = (char *)ranges->iov_base + sent;
      ranges->iov_len -= (size_t)sent;
    }
  }
}

/// Takes the answers that are there, or waits for some. Returns the bytes of answers taken.
static size_t take_answers(int fd, int wait, size_t *taken) {
  char text[4096];
  const ssize_t got = recv(fd, text, sizeof text, wait ? 0 : MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) die("the server closed the connection");
  for (ssize_t i = 0; i < got; i++) {
    if (text[i] != ANSWER[(*taken + (size_t)i) % strlen(ANSWER)]) die("a set failed");
  }
  *taken += (size_t)got;
  return (size_t)got;
}

int main(int argc, char **argv) {
  if (argc != 5) die("usage: see the head of upload.c");
  const size_t value_bytes = strtoull(argv[4], NULL, 10);
  const int file = open(argv[3], O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) die("file");
  const size_t count = (size_t)status.st_size / value_bytes;
  uint8_t *value = malloc(value_bytes);
  EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  const double began = now();
  const int fd = dial(argv[1], argv[2]);
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) {
    if (pread(file, value, value_bytes, (off_t)(i * value_bytes)) != (ssize_t)value_bytes) die("pread");
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (EVP_DigestInit_ex(context, sha256, NULL) != 1 || EVP_DigestUpdate(context, value, value_bytes) != 1 ||
        EVP_DigestFinal_ex(context, digest, NULL) != 1) {
      die("SHA-256");
    }
    char head[128];
    int length = sprintf(head, "set reference:");
    for (int at = 0; at < 16; at++) length += sprintf(head + length, "%02x", digest[at]);
    length += sprintf(head + length, " 0 0 %zu\r\n", value_bytes);
    struct iovec ranges[] = {{head, (size_t)length}, {value, value_bytes}, {"\r\n", 2}};
    send_all(fd, ranges, 3);
    while (take_answers(fd, i + 1 - taken / strlen(ANSWER) >= WINDOW, &taken) > 0) {
    }
  }
  while (taken < count * strlen(ANSWER)) take_answers(fd, 1, &taken);
  printf("%.6f\n", now() - began);
  return 0;
}
