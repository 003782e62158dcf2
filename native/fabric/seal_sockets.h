#pragma once

namespace volley {

/// Makes this process's sockets close-on-exec, as Node's are anyway: libfabric leaves its own open to every child, and a
/// guest's QEMU would keep the connections to storage nodes.
void SealSockets();

}  // namespace volley
