// Clients of a memcached-compatible server, from one thread: the load generator for servers that are to be compared.
//
//   clients HOST PORT store|get|set|mixed CONNECTIONS DEPTH KEYS VALUE_BYTES SECONDS
//
// `store` stores KEYS distinct items, one after the other, and tells nothing. The others keep DEPTH requests under way on
// each of CONNECTIONS connections for SECONDS, over random ones of these items; with `mixed` every second connection sets,
// and what is told is of the gets. Values are checked for their length and their last byte. Prints one line: requests per second, bytes of values per second, p50 and p99 of a request in
// microseconds, and how many answers were wrong or missing.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEY_BYTES = 40, HEAD_BYTES_MAX = 128, SAMPLES_MAX = 1 << 22, READ_BYTES = 256 << 10 };

typedef struct {
  int fd;
  int sets;             // whether it sets, else gets
  unsigned in_flight;   // requests
  unsigned first;       // of the ring of start times
  double *began;        // per request under way
  uint8_t *out;         // requests not sent yet
  size_t out_start, out_end;
  size_t body_left;     // bytes of the value, its CR LF and END CR LF that are still to come
  char head[HEAD_BYTES_MAX];
  size_t head_bytes;
} Client;

static size_t keys, value_bytes;
static unsigned depth;
static uint8_t *value;
static float *samples;
static size_t sample_count, done, wrong;
static int counting;
static uint64_t random_state = 88172645463325252ull;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "clients: %s: %s\n", what, strerror(errno));
  exit(1);
}

static size_t random_key(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % keys;
}

