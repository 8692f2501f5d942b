#include "policy/text/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "policy/text/text.hpp"
#include "policy/text/utf8.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// A stream of more documents than this is no configuration.
constexpr std::size_t kDocumentsMax = 1000;
constexpr std::size_t kKeyShownMax = 80;

struct Fault {
  YAML::Mark mark;
  std::string reason;
};

std::string at(std::size_t line, std::size_t column) {
  return "line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
}

Error refuse(const YAML::Mark& mark, const std::string& reason) {
  // Marks count from 0; -1 means that the position is not known.
  const std::string where =
      mark.is_null() ? std::string()
                     : at(static_cast<std::size_t>(mark.line) + 1, static_cast<std::size_t>(mark.column) + 1);
  return {ErrorCode::InvalidInput, where + clean_text(reason)};
}

std::string duplicate_key(std::string_view key) {
  return "the key \"" + clean_text(key, kKeyShownMax) + "\" is there twice";
}

std::string too_deep() { return "nested more than " + std::to_string(kYamlDepthMax) + " deep"; }

/// What every reader of the text must see alike, before any parser looks at it.
std::optional<Error> check_characters(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return Error{ErrorCode::InvalidInput, "longer than " + std::to_string(bytes_max) + " bytes"};
  }
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Step step = decode_utf8(text, offset);
    const bool space = step.code_point == '\t' || step.code_point == '\n' || step.code_point == '\r';
    if (!step.valid) return Error{ErrorCode::InvalidInput, at(line, column) + "invalid UTF-8"};
    if ((step.code_point < 0x20 && !space) || step.code_point == 0x7F) {
      return Error{ErrorCode::InvalidInput, at(line, column) + "control character"};
    }
    offset += step.bytes;
    column = step.code_point == '\n' ? 1 : column + 1;
    if (step.code_point == '\n') ++line;
  }
  return std::nullopt;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

template <class Number>
std::optional<Number> number_from(std::string_view text, int base) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// [-+]? ( digits | 0o octal | 0x hexadecimal ), within 64 bits.
std::optional<json> integer_from(std::string_view text) {
  if (text.starts_with("0o") || text.starts_with("0x")) {
    const int base = text[1] == 'o' ? 8 : 16;
    if (text.size() == 2 || text[2] == '-') return std::nullopt;
    if (const auto number = number_from<std::uint64_t>(text.substr(2), base)) return json(*number);
    return std::nullopt;
  }
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  if (const auto number = number_from<std::int64_t>(text, 10)) return json(*number);
  if (const auto number = number_from<std::uint64_t>(text, 10)) return json(*number);
  return std::nullopt;
}

/// [-+]? ( .digits | digits [.digits] ) [ e[-+]digits ]. Infinity and not-a-number stay text: JSON has neither.
std::optional<json> float_from(std::string_view text) {
  std::string_view unsigned_text = text;
  if (unsigned_text.starts_with('+') || unsigned_text.starts_with('-')) unsigned_text.remove_prefix(1);
  if (unsigned_text.empty() || unsigned_text.find_first_not_of("0123456789.eE+-") != std::string_view::npos ||
      std::string_view("0123456789.").find(unsigned_text.front()) == std::string_view::npos) {
    return std::nullopt;
  }
  double number = 0;
  const auto [end, error] = std::from_chars(unsigned_text.data(), unsigned_text.data() + unsigned_text.size(), number);
  if (error != std::errc{} || end != unsigned_text.data() + unsigned_text.size()) return std::nullopt;
  return json(text.front() == '-' ? -number : number);
}

json plain_scalar(const std::string& text) {
  if (is_one_of(text, {"true", "True", "TRUE"})) return true;
  if (is_one_of(text, {"false", "False", "FALSE"})) return false;
  if (auto number = integer_from(text)) return *std::move(number);
  if (auto number = float_from(text)) return *std::move(number);
  return text;
}

