#include "policy/text/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"
#include "policy/text/utf8.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// A stream of more documents than this is no configuration.
constexpr std::size_t kDocumentsMax = 1000;
/// All that a company renders in one go, on the other hand, is.
constexpr std::size_t kManifestsMax = 20'000;
constexpr std::size_t kKeyShownMax = 80;

struct Fault {
  YAML::Mark mark;
  std::string reason;
};

std::string at(std::size_t line, std::size_t column) {
  return "line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
}

/// `first_line`: lines before the text that the mark counts from.
Error refuse(const YAML::Mark& mark, const std::string& reason, std::size_t first_line = 0) {
  // Marks count from 0; -1 means that the position is not known.
  const std::string where = mark.is_null() ? std::string()
                                           : at(first_line + static_cast<std::size_t>(mark.line) + 1,
                                                static_cast<std::size_t>(mark.column) + 1);
  return {ErrorCode::InvalidInput, where + clean_text(reason)};
}

/// The parser's words, or what they mean where a tab is to blame: they never say so.
std::string reason_of(const YAML::Exception& fault, std::string_view text) {
  // Newer versions of the parser add the anchor's name, which the position shows.
  static const std::string kNoAnchor = "the referenced anchor is not defined";
  if (fault.msg.starts_with(kNoAnchor)) return kNoAnchor;
  if (fault.mark.is_null()) return fault.msg;
  for (int line = 0; line < fault.mark.line; ++line) text.remove_prefix(std::min(text.find('\n') + 1, text.size()));
  const auto indentation = text.substr(0, text.find_first_not_of(" \t"));
  if (indentation.find('\t') == std::string_view::npos) return fault.msg;
  return "a tab in the indentation, which YAML does not take: want blanks";
}

std::string duplicate_key(std::string_view key) {
  return "the key \"" + clean_text(key, kKeyShownMax) + "\" is there twice";
}

std::string too_many_documents(std::size_t most) { return "more than " + std::to_string(most) + " documents"; }

std::string too_deep() { return "nested more than " + std::to_string(kYamlDepthMax) + " deep"; }

/// What every reader of the text must see alike, before any parser looks at it.
std::optional<Error> check_characters(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return Error{ErrorCode::InvalidInput, "longer than " + std::to_string(bytes_max) + " bytes"};
  }
  if (is_utf16(text)) return Error{ErrorCode::InvalidInput, "the text is UTF-16: want UTF-8"};
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

/// [-+]? ( digits | 0 octal | 0o octal | 0x hexadecimal | 0b binary ), within 64 bits, as Go's ParseInt reads it.
std::optional<json> go_integer_from(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char mark = text[1];
    base = mark == 'x' || mark == 'X' ? 16 : mark == 'b' || mark == 'B' ? 2 : 8;
    const bool marked = base != 8 || mark == 'o' || mark == 'O';
    text.remove_prefix(marked ? 2 : 1);
  }
  const auto number = number_from<std::uint64_t>(text, base);
  if (!number) return std::nullopt;
  if (!negative) return json(*number);
  constexpr auto kMost = std::uint64_t{1} << 63;
  if (*number > kMost) return std::nullopt;
  return json(*number == kMost ? std::numeric_limits<std::int64_t>::min() : -static_cast<std::int64_t>(*number));
}

