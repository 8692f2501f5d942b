#include "policy/review/admission_review.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "policy/json/json_projection.hpp"
#include "policy/review/object_projection.hpp"
#include "policy/text/text.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// As sent by the API server a UID has 36 characters.
constexpr std::size_t kUidMax = 128;
constexpr int kBadRequest = 400;
constexpr int kContentTooLarge = 413;

Error invalid(std::string message, int http_code = kBadRequest) {
  return {ErrorCode::InvalidInput, std::move(message), http_code};
}

/// Members of one JSON object, absent and null alike. The first wrong type is kept in `fault`.
class Members {
 public:
  Members(const json& object, std::string path, std::string& fault)
      : object_(object), path_(std::move(path)), fault_(fault) {}

  [[nodiscard]] std::string text(const char* key) const {
    const json& value = any(key);
    if (value.is_string()) return value.get<std::string>();
    if (!value.is_null()) wrong(key, "a string");
    return {};
  }

  [[nodiscard]] std::string required_text(const char* key) const {
    std::string value = text(key);
    if (value.empty()) wrong(key, "a non-empty string");
    return value;
  }

  [[nodiscard]] bool flag(const char* key) const {
    const json& value = any(key);
    if (value.is_boolean()) return value.get<bool>();
    if (!value.is_null()) wrong(key, "true or false");
    return false;
  }

  [[nodiscard]] std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> items;
    const json& value = any(key);
    if (!value.is_null() && !value.is_array()) wrong(key, "a list of strings");
    if (!value.is_array()) return items;
    for (const json& item : value) {
      if (item.is_string()) {
        items.push_back(item.get<std::string>());
      } else {
        wrong(key, "a list of strings");
      }
    }
    return items;
  }

  /// An object or null.
  [[nodiscard]] const json& object(const char* key) const {
    const json& value = any(key);
    if (value.is_object() || value.is_null()) return value;
    wrong(key, "an object");
    return absent();
  }

  [[nodiscard]] Members members(const char* key) const { return {object(key), path_ + key + ".", fault_}; }

  void wrong(const char* key, std::string_view expected) const {
    if (fault_.empty()) fault_ = path_ + key + ": expected " + std::string(expected);
  }

 private:
  static const json& absent() {
    static const json null;
    return null;
  }

  [[nodiscard]] const json& any(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? absent() : *found;
  }

  const json& object_;
  std::string path_;
  std::string& fault_;
};

std::optional<Operation> operation_from(std::string_view text) {
  if (text == "CREATE") return Operation::Create;
  if (text == "UPDATE") return Operation::Update;
  if (text == "DELETE") return Operation::Delete;
  if (text == "CONNECT") return Operation::Connect;
  return std::nullopt;
}

