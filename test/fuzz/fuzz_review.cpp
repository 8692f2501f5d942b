// Any bytes as an AdmissionReview: no crash, and the glance never says "no image changes" where the full parser sees
// one, or refuses the review.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/versions/image_change.hpp"
#include "test/fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gate;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const Result<AdmissionRequest> request = parse_review(body);
  const std::optional<ReviewGlance> glance = ReviewGlancer().glance(body);
  if (!request) {
    FUZZ_REQUIRE(request.error().code == ErrorCode::InvalidInput);
    FUZZ_REQUIRE(!glance || !glance->certainly_no_image_change);  // Both paths give one verdict.
    const std::string answer = render("", salvage_uid(body), deny(400, "BadRequest", request.error().message));
    FUZZ_REQUIRE(nlohmann::json::accept(answer));
    return 0;
  }
  FUZZ_REQUIRE(salvage_uid(body) == request->uid);
  const std::vector<ImageChange> changes = image_changes(request->kind, request->old_object, request->object);
  if (glance) {
    FUZZ_REQUIRE(glance->uid == request->uid);
    FUZZ_REQUIRE(glance->api_version == request->api_version);
    if (glance->certainly_no_image_change) {
      FUZZ_REQUIRE(changes.empty());
      FUZZ_REQUIRE(request->operation == Operation::Update);
      FUZZ_REQUIRE(request->subresource.empty());
      FUZZ_REQUIRE(request->object.is_object() && request->old_object.is_object());
    }
  }
  AdmissionAnswer answer =
      deny(403, "R", describe(resolve_hooks({.object = request->object, .changes = changes}).faults));
  answer.warnings = resolve_hooks({.object = request->old_object, .default_hooks = {"recommended"}}).warnings;
  const nlohmann::json rendered = nlohmann::json::parse(render(request->api_version, request->uid, answer));
  FUZZ_REQUIRE(rendered["response"]["uid"] == request->uid);
  return 0;
}