/// What a plain scalar is to kubectl: YAML 1.1 as go-yaml has it, and then a JSON number. nullopt: neither infinity nor
/// not-a-number can be one, and kubectl refuses the document.
std::optional<json> kubectl_scalar(const std::string& text) {
  if (is_one_of(text, {"true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})) return true;
  if (is_one_of(text, {"false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"})) return false;
  if (is_one_of(text, {"null", "Null", "NULL", "~", ""})) return json(nullptr);
  const bool sign = text[0] == '-' || text[0] == '+';
  if (is_one_of(text.substr(sign ? 1 : 0), {".inf", ".Inf", ".INF"}) || is_one_of(text, {".nan", ".NaN", ".NAN"})) {
    return std::nullopt;
  }
  std::string plain = text;
  if (std::string_view("+-0123456789").find(text[0]) != std::string_view::npos) std::erase(plain, '_');
  if (auto number = go_integer_from(plain)) return *std::move(number);
  auto number = float_from(plain);
  if (!number) return json(text);
  // "60.0" is written as the JSON number 60.
  const double value = number->get<double>();
  constexpr double kWholeMax = 9.0e18;
  if (value == std::floor(value) && std::abs(value) < kWholeMax) return json(static_cast<std::int64_t>(value));
  return *std::move(number);
}

/// How many bytes a value counts for when it is copied: its texts, and a share for each node.
constexpr std::size_t kNodeWeight = 16;

constexpr const char* kNoAnchors = "anchors and aliases are not accepted; write the value out";
constexpr const char* kNoTags = "tags are not accepted";

/// Builds one document from the parser's events. Throws Fault.
class DocumentBuilder : public YAML::EventHandler {
 public:
  /// Lenient: as manifest_documents() has it. `line` is that of the text's beginning, in what marks count from 0.
  /// `text` is what is parsed, and outlives this.
  explicit DocumentBuilder(std::string_view text, bool lenient = false, std::size_t line = 0)
      : text_(text), lenient_(lenient), line_(line) {}

  [[nodiscard]] json take() { return std::move(document_); }
  [[nodiscard]] std::vector<std::string> faults() { return std::move(faults_); }
  [[nodiscard]] std::vector<std::string> twice() { return std::move(twice_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!lenient_) throw Fault{mark, kNoAnchors};
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Fault{mark, "an alias inside of its own anchor"};
    const Anchored& anchored = found->second;
    expanded_ += anchored.weight;
    if (expanded_ > kExpandedBytesMax) {
      throw Fault{mark, "aliases expand to more than " + std::to_string(kExpandedBytesMax) + " bytes"};
    }
    if (open_.size() + anchored.height > kYamlDepthMax) throw Fault{mark, too_deep()};
    if (awaits_key()) {
      if (!anchored.value.is_string()) throw Fault{mark, "a key must be text"};
      add(mark, anchored.value.get<std::string>(), anchored.value, 0);
      return;
    }
    count(anchored.weight, anchored.height);
    put(json(anchored.value));
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    refuse_key_without_colon();
    add(mark, "null", nullptr, anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    // "?": plain; "!": quoted, or a block.
    if (tag == "?" && awaits_key()) open_.back().key_mark = mark;
    const bool plain =
        tag == "?" || (lenient_ && is_one_of(tag, {kCore + "int", kCore + "float", kCore + "bool", kCore + "null"}));
    if (!plain && tag != "!" && tag != kCore + "str") refuse_tag(mark);
    if (tag == "?" && value == "<<" && lenient_ && awaits_key()) {
      open_.back().key = value;
      open_.back().merges = true;
      open_.back().merge_mark = mark;
      return;
    }
    if (!plain || !lenient_) return add(mark, value, plain ? plain_scalar(value) : json(value), anchor);
    auto read = kubectl_scalar(value);
    if (!read) throw Fault{mark, "kubectl takes neither infinity nor not-a-number"};
    if (read->is_null() && awaits_key()) throw Fault{mark, "a key must be text"};
    // "on: x" has the key "true".
    const std::string written = awaits_key() && !read->is_string() ? read->dump() : value;
    add(mark, written, *std::move(read), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, json::array());
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    begin(mark, tag, anchor, json::object());
    open_.back().block = style == YAML::EmitterStyle::Block;
  }
  void OnMapEnd() override { end(); }

 private:
  inline static const std::string kCore = "tag:yaml.org,2002:";

  /// A sequence or mapping that has begun.
  struct Open {
    json value;
    YAML::anchor_t anchor = 0;
    std::size_t weight = kNodeWeight;
    std::size_t height = 1;                         ///< Levels of what it holds, itself included.
    std::optional<std::string> key{};               ///< Of a mapping, while its value is awaited.
    YAML::Mark key_mark = YAML::Mark::null_mark();  ///< Of a plain key.
    bool block = false;                             ///< A mapping without braces.
    bool merges = false;                            ///< That key is "<<".
    YAML::Mark merge_mark{};
    std::set<std::string> merged{};  ///< Keys that came by a merge alone.
  };

  struct Anchored {
    json value;
    std::size_t weight;
    std::size_t height;
  };

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != 0 && !lenient_) throw Fault{mark, kNoAnchors};
  }

  /// The parser takes a last line without ":" for a key with nothing behind it; to other readers it is an error, and to
  /// its author mostly a line that was cut.
  void refuse_key_without_colon() const {
    if (open_.empty() || !open_.back().block || !open_.back().key || open_.back().key_mark.is_null()) return;
    const auto& mark = open_.back().key_mark;
    const auto begin = static_cast<std::size_t>(mark.pos);
    if (mark.pos < 0 || begin >= text_.size()) return;
    const auto before = text_.substr(0, begin).find_last_not_of(" \t");
    if (before != std::string_view::npos && text_[before] == '?') return;
    auto line = text_.substr(begin, text_.find('\n', begin) - begin);
    line = line.substr(0, line.find(" #"));
    if (line.find(':') == std::string_view::npos) throw Fault{mark, "a key without \":\" behind it"};
  }

  void refuse_tag(const YAML::Mark& mark) {
    if (!lenient_) throw Fault{mark, kNoTags};
    note(mark, "a tag that changes the value");
  }

  void note(const YAML::Mark& mark, const std::string& fault) {
    faults_.push_back("line " + std::to_string(line_ + static_cast<std::size_t>(mark.line) + 1) + ": " + fault);
  }

  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, json empty) {
    refuse_anchor(mark, anchor);
    if (tag != "?" && tag != "!" && !tag.empty() && !(lenient_ && is_one_of(tag, {kCore + "map", kCore + "seq"}))) {
      refuse_tag(mark);
    }
    if (awaits_key()) throw Fault{mark, "a key must be text"};
    if (open_.size() == kYamlDepthMax) throw Fault{mark, too_deep()};
    open_.push_back({std::move(empty), anchor});
  }

  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.anchor != 0) anchors_[closed.anchor] = {closed.value, closed.weight, closed.height};
    count(closed.weight, closed.height);
    put(std::move(closed.value));
  }

  /// Of a value that goes into the innermost that is open.
  void count(std::size_t weight, std::size_t height) {
    if (open_.empty()) return;
    open_.back().weight += weight;
    open_.back().height = std::max(open_.back().height, height + 1);
  }

  void add(const YAML::Mark& mark, const std::string& written, json value, YAML::anchor_t anchor) {
    const std::size_t weight = kNodeWeight + written.size();
    if (anchor != 0) anchors_[anchor] = {awaits_key() ? json(written) : value, weight, 0};
    if (!awaits_key()) {
      count(weight, 0);
      put(std::move(value));
      return;
    }
    if (open_.back().value.contains(written) && open_.back().merged.erase(written) == 0) {
      if (!lenient_) throw Fault{mark, duplicate_key(written)};
      note(mark, duplicate_key(written));
      if (open_.size() == 1) twice_.push_back(written);
    }
    open_.back().weight += weight;
    open_.back().key = written;
  }

  [[nodiscard]] bool awaits_key() const {
    return !open_.empty() && open_.back().value.is_object() && !open_.back().key;
  }

  void put(json value) {
    if (open_.empty()) {
      document_ = std::move(value);
      return;
    }
    Open& into = open_.back();
    if (into.value.is_array()) {
      into.value.push_back(std::move(value));
      return;
    }
    if (std::exchange(into.merges, false)) {
      merge(into.merge_mark, into, value);
    } else {
      into.value[*into.key] = std::move(value);
    }
    into.key.reset();
  }

  /// As kubectl's reader has it: in the order of the document, and of a list the first one counts.
  void merge(const YAML::Mark& mark, Open& into, const json& value) {
    if (value.is_object()) {
      for (const auto& [key, member] : value.items()) {
        // YAML 1.1 lets the written key win, kubectl the later one.
        if (into.value.contains(key) && !into.merged.contains(key)) {
          note(mark, "the merge key \"<<\" overrules \"" + clean_text(key, kKeyShownMax) + "\" before it");
        }
        into.value[key] = member;
        into.merged.insert(key);
      }
      return;
    }
    if (!value.is_array() ||
        !std::all_of(value.begin(), value.end(), [](const json& one) { return one.is_object(); })) {
      throw Fault{mark, "a merge key \"<<\" needs a mapping, or a list of mappings"};
    }
    for (auto one = value.rbegin(); one != value.rend(); ++one) merge(mark, into, *one);
  }

  const std::string_view text_;
  const bool lenient_;
  const std::size_t line_;
  json document_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::size_t expanded_ = 0;
  std::vector<std::string> faults_;
  std::vector<std::string> twice_;
};