std::string base64(std::string_view bytes) {
  // EVP_EncodeBlock writes 4 characters for each started group of 3 bytes, and a terminating NUL.
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

/// `text` as a JSON string. Nearly nothing that is answered needs an escape.
void append_string(std::string& out, std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; });
  if (!plain) {
    out += dump(json(text));
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

/// The first `"uid": "..."` behind the first `"request"`, in bytes that need not be JSON.
std::string find_uid(std::string_view body) {
  constexpr std::string_view kSpace = " \t\r\n";
  constexpr std::string_view kRequest = "\"request\"";
  constexpr std::string_view kUid = "\"uid\"";
  const auto drop = [&](std::size_t count) { body.remove_prefix(std::min(count, body.size())); };
  const auto drop_space = [&] { drop(body.find_first_not_of(kSpace)); };

  drop(body.find(kRequest));
  drop(kRequest.size());
  drop(body.find(kUid));
  drop(kUid.size());
  drop_space();
  if (!body.starts_with(':')) return {};
  drop(1);
  drop_space();
  if (!body.starts_with('"')) return {};
  drop(1);
  const std::size_t end = body.find('"');
  if (end > kUidMax) return {};  // npos, for no closing quote, is larger still
  const std::string_view uid = body.substr(0, end);
  const bool plausible = std::all_of(uid.begin(), uid.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
  return plausible ? std::string(uid) : std::string();
}

/// All but the objects, of which only the type is kept.
Projection envelope_projection() {
  const auto nothing = [](std::string name) {
    return Projection{std::move(name), Projection::Keep::Nothing, {}, false, 0};
  };
  return keep_members("", {keep_all("apiVersion"), keep_all("kind"),
                           keep_members("request", {keep_all("uid"), keep_members("kind", {keep_all("kind")}),
                                                    keep_members("resource", {keep_all("group"), keep_all("resource")}),
                                                    keep_all("subResource"), keep_all("name"), keep_all("namespace"),
                                                    keep_all("operation"),
                                                    keep_members("userInfo", {keep_all("username"), keep_all("uid"),
                                                                              keep_all("groups"), keep_all("extra")}),
                                                    keep_all("dryRun"), nothing("object"), nothing("oldObject")})});
}

/// Everything but the objects; whether there are any. `fault` names the first member that is wrong.
bool read_envelope(const json& review, AdmissionRequest& request, std::string& fault) {
  const Members root(review, "", fault);
  request.api_version = root.text("apiVersion");
  if (!is_review_version(request.api_version)) {
    root.wrong("apiVersion", "admission.k8s.io/v1 or admission.k8s.io/v1beta1");
  }
  if (root.text("kind") != kReviewKind) root.wrong("kind", kReviewKind);
  if (root.object("request").is_null()) root.wrong("request", "an object");

  const Members members = root.members("request");
  request.uid = members.required_text("uid");
  request.kind = members.members("kind").required_text("kind");
  const Members resource = members.members("resource");
  request.group = resource.text("group");
  request.resource = resource.required_text("resource");
  request.subresource = members.text("subResource");
  request.name = members.text("name");
  request.name_space = members.text("namespace");
  const std::optional<Operation> operation = operation_from(members.text("operation"));
  if (!operation) members.wrong("operation", "CREATE, UPDATE, DELETE or CONNECT");
  request.operation = operation.value_or(Operation::Update);
  const Members user = members.members("userInfo");
  request.user.username = user.text("username");
  request.user.uid = user.text("uid");
  request.user.groups = user.texts("groups");
  const Members extra = user.members("extra");
  for (const auto& [key, values] : user.object("extra").items()) request.user.extra[key] = extra.texts(key.c_str());
  request.dry_run = members.flag("dryRun");
  const bool has_object = !members.object("object").is_null();
  const bool has_old_object = !members.object("oldObject").is_null();
  return has_object || has_old_object;
}

Projection both_objects(const Projection& kept) {
  Projection object = kept;
  Projection old_object = kept;
  object.name = "object";
  old_object.name = "oldObject";
  return keep_members("", {keep_members("request", {std::move(object), std::move(old_object)})});
}

json take_object(json& request, const char* key) {
  const auto found = request.find(key);
  return found == request.end() ? json() : std::move(*found);
}

/// Members that one of the two objects has otherwise than the other, or alone.
int count_differences(const std::map<std::string, std::uint64_t>& digests) {
  constexpr std::string_view kObject = "/request/object";
  constexpr std::string_view kOldObject = "/request/oldObject";
  int differing = 0;
  for (const auto& [path, digest] : digests) {
    const bool is_old = path.starts_with(kOldObject);
    const auto& prefix = is_old ? kOldObject : kObject;
    const auto other = digests.find(std::string(is_old ? kObject : kOldObject) + path.substr(prefix.size()));
    if (other == digests.end() || (is_old && other->second != digest)) ++differing;
  }
  return differing;
}

}  // namespace

bool is_review_version(std::string_view api_version) {
  return api_version == kReviewVersion || api_version == "admission.k8s.io/v1beta1";
}

Result<AdmissionRequest> parse_review(std::string_view body) {
  if (body.size() > kReviewBytesMax) {
    return invalid("the review is larger than " + std::to_string(kReviewBytesMax) + " bytes", kContentTooLarge);
  }
  JsonProjector projector(body);
  static const Projection kEnvelope = envelope_projection();
  const auto review = projector.project(kEnvelope);
  if (!review) return invalid("the review is " + review.error().message);
  if (!review->is_object()) return invalid("the review is not a JSON object");
  std::string fault;
  AdmissionRequest request;
  const bool has_objects = read_envelope(*review, request, fault);
  if (!fault.empty()) return invalid(std::move(fault));
  if (!has_objects) return request;

  const Projection kept = review_projection(request.kind, request.subresource);
  auto objects = projector.project(both_objects(kept), kObjectLimits);
  if (!objects) return invalid("the objects of the review have " + objects.error().message);
  json& source = (*objects)["request"];
  request.object = take_object(source, "object");
  request.old_object = take_object(source, "oldObject");
  const auto changes = image_changes(request.kind, request.old_object, request.object);
  request.other_changed_fields = std::max(0, count_differences(projector.digests()) - static_cast<int>(changes.size()));
  return request;
}

std::string salvage_uid(std::string_view body) {
  if (body.size() <= kReviewBytesMax) {
    static const Projection kUid = keep_members("", {keep_members("request", {keep_all("uid")})});
    std::string fault;
    const auto review = project_json(body, kUid);
    if (review && review->is_object()) return Members(*review, "", fault).members("request").text("uid");
  }
  return find_uid(body);
}

AdmissionAnswer allow() { return {}; }

AdmissionAnswer deny(int code, std::string reason, std::string message) {
  AdmissionAnswer answer;
  answer.allowed = false;
  answer.code = code;
  answer.reason = std::move(reason);
  answer.message = std::move(message);
  return answer;
}

std::string render(std::string_view api_version, std::string_view uid, const AdmissionAnswer& answer) {
  std::string out;
  out.reserve(512 + answer.message.size());
  out += R"({"apiVersion":)";
  append_string(out, api_version.empty() ? kReviewVersion : api_version);
  out += R"(,"kind":)";
  append_string(out, kReviewKind);
  out += R"(,"response":{"uid":)";
  append_string(out, uid);
  out += answer.allowed ? R"(,"allowed":true)" : R"(,"allowed":false)";
  if (!answer.allowed) {
    out += R"(,"status":{"status":"Failure","code":)" + std::to_string(answer.code) + R"(,"reason":)";
    append_string(out, answer.reason);
    out += R"(,"message":)";
    append_string(out, answer.message);
    out += '}';
  }
  const char* separator = R"(,"warnings":[)";
  for (const std::string& warning : answer.warnings) {
    out += std::exchange(separator, ",");
    append_string(out, clean_text(warning, kWarningMax));
  }
  if (!answer.warnings.empty()) out += ']';
  separator = R"(,"auditAnnotations":{)";
  for (const AuditAnnotation& annotation : answer.audit) {
    out += std::exchange(separator, ",");
    append_string(out, annotation.key);
    out += ':';
    append_string(out, annotation.value);
  }
  if (!answer.audit.empty()) out += '}';
  // Patch and patch type come together or not at all: the API server refuses one without the other.
  if (answer.allowed && answer.json_patch.is_array() && !answer.json_patch.empty()) {
    out += R"(,"patchType":"JSONPatch","patch":)";
    append_string(out, base64(dump(answer.json_patch)));
  }
  out += "}}";
  return out;
}

}  // namespace gate