static int connect_to(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("host");
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

/// Writes a request for the item to `to`. Returns its length.
static size_t put_request(uint8_t *to, size_t item, int sets) {
  if (!sets) return (size_t)sprintf((char *)to, "get clients:%032zu\r\n", item);
  const size_t head = (size_t)sprintf((char *)to, "set clients:%032zu 0 0 %zu\r\n", item, value_bytes);
  memcpy(to + head, value, value_bytes);
  memcpy(to + head, &item, sizeof item < value_bytes ? sizeof item : 0);
  to[head + value_bytes - 1] = 'V';
  memcpy(to + head + value_bytes, "\r\n", 2);
  return head + value_bytes + 2;
}

/// Stores all items, one after the other.
static void store(const char *host, int port) {
  const int fd = connect_to(host, port);
  uint8_t *request = malloc(value_bytes + HEAD_BYTES_MAX);
  char answer[64];
  for (size_t i = 0; i < keys; i++) {
    const size_t bytes = put_request(request, i, 1);
    for (size_t at = 0; at < bytes;) {
      const ssize_t sent = write(fd, request + at, bytes - at);
      if (sent <= 0) die("store");
      at += (size_t)sent;
    }
    size_t got = 0;
    while (got == 0 || answer[got - 1] != '\n') {
      const ssize_t more = read(fd, answer + got, sizeof answer - 1 - got);
      if (more <= 0) die("store");
      got += (size_t)more;
    }
    if (memcmp(answer, "STORED", 6) != 0) {
      answer[got] = 0;
      fprintf(stderr, "clients: a set was answered %s", answer);
      exit(1);
    }
  }
  free(request);
  close(fd);
}

static void fill_up(Client *client) {
  const size_t room = depth * (client->sets ? value_bytes + HEAD_BYTES_MAX : HEAD_BYTES_MAX);
  while (client->in_flight < depth) {
    if (client->out_end + value_bytes + HEAD_BYTES_MAX > room + value_bytes + HEAD_BYTES_MAX) break;
    client->out_end += put_request(client->out + client->out_end, random_key(), client->sets);
    client->began[(client->first + client->in_flight++) % depth] = now();
  }
  while (client->out_start < client->out_end) {
    const ssize_t sent = send(client->fd, client->out + client->out_start, client->out_end - client->out_start, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) die("send");
    client->out_start += (size_t)sent;
  }
  client->out_start = client->out_end = 0;
}

static void answered(Client *client, int right) {
  const double began = client->began[client->first];
  client->first = (client->first + 1) % depth;
  client->in_flight--;
  if (!right) wrong++;
  if (!counting || client->sets * 2 > counting) return;
  done++;
  if (sample_count < SAMPLES_MAX) samples[sample_count++] = (float)((now() - began) * 1e6);
}

/// Takes what was read apart.
static void take(Client *client, const uint8_t *bytes, size_t count) {
  for (size_t at = 0; at < count;) {
    if (client->body_left > 0) {
      const size_t part = count - at < client->body_left ? count - at : client->body_left;
      const size_t value_left = client->body_left > 7 ? client->body_left - 7 : 0;
      if (value_left > 0 && value_left <= part && bytes[at + value_left - 1] != 'V') wrong++;
      client->body_left -= part;
      at += part;
      if (client->body_left == 0) answered(client, 1);
      continue;
    }
    const uint8_t *end = memchr(bytes + at, '\n', count - at);
    const size_t part = end ? (size_t)(end - bytes) + 1 - at : count - at;
    if (client->head_bytes + part >= HEAD_BYTES_MAX) die("a line is too long");
    memcpy(client->head + client->head_bytes, bytes + at, part);
    client->head_bytes += part;
    at += part;
    if (!end) continue;
    client->head[client->head_bytes] = 0;
    client->head_bytes = 0;
    if (client->sets) {
      answered(client, memcmp(client->head, "STORED", 6) == 0);
    } else if (memcmp(client->head, "VALUE ", 6) == 0) {
      const char *length = strrchr(client->head, ' ');
      if (strtoull(length + 1, NULL, 10) != value_bytes) die("a value has another length");
      client->body_left = value_bytes + 7;
    } else {
      answered(client, 0);
    }
  }
}

static int by_size(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

static void run(Client *clients, unsigned count, double seconds) {
  const int poll = epoll_create1(0);
  for (unsigned i = 0; i < count; i++) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &clients[i]};
    fcntl(clients[i].fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event);
    fill_up(&clients[i]);
  }
  uint8_t *bytes = malloc(READ_BYTES);
  const double began = now();
  const double warm = began + seconds * 0.2, end = began + seconds * 1.2;
  const int told = clients[count - 1].sets && !clients[0].sets ? 1 : 2;  // 1: only gets count
  struct epoll_event events[256];
  double started = 0;
  for (double time = began; time < end; time = now()) {
    if (!counting && time >= warm) {
      counting = told;
      started = time;
    }
    const int ready = epoll_wait(poll, events, 256, 1000);
    if (ready == 0) die("no answer within a second");
    for (int i = 0; i < ready; i++) {
      Client *client = events[i].data.ptr;
      for (;;) {
        const ssize_t got = recv(client->fd, bytes, READ_BYTES, 0);
        if (got < 0 && errno == EAGAIN) break;
        if (got <= 0) die("the server closed the connection");
        take(client, bytes, (size_t)got);
        fill_up(client);
      }
      fill_up(client);
    }
  }
  const double took = now() - started;
  qsort(samples, sample_count, sizeof *samples, by_size);
  printf("%.0f %.0f %.1f %.1f %zu\n", (double)done / took, (double)done * (double)value_bytes / took,
         sample_count ? samples[sample_count / 2] : 0.0, sample_count ? samples[sample_count * 99 / 100] : 0.0, wrong);
}

int main(int argc, char **argv) {
  if (argc != 9) {
    fprintf(stderr, "usage: see the head of clients.c\n");
    return 1;
  }
  const int port = atoi(argv[2]);
  const int sets = strcmp(argv[3], "set") == 0, mixed = strcmp(argv[3], "mixed") == 0;
  const unsigned count = (unsigned)atoi(argv[4]);
  depth = (unsigned)atoi(argv[5]);
  keys = strtoull(argv[6], NULL, 10);
  value_bytes = strtoull(argv[7], NULL, 10);
  value = malloc(value_bytes);
  for (size_t i = 0; i < value_bytes; i++) value[i] = (uint8_t)(i * 31 + 7);
  samples = malloc(SAMPLES_MAX * sizeof *samples);
  if (strcmp(argv[3], "store") == 0) {
    store(argv[1], port);
    return 0;
  }
  Client *clients = calloc(count, sizeof *clients);
  for (unsigned i = 0; i < count; i++) {
    Client *client = &clients[i];
    client->fd = connect_to(argv[1], port);
    client->sets = sets || (mixed && i % 2 == 1);
    client->began = calloc(depth, sizeof *client->began);
    client->out = malloc((depth + 1) * ((client->sets ? value_bytes : 0) + HEAD_BYTES_MAX) + value_bytes);
  }
  run(clients, count, atof(argv[8]));
  return 0;
}