/// The text between two separators.
struct Chunk {
  std::string_view text;
  std::size_t line = 0;  ///< Lines before it.
};

bool is_separator(std::string_view line) {
  if (!line.starts_with("---")) return false;
  const std::size_t rest = line.find_first_not_of(" \t\r", 3);
  return rest == std::string_view::npos || line[rest] == '#';
}

/// At lines "---", as kubectl does, before any parser looks at the text.
std::vector<Chunk> split_manifests(std::string_view text) {
  std::vector<Chunk> chunks{{text, 0}};
  std::size_t begin = 0;
  std::size_t number = 0;
  for (std::size_t offset = 0; offset < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', offset), text.size());
    if (is_separator(text.substr(offset, end - offset))) {
      chunks.back().text = text.substr(begin, offset - begin);
      begin = std::min(end + 1, text.size());
      chunks.push_back({text.substr(begin), number + 1});
    }
    offset = end + 1;
  }
  return chunks;
}

/// Moves the beginning behind blank lines, comments and directives ("%YAML 1.2"), which say nothing by themselves.
Chunk without_blank_head(Chunk chunk) {
  while (!chunk.text.empty()) {
    const std::size_t end = std::min(chunk.text.find('\n'), chunk.text.size());
    const std::string_view line = chunk.text.substr(0, end);
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#' && line[0] != '%') break;
    chunk.text.remove_prefix(std::min(end + 1, chunk.text.size()));
    ++chunk.line;
  }
  return chunk;
}