/// Builds one document from the parser's events. Throws Fault.
class DocumentBuilder : public YAML::EventHandler {
 public:
  [[nodiscard]] json take() { return std::move(document_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { throw Fault{mark, kNoAnchors}; }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add(mark, "null", nullptr);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    // "?": plain; "!": quoted, or a block.
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") throw Fault{mark, kNoTags};
    add(mark, value, tag == "?" ? plain_scalar(value) : json(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, json::array());
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, json::object());
  }
  void OnMapEnd() override { end(); }

 private:
  static constexpr const char* kNoAnchors = "anchors and aliases are not accepted; write the value out";
  static constexpr const char* kNoTags = "tags are not accepted";

  /// A sequence or mapping that has begun.
  struct Open {
    json value;
    std::optional<std::string> key;  ///< Of a mapping, while its value is awaited.
  };

  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) throw Fault{mark, kNoAnchors};
  }

  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, json empty) {
    refuse_anchor(mark, anchor);
    if (tag != "?" && tag != "!" && !tag.empty()) throw Fault{mark, kNoTags};
    if (awaits_key()) throw Fault{mark, "a key must be text"};
    if (open_.size() == kYamlDepthMax) throw Fault{mark, too_deep()};
    open_.push_back({std::move(empty), std::nullopt});
  }

  void end() {
    json value = std::move(open_.back().value);
    open_.pop_back();
    put(std::move(value));
  }

  void add(const YAML::Mark& mark, const std::string& written, json value) {
    if (!awaits_key()) {
      put(std::move(value));
      return;
    }
    if (open_.back().value.contains(written)) throw Fault{mark, duplicate_key(written)};
    open_.back().key = written;
  }

  [[nodiscard]] bool awaits_key() const {
    return !open_.empty() && open_.back().value.is_object() && !open_.back().key;
  }

  void put(json value) {
    if (open_.empty()) {
      document_ = std::move(value);
    } else if (open_.back().value.is_array()) {
      open_.back().value.push_back(std::move(value));
    } else {
      open_.back().value[*open_.back().key] = std::move(value);
      open_.back().key.reset();
    }
  }

  json document_;
  std::vector<Open> open_;
};

}  // namespace

Result<std::vector<json>> yaml_documents(std::string_view text, std::size_t bytes_max) {
  if (auto error = check_characters(text, bytes_max)) return *std::move(error);
  std::vector<json> documents;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    for (std::size_t count = 0;; ++count) {
      DocumentBuilder builder;
      if (!parser.HandleNextDocument(builder)) return documents;
      if (count == kDocumentsMax) {
        return Error{ErrorCode::InvalidInput, "more than " + std::to_string(kDocumentsMax) + " documents"};
      }
      json document = builder.take();
      if (!document.is_null()) documents.push_back(std::move(document));
    }
  } catch (const Fault& fault) {
    return refuse(fault.mark, fault.reason);
  } catch (const YAML::Exception& fault) {
    return refuse(fault.mark, fault.msg);
  }
}

Result<json> json_document(std::string_view text, std::size_t bytes_max) {
  if (auto error = check_characters(text, bytes_max)) return *std::move(error);
  std::vector<std::set<std::string>> keys;  // of the objects that have begun
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (static_cast<std::size_t>(depth) > kYamlDepthMax) throw Fault{YAML::Mark::null_mark(), too_deep()};
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw Fault{YAML::Mark::null_mark(), duplicate_key(parsed.get_ref<const std::string&>())};
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const Fault& fault) {
    return refuse(fault.mark, fault.reason);
  } catch (const json::parse_error& fault) {
    // The library's own message repeats what it last read, which may be a value that nobody should see.
    const std::string_view read = text.substr(0, std::min(fault.byte == 0 ? 0 : fault.byte - 1, text.size()));
    const auto line = static_cast<std::size_t>(std::count(read.begin(), read.end(), '\n')) + 1;
    const std::size_t column = read.size() - (read.rfind('\n') + 1) + 1;
    return Error{ErrorCode::InvalidInput, at(line, column) + "not JSON"};
  } catch (const json::exception&) {
    return Error{ErrorCode::InvalidInput, "a number is out of range"};
  }
}

}  // namespace gate
