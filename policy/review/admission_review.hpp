#pragma once
// admission.k8s.io/v1 AdmissionReview: bytes in, bytes out.
// Source of the rules: k8s.io/apiserver pkg/admission/plugin/webhook/request/admissionreview.go.

#include <cstddef>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"

namespace gate {

class JsonTokens;

/// Two objects of at most 3 MiB each (etcd's request limit as the API server sets it) plus 1 MiB for the rest.
inline constexpr std::size_t kReviewBytesMax = 7u << 20;
/// Kubernetes objects are far flatter; deeper input is refused.
inline constexpr std::size_t kReviewDepthMax = 128;

inline constexpr std::string_view kReviewKind = "AdmissionReview";
inline constexpr std::string_view kReviewVersion = "admission.k8s.io/v1";
/// v1, or v1beta1, which has the same JSON.
[[nodiscard]] bool is_review_version(std::string_view api_version);

enum class Operation { Create, Update, Delete, Connect };

struct UserInfo {
  std::string username;
  std::string uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};

struct AdmissionRequest {
  std::string api_version;  ///< Of the review, echoed in the answer.
  std::string uid;          ///< One round trip, not one intent of a user: never an idempotency key.
  std::string kind;         ///< request.kind.kind
  std::string group;        ///< request.resource.group
  std::string resource;     ///< request.resource.resource
  std::string subresource;
  std::string name;
  std::string name_space;
  Operation operation = Operation::Update;
  UserInfo user;
  bool dry_run = false;
  nlohmann::json object;      ///< What review_projection() keeps of it; null when absent
  nlohmann::json old_object;  ///< The same
  /// Fields of the spec, and fields of its components, that differ besides the images of image_changes().
  int other_changed_fields = 0;
  std::string traceparent{};  ///< Of the span that this review gets, if it gets one; no part of its bytes.
};

/// Reads the few fields that count, whatever else the objects hold; the whole body is validated.
/// InvalidInput: says what is wrong and where; peer_code = the HTTP-like code to answer with (400, 413).
[[nodiscard]] Result<AdmissionRequest> parse_review(std::string_view body);

/// The few fields that nearly every admission is decided on, read without building a tree.
struct ReviewGlance {
  std::string api_version;
  std::string uid;
  /// True only when parse_review accepts the body, too, and it is an UPDATE (of an object and an oldObject) in which no
  /// image of a gated component changes. False means: parse it in full.
  bool certainly_no_image_change = false;
};
/// Reads reviews with buffers that are kept from one to the next, at most 4 MiB. Not thread safe: one per thread,
/// or one per call.
class ReviewGlancer {
 public:
  ReviewGlancer();
  ~ReviewGlancer();
  ReviewGlancer(const ReviewGlancer&) = delete;
  ReviewGlancer& operator=(const ReviewGlancer&) = delete;

  /// nullopt when the bytes need the full parser: wrong JSON anywhere, a repeated key that matters, no UID.
  [[nodiscard]] std::optional<ReviewGlance> glance(std::string_view body);

 private:
  std::unique_ptr<JsonTokens> tokens_;  ///< Null until it is needed.
};

/// Best effort: the UID of a review that could not be parsed, so that even a refusal is well formed. "" if none.
[[nodiscard]] std::string salvage_uid(std::string_view body);

struct AuditAnnotation {
  std::string key;
  std::string value;
};

/// What is answered. Built by allow(), deny(), patch(); rendered by render().
struct AdmissionAnswer {
  bool allowed = true;
  int code = 200;                     ///< Of status, when denied.
  std::string reason;                 ///< Of status, when denied: CamelCase.
  std::string message;                ///< Of status, when denied.
  std::vector<std::string> warnings;  ///< render() cuts each to 120 characters and drops control characters.
  std::vector<AuditAnnotation> audit;
  nlohmann::json json_patch;  ///< RFC 6902 array, or null for none.
};

[[nodiscard]] AdmissionAnswer allow();
[[nodiscard]] AdmissionAnswer deny(int code, std::string reason, std::string message);

/// Always yields a well-formed review: invalid UTF-8 in texts is replaced, never thrown on.
/// `api_version` empty means admission.k8s.io/v1.
[[nodiscard]] std::string render(std::string_view api_version, std::string_view uid, const AdmissionAnswer& answer);

}  // namespace gate