/// Behind the JSON object that `text` begins with; text.size() where it does not end.
std::size_t end_of_object(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_string) {
      if (text[i] == '\\') {
        ++i;  // whatever is escaped ends nothing
      } else if (text[i] == '"') {
        in_string = false;
      }
      continue;
    }
    if (text[i] == '"') in_string = true;
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return i + 1;
  }
  return text.size();
}

}  // namespace

Result<std::vector<json>> yaml_documents(std::string_view text, std::size_t bytes_max) {
  if (auto error = check_characters(text, bytes_max)) return *std::move(error);
  std::vector<json> documents;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    for (std::size_t count = 0;; ++count) {
      DocumentBuilder builder(text);
      if (!parser.HandleNextDocument(builder)) return documents;
      if (count == kDocumentsMax) {
        return Error{ErrorCode::InvalidInput, too_many_documents(kDocumentsMax)};
      }
      json document = builder.take();
      if (!document.is_null()) documents.push_back(std::move(document));
    }
  } catch (const Fault& fault) {
    return refuse(fault.mark, fault.reason);
  } catch (const YAML::Exception& fault) {
    return refuse(fault.mark, reason_of(fault, text));
  }
}

namespace {

/// `document`: what duplicate keys are faults of; nullptr: they are refused. `first_line`: lines before the text.
Result<json> read_json(std::string_view text, ManifestDocument* document, std::size_t first_line) {
  std::vector<std::set<std::string>> keys;  // of the objects that have begun
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (static_cast<std::size_t>(depth) > kYamlDepthMax) throw Fault{YAML::Mark::null_mark(), too_deep()};
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      const std::string fault = duplicate_key(parsed.get_ref<const std::string&>());
      if (document == nullptr) throw Fault{YAML::Mark::null_mark(), fault};
      document->faults.push_back(fault);
      if (keys.size() == 1) document->twice.push_back(parsed.get<std::string>());
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
    return Error{ErrorCode::InvalidInput, at(first_line + line, column) + "not JSON"};
  } catch (const json::exception&) {
    return Error{ErrorCode::InvalidInput, "a number is out of range"};
  }
}

