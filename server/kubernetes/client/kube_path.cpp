#include "server/kubernetes/client/kube_path.hpp"

#include "policy/text/text.hpp"

namespace gate {
namespace {

/// Names come from annotations and requests, too: one must never lead to another path.
Status check_segment(std::string_view what, std::string_view segment) {
  const bool safe = !segment.empty() && segment != "." && segment != ".." && segment.size() <= 253 &&
                    segment.find_first_of(std::string_view("/%\0", 3)) == std::string_view::npos;
  if (safe) return Ok{};
  return Error{ErrorCode::InvalidInput,
               std::string(what) + ": \"" + clean_text(segment) + "\": expected a Kubernetes object name"};
}

}  // namespace

std::string percent_encoded(std::string_view segment) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
        c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
    }
  }
  return out;
}

Result<std::string> collection_path(const KubeResource& resource, const std::string& name_space) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/" + std::string(resource.group) + "/";
  path += resource.version;
  if (!name_space.empty()) {
    if (auto safe = check_segment("namespace", name_space); !safe) return safe.error();
    path += "/namespaces/" + percent_encoded(name_space);
  }
  return path + "/" + std::string(resource.plural);
}

Result<std::string> object_path(const KubeResource& resource, const std::string& name_space, const std::string& name,
                                std::string_view subresource) {
  auto path = collection_path(resource, name_space);
  if (!path) return path;
  if (auto safe = check_segment("name", name); !safe) return safe.error();
  *path += "/" + percent_encoded(name);
  if (!subresource.empty()) *path += "/" + std::string(subresource);
  return path;
}

}  // namespace gate
