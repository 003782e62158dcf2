#pragma once

#include <cstdint>

#include "info.h"

namespace volley {

/// How many reads one queue pair of the device may have outstanding (max_rd_atomic): more would only queue there. 0 where
/// that is not known: libfabric does not tell it, libibverbs does, of verbs devices.
uint32_t ReadsOutstandingMax(const FabricInfo& info);

}  // namespace volley
