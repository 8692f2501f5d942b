// Any bytes as an image reference, old and new: what is shown of it is a part of it, and a change is seen as one.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "policy/versions/image_change.hpp"
#include "test/fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gate;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // A line feed parts the old reference from the new one.
  const std::string from(input.substr(0, input.find('\n')));
  const std::string to(input.substr(std::min(from.size() + 1, input.size())));
  for (const std::string& image : {from, to}) {
    const std::string version = image_version(image);
    FUZZ_REQUIRE(image.find(version) != std::string::npos);
    FUZZ_REQUIRE(version == image || version.find('/') == std::string::npos);
    const bool plain = version.find_first_of("/:@") == std::string::npos;
    if (plain && !version.empty()) FUZZ_REQUIRE(image_version("registry:5000/team/app:" + version) == version);
  }
  const auto cluster = [](const std::string& image) {
    return nlohmann::json{{"spec", {{"starRocksFeSpec", {{"image", image}}}}}};
  };
  const auto changes = image_changes(kClusterKind, cluster(from), cluster(to));
  FUZZ_REQUIRE(changes.size() == (from != to && !from.empty() && !to.empty() ? 1u : 0u));
  if (!changes.empty()) FUZZ_REQUIRE((changes.front() == ImageChange{Component::Frontend, from, to}));
  FUZZ_REQUIRE(image_changes(kWarehouseKind, cluster(from), cluster(to)).empty());
  return 0;
}
