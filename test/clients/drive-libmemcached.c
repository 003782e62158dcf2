// Drives a server through libmemcached: drive-libmemcached PORT text|binary [USER PASSWORD]. Exits 0 when all is as it should be.
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (1024 * 1024)
#define KEYS 500

static memcached_st *client;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, memcached_last_error_message(client));
  exit(1);
}

static void want(memcached_return_t got, memcached_return_t wanted, const char *what) {
  if (got != wanted) fail(what);
}

// The two protocols have different answers for a store that was not done.
static void want_refusal(memcached_return_t got, const char *what) {
  if (got != MEMCACHED_NOTSTORED && got != MEMCACHED_DATA_EXISTS && got != MEMCACHED_NOTFOUND) fail(what);
}

static void want_value(const char *key, const char *wanted, size_t bytes, uint32_t wanted_flags) {
  size_t length = 0;
  uint32_t flags = 0;
  memcached_return_t code;
  char *value = memcached_get(client, key, strlen(key), &length, &flags, &code);
  if (code != MEMCACHED_SUCCESS || length != bytes || memcmp(value, wanted, bytes) != 0 || flags != wanted_flags) fail(key);
  free(value);
}

static void store_and_change(void) {
  want(memcached_set(client, "a", 1, "hello", 5, 0, 7), MEMCACHED_SUCCESS, "set");
  want_value("a", "hello", 5, 7);
  want_refusal(memcached_add(client, "a", 1, "x", 1, 0, 0), "add");
  want(memcached_append(client, "a", 1, "!", 1, 0, 0), MEMCACHED_SUCCESS, "append");
  want(memcached_prepend(client, "a", 1, ">", 1, 0, 0), MEMCACHED_SUCCESS, "prepend");
  want_value("a", ">hello!", 7, 7);
  want_refusal(memcached_replace(client, "none", 4, "x", 1, 0, 0), "replace");
  want(memcached_touch(client, "a", 1, 100), MEMCACHED_SUCCESS, "touch");
  want(memcached_touch(client, "none", 4, 100), MEMCACHED_NOTFOUND, "touch of nothing");
  want(memcached_delete(client, "a", 1, 0), MEMCACHED_SUCCESS, "delete");
  want(memcached_delete(client, "a", 1, 0), MEMCACHED_NOTFOUND, "delete again");
}

static void count(void) {
  uint64_t number = 0;
  want(memcached_set(client, "n", 1, "41", 2, 0, 0), MEMCACHED_SUCCESS, "set of a number");
  want(memcached_increment(client, "n", 1, 1, &number), MEMCACHED_SUCCESS, "increment");
  if (number != 42) fail("incremented number");
  want(memcached_decrement(client, "n", 1, 100, &number), MEMCACHED_SUCCESS, "decrement");
  if (number != 0) fail("decremented number");
}

static void compare_and_swap(void) {
  const char *keys[] = {"c"};
  const size_t lengths[] = {1};
  memcached_return_t code;
  want(memcached_set(client, "c", 1, "1", 1, 0, 0), MEMCACHED_SUCCESS, "set before cas");
  want(memcached_mget(client, keys, lengths, 1), MEMCACHED_SUCCESS, "mget for cas");
  memcached_result_st *result = memcached_fetch_result(client, NULL, &code);
  if (result == NULL) fail("fetch for cas");
  uint64_t cas = memcached_result_cas(result);
  memcached_result_free(result);
  while (memcached_fetch_result(client, NULL, &code) != NULL) {
  }
  want(memcached_cas(client, "c", 1, "2", 1, 0, 0, cas), MEMCACHED_SUCCESS, "cas");
  want(memcached_cas(client, "c", 1, "3", 1, 0, 0, cas), MEMCACHED_DATA_EXISTS, "cas again");
  want_value("c", "2", 1, 0);
}

static void many_keys(void) {
  static char names[KEYS][16];
  const char *keys[KEYS];
  size_t lengths[KEYS];
  for (int i = 0; i < KEYS; i++) {
    lengths[i] = (size_t)snprintf(names[i], sizeof names[i], "key-%d", i);
    keys[i] = names[i];
    if (i % 2 == 0) want(memcached_set(client, keys[i], lengths[i], keys[i], lengths[i], 0, 0), MEMCACHED_SUCCESS, "set of many");
  }
  want(memcached_mget(client, keys, lengths, KEYS), MEMCACHED_SUCCESS, "mget");
  memcached_result_st result;
  memcached_result_create(client, &result);
  memcached_return_t code;
  int found = 0;
  while (memcached_fetch_result(client, &result, &code) != NULL) {
    size_t bytes = memcached_result_length(&result);
    if (bytes != memcached_result_key_length(&result)) fail("length among many");
    if (memcmp(memcached_result_value(&result), memcached_result_key_value(&result), bytes) != 0) fail("value among many");
    found++;
  }
  memcached_result_free(&result);
  if (found != KEYS / 2) fail("number of many");
}

static void large_value(void) {
  char *value = malloc(LARGE_BYTES);
  for (int i = 0; i < LARGE_BYTES; i++) value[i] = (char)(i * 31);
  want(memcached_set(client, "large", 5, value, LARGE_BYTES, 0, 0), MEMCACHED_SUCCESS, "set of a large value");
  want_value("large", value, LARGE_BYTES, 0);
  free(value);
}

int main(int argc, char **argv) {
  client = memcached_create(NULL);
  memcached_server_add(client, "127.0.0.1", (in_port_t)atoi(argv[1]));
  memcached_behavior_set(client, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, strcmp(argv[2], "binary") == 0);
  memcached_behavior_set(client, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
  if (argc > 4) want(memcached_set_sasl_auth_data(client, argv[3], argv[4]), MEMCACHED_SUCCESS, "authentication data");
  store_and_change();
  count();
  compare_and_swap();
  many_keys();
  large_value();
  want(memcached_flush(client, 0), MEMCACHED_SUCCESS, "flush");
  want(memcached_set(client, "z", 1, "", 0, 0, 0), MEMCACHED_SUCCESS, "set behind the flush");
  want_value("z", "", 0, 0);
  memcached_free(client);
  return 0;
}