/// A carriage return alone ends a line to kubectl's reader, and not to this one.
std::string with_line_feeds(std::string_view text) {
  std::string out(text);
  for (std::size_t at = out.find('\r'); at != std::string::npos; at = out.find('\r', at + 1)) {
    if (at + 1 == out.size() || out[at + 1] != '\n') out[at] = '\n';
  }
  return out;
}

Status read_yaml(const Chunk& chunk, std::vector<ManifestDocument>& documents) {
  try {
    const std::string text = with_line_feeds(chunk.text);
    std::istringstream stream{text};
    YAML::Parser parser(stream);
    for (;;) {
      DocumentBuilder builder(text, true, chunk.line);
      if (!parser.HandleNextDocument(builder)) return Ok{};
      ManifestDocument document{chunk.line + 1, builder.take(), builder.faults(), builder.twice()};
      if (!document.value.is_null()) documents.push_back(std::move(document));
      if (documents.size() > kManifestsMax) throw Fault{YAML::Mark::null_mark(), too_many_documents(kManifestsMax)};
    }
  } catch (const Fault& fault) {
    return refuse(fault.mark, fault.reason, chunk.line);
  } catch (const YAML::Exception& fault) {
    return refuse(fault.mark, reason_of(fault, chunk.text), chunk.line);
  }
}

/// JSON objects, one behind the other.
Status read_json_stream(Chunk chunk, std::vector<ManifestDocument>& documents) {
  while (!chunk.text.empty()) {
    const std::size_t end = end_of_object(chunk.text);
    ManifestDocument document;
    document.line = chunk.line + 1;
    auto value = read_json(chunk.text.substr(0, end), &document, chunk.line);
    if (!value) return value.error();
    document.value = std::move(value).value();
    documents.push_back(std::move(document));
    if (documents.size() > kManifestsMax) return Error{ErrorCode::InvalidInput, too_many_documents(kManifestsMax)};
    const std::size_t next = std::min(chunk.text.find_first_not_of(" \t\r\n", end), chunk.text.size());
    const auto passed = chunk.text.substr(0, next);
    chunk.line += static_cast<std::size_t>(std::count(passed.begin(), passed.end(), '\n'));
    chunk.text.remove_prefix(next);
  }
  return Ok{};
}

}  // namespace

Result<json> json_document(std::string_view text, std::size_t bytes_max) {
  if (auto error = check_characters(text, bytes_max)) return *std::move(error);
  return read_json(text, nullptr, 0);
}

Result<std::vector<ManifestDocument>> manifest_documents(std::string_view written, std::size_t bytes_max) {
  // Windows tools write it so, and kubectl reads it.
  const auto converted = utf8_of_utf16(written);
  const std::string_view text = converted ? std::string_view(*converted) : written;
  if (auto error = check_characters(text, bytes_max)) return *std::move(error);
  std::vector<ManifestDocument> documents;
  for (Chunk chunk : split_manifests(text)) {
    chunk.text = without_byte_order_mark(chunk.text);
    const std::size_t blank = chunk.line;
    chunk = without_blank_head(chunk);
    if (chunk.line != blank && without_byte_order_mark(chunk.text).size() != chunk.text.size()) {
      return Error{ErrorCode::InvalidInput, at(chunk.line + 1, 1) + "U+FEFF (byte order mark) behind the beginning"};
    }
    const std::size_t first = chunk.text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) continue;
    if (chunk.text[first] == '{') {
      // A flow mapping of YAML begins alike.
      const std::size_t before = documents.size();
      chunk.text.remove_prefix(first);
      const Status read = read_json_stream(chunk, documents);
      if (read.ok()) continue;
      documents.resize(before);
      const bool meant_as_json = chunk.text.find_first_not_of(" \t\r\n", 1) == chunk.text.find('"');
      if (const Status as_yaml = read_yaml(chunk, documents); !as_yaml) {
        return meant_as_json ? read.error() : as_yaml.error();
      }
      continue;
    }
    if (const Status read = read_yaml(chunk, documents); !read) return read.error();
  }
  return documents;
}

}  // namespace gate
