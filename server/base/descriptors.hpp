#pragma once
// How many descriptors this process may have open.

#include <cstddef>

namespace gate {

/// Raises the soft limit (RLIMIT_NOFILE) to the hard one, and returns what it is then; containers are started with a
/// soft limit of 1024 for the sake of programs that use select(2), which this one does not.
std::size_t raise_descriptor_limit();

}  // namespace gate
