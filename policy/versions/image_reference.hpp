#pragma once
// Image references that the API server stores and no pod can start with.

#include <string>
#include <string_view>

namespace gate {

/// What makes a reference one that no container runtime takes ("white space", "an empty tag", "capital letters in its
/// repository"); "" when there is nothing. Judged by the grammar that runtimes and the kubelet share; linear.
[[nodiscard]] std::string image_fault(std::string_view image);

}  // namespace gate
