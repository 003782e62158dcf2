// What Volley's figures are printed beside: memcpy, and memcached through its C client. Prints seconds, a line per round.
//
//   reference memcpy BYTES ROUNDS cold|warm
//   reference sets   HOST PORT BYTES VALUE_BYTES         acknowledged one by one
//   reference stream BYTES ROUNDS                        one TCP connection over loopback, read() into one buffer
//   reference mget   HOST PORT BYTES VALUE_BYTES BATCH ROUNDS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <libmemcached/memcached.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "reference: %s\n", what);
  exit(1);
}

static void fill(uint8_t *data, size_t bytes, uint64_t seed) {
  uint64_t x = seed * 0x9E3779B97F4A7C15ull + 1;
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memcpy(data + i, &x, 8);
  }
}

static uint8_t *map_memory(size_t bytes, int *fd) {
  *fd = memfd_create("reference", 0);
  if (*fd < 0 || ftruncate(*fd, (off_t)bytes) != 0) die("memfd");
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
  if (at == MAP_FAILED) die("mmap");
  return at;
}

static void run_memcpy(size_t bytes, int rounds, int warm) {
  int source_fd, fd;
  uint8_t *source = map_memory(bytes, &source_fd);
  fill(source, bytes, 1);
  uint8_t *kept = NULL;
  if (warm) {
    kept = map_memory(bytes, &fd);
    memset(kept, 1, bytes);
  }
  for (int round = 0; round < rounds; round++) {
    uint8_t *target = warm ? kept : map_memory(bytes, &fd);
    const double began = now();
    memcpy(target, source, bytes);
    printf("%.6f\n", now() - began);
    if (!warm) {
      munmap(target, bytes);
      close(fd);
    }
  }
}

static memcached_st *open_cluster(const char *host, int port) {
  memcached_st *cluster = memcached_create(NULL);
  if (memcached_server_add(cluster, host, (in_port_t)port) != MEMCACHED_SUCCESS) die("server");
  memcached_behavior_set(cluster, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
  return cluster;
}

static size_t make_key(char *key, size_t i) { return (size_t)sprintf(key, "reference:%031zu", i); }

static void run_sets(const char *host, int port, size_t bytes, size_t value_bytes) {
  memcached_st *cluster = open_cluster(host, port);
  uint8_t *values = malloc(bytes);
  fill(values, bytes, 2);
  char key[64];
  const double began = now();
  for (size_t i = 0; i < bytes / value_bytes; i++) {
    const size_t length = make_key(key, i);
    if (memcached_set(cluster, key, length, (char *)values + i * value_bytes, value_bytes, 0, 0) != MEMCACHED_SUCCESS) {
      die("a set failed");
    }
  }
  printf("%.6f\n", now() - began);
  memcached_free(cluster);
}

static void run_mget(const char *host, int port, size_t bytes, size_t value_bytes, size_t batch, int rounds) {
  memcached_st *cluster = open_cluster(host, port);
  const size_t count = bytes / value_bytes;
  char(*text)[64] = malloc(count * 64);
  const char **keys = malloc(count * sizeof *keys);
  size_t *lengths = malloc(count * sizeof *lengths);
  for (size_t i = 0; i < count; i++) {
    lengths[i] = make_key(text[i], i);
    keys[i] = text[i];
  }
  memcached_result_st result;
  memcached_result_create(cluster, &result);
  for (int round = 0; round < rounds; round++) {
    size_t got = 0;
    const double began = now();
    for (size_t at = 0; at < count; at += batch) {
      const size_t wanted = count - at < batch ? count - at : batch;
      if (memcached_mget(cluster, keys + at, lengths + at, wanted) != MEMCACHED_SUCCESS) die("mget");
      memcached_return_t answer;
      while (memcached_fetch_result(cluster, &result, &answer) != NULL) got += memcached_result_length(&result);
    }
    const double seconds = now() - began;
    if (got != count * value_bytes) die("values are missing");
    printf("%.6f\n", seconds);
  }
  memcached_free(cluster);
}

static void send_all(int listener, const uint8_t *data, size_t bytes, int rounds) {
  const int peer = accept(listener, NULL, NULL);
  for (int round = 0; round < rounds; round++) {
    char go;
    if (read(peer, &go, 1) != 1) die("stream");
    for (size_t at = 0; at < bytes;) {
      const ssize_t sent = write(peer, data + at, bytes - at < (1 << 20) ? bytes - at : 1 << 20);
      if (sent <= 0) die("stream");
      at += (size_t)sent;
    }
  }
}

static void run_stream(size_t bytes, int rounds) {
  uint8_t *data = malloc(bytes);
  fill(data, bytes, 3);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  const pid_t child = fork();
  if (child == 0) {
    send_all(listener, data, bytes, rounds);
    _exit(0);
  }
  const int peer = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(peer, (struct sockaddr *)&address, length) != 0) die("connect");
  uint8_t *buffer = malloc(1 << 20);
  for (int round = 0; round < rounds; round++) {
    const double began = now();
    if (write(peer, "g", 1) != 1) die("stream");
    for (size_t at = 0; at < bytes;) {
      const ssize_t got = read(peer, buffer, 1 << 20);
      if (got <= 0) die("stream");
      at += (size_t)got;
    }
    printf("%.6f\n", now() - began);
  }
  waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "memcpy") == 0 && argc == 5) {
    run_memcpy(strtoull(argv[2], NULL, 10), atoi(argv[3]), strcmp(argv[4], "warm") == 0);
  } else if (strcmp(what, "stream") == 0 && argc == 4) {
    run_stream(strtoull(argv[2], NULL, 10), atoi(argv[3]));
  } else if (strcmp(what, "sets") == 0 && argc == 6) {
    run_sets(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
  } else if (strcmp(what, "mget") == 0 && argc == 8) {
    run_mget(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10),
             atoi(argv[7]));
  } else {
    die("usage: see the head of reference.c");
  }
  return 0;
}
