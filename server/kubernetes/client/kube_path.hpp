#pragma once
// Paths of the API, for .cpp files of this folder.

#include <string>
#include <string_view>

#include "policy/text/result.hpp"
#include "server/kubernetes/client/kube_client.hpp"

namespace gate {

/// RFC 3986: everything but unreserved characters.
[[nodiscard]] std::string percent_encoded(std::string_view segment);
/// InvalidInput where a name could lead to another path. Of all namespaces where `name_space` is empty.
[[nodiscard]] Result<std::string> collection_path(const KubeResource& resource, const std::string& name_space);
[[nodiscard]] Result<std::string> object_path(const KubeResource& resource, const std::string& name_space,
                                              const std::string& name, std::string_view subresource = {});

}  // namespace gate
