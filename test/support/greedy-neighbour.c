// Plays another user of a full file system: whatever memory a process gives back of a file (a hole that it punches), is taken
// at once, by a file that fills the file system.
//
//   cc -shared -fPIC -o LIBRARY greedy-neighbour.c
//   LD_PRELOAD=LIBRARY VOLLEY_TEST_FILLER=FILE volley node …
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fill(void) {
  const char* path = getenv("VOLLEY_TEST_FILLER");
  const int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  char bytes[4096];
  memset(bytes, 1, sizeof bytes);
  while (write(fd, bytes, sizeof bytes) > 0) {
  }
  close(fd);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
  int (*real)(int, int, off64_t, off64_t) = (int (*)(int, int, off64_t, off64_t))dlsym(RTLD_NEXT, "fallocate64");
  const int result = real(fd, mode, offset, bytes);
  if (mode & FALLOC_FL_PUNCH_HOLE) fill();
  return result;
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) { return fallocate64(fd, mode, offset, bytes); }
