#include "seal_sockets.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>

namespace volley {

void SealSockets() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return;
  while (const dirent* one = readdir(folder)) {
    const int descriptor = std::atoi(one->d_name);
    struct stat kind {};
    // Standard input and output may be sockets that a child is to have.
    if (descriptor <= 2 || fstat(descriptor, &kind) != 0 || !S_ISSOCK(kind.st_mode)) continue;
    const int flags = fcntl(descriptor, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC);
  }
  closedir(folder);
}

}  // namespace volley
