// Two readers of one meaning: the quick one walks tokens, and gives up on what JsonTokens does not take (rare escapes,
// exponents, long numbers) and on what is no JSON; the slow one reads everything and says what is wrong.

#include "policy/json/json_projection.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "policy/json/json_tokens.hpp"
#include "policy/text/characters.hpp"

namespace gate {
namespace {

using nlohmann::json;
using Keep = Projection::Keep;

/// The token index takes four times the bytes that it is made of. What is larger is read without one: slower, in less
/// memory.
constexpr std::size_t kIndexedBytesMax = 4u << 20;
constexpr int kNumberTooLarge = 406;  // nlohmann's id of "number overflow"

/// The projection of the member `key`, or null.
const Projection* find_member(const Projection& projection, std::string_view key) {
  for (const Projection& member : projection.members) {
    std::string_view name = member.name;
    if (name.ends_with('*') ? key.starts_with(name.substr(0, name.size() - 1)) : key == name) return &member;
  }
  return nullptr;
}

bool is_full(const Projection& list, const json& out) {
  return list.elements_max != 0 && out.size() >= list.elements_max;
}

bool is_wanted_element(const Projection& element, const json& value) {
  if (element.name.empty()) return true;
  if (!value.is_object()) return false;
  const auto name = value.find("name");
  return name != value.end() && name->is_string() &&
         look_of(name->get_ref<const std::string&>()).find(look_of(element.name)) != std::string::npos;
}

/// Whether the JSON text may have `name` in it for whoever reads it: what is not plain ASCII, or escaped, can be
/// written in many ways.
bool may_look_like(std::string_view text, std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const auto is_odd = [](char c) { return c == '\\' || static_cast<unsigned char>(c) >= 0x80; };
  return std::any_of(text.begin(), text.end(), is_odd) ||
         std::search(text.begin(), text.end(), name.begin(), name.end(),
                     [&](char left, char right) { return lower(left) == lower(right); }) != text.end();
}

/// Counts what is kept. False once it is too much; `fault` then says so.
class Allowance {
 public:
  explicit Allowance(const ProjectionLimits& limits) : limits_(limits) {}

  bool node(std::size_t depth) {
    if (++nodes_ > limits_.nodes_max) {
      fault = "more than " + std::to_string(limits_.nodes_max) + " values where the gate reads them";
    } else if (depth > limits_.depth_max) {
      fault = "nested deeper than " + std::to_string(limits_.depth_max) + " levels where the gate reads it";
    }
    return fault.empty();
  }

  std::string fault;

 private:
  const ProjectionLimits limits_;
  std::size_t nodes_ = 0;
};

class Digests {
 public:
  Digests(std::map<std::string, std::uint64_t>& out, const ProjectionLimits& limits)
      : out_(out), max_(limits.digests_max) {}

  void set(const std::string& path, std::uint64_t digest) {
    const auto found = out_.find(path);
    if (found != out_.end()) {
      found->second = digest;
    } else if (out_.size() < max_) {  // What is beyond only makes a count for people too small.
      out_.emplace(path, digest);
    }
  }

 private:
  std::map<std::string, std::uint64_t>& out_;
  const std::size_t max_;
};

std::uint64_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }
/// Of a member that is there, while its own members have their digests.
constexpr std::uint64_t kPresent = 1;

// --- the quick reader ------------------------------------------------------------------------------------------------

class TokenReader {
 public:
  TokenReader(JsonTokens& tokens, std::string_view text, Allowance& allowance, Digests digests)
      : tokens_(tokens), text_(text), allowance_(allowance), digests_(digests) {}

  bool value(const Projection& projection, json& out, std::size_t depth) {
    if (!allowance_.node(depth)) return false;
    switch (tokens_.peek()) {
      case '{':
        out = json::object();
        if (projection.keep == Keep::Everything || projection.keep == Keep::Members) {
          return object(projection, out, depth);
        }
        return tokens_.skip();
      case '[':
        out = json::array();
        if (projection.keep == Keep::Everything || projection.keep == Keep::Elements) {
          return list(projection, out, depth);
        }
        return tokens_.skip();
      case '"':
        out = std::string();
        return tokens_.take_decoded(out.get_ref<std::string&>());
      default:
        return scalar(out);
    }
  }

 private:
  bool scalar(json& out) {
    const std::size_t begin = tokens_.position();
    if (!tokens_.skip()) return false;
    out = json::parse(raw(begin), nullptr, false);
    return !out.is_discarded();
  }

  [[nodiscard]] std::string_view raw(std::size_t begin) const {
    const auto text = text_.substr(begin, tokens_.position() - begin);
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  }

  bool object(const Projection& projection, json& out, std::size_t depth) {
    if (!tokens_.enter('{')) return false;
    if (tokens_.leave('}')) return true;
    std::string decoded;
    do {
      std::string_view key;
      const std::size_t begin = tokens_.position();
      if (!tokens_.take_key(key)) {
        // A key with escapes was not taken; anything else is wrong.
        if (tokens_.position() != begin || !tokens_.take_decoded(decoded) || !tokens_.take_colon()) return false;
        key = decoded;
      }
      if (!member(projection, key, out, depth)) return false;
    } while (tokens_.take_comma());
    return tokens_.leave('}');
  }

  bool member(const Projection& projection, std::string_view key, json& out, std::size_t depth) {
    if (projection.keep == Keep::Everything) return value(projection, slot(out, key), depth + 1);
    const Projection* found = find_member(projection, key);
    if (found == nullptr && !projection.digest) return tokens_.skip();
    const std::size_t path_size = path_.size();
    path_.append("/").append(key);
    const bool has_own = found != nullptr && found->keep == Keep::Members && tokens_.peek() == '{';
    const std::size_t begin = tokens_.position();
    const bool read = found == nullptr ? tokens_.skip() : value(*found, slot(out, key), depth + 1);
    if (read && projection.digest) digests_.set(path_, has_own ? kPresent : hash_of(raw(begin)));
    path_.resize(path_size);
    return read;
  }

  static json& slot(json& out, std::string_view key) {
    json& value = out[std::string(key)];
    value = nullptr;  // of a repeated key nothing is left
    return value;
  }

  bool list(const Projection& projection, json& out, std::size_t depth) {
    const Projection& element = projection.keep == Keep::Everything ? projection : projection.members.front();
    const bool chosen = projection.keep == Keep::Elements;
    if (!tokens_.enter('[')) return false;
    if (tokens_.leave(']')) return true;
    do {
      if (is_full(projection, out)) {
        if (!tokens_.skip()) return false;
        continue;
      }
      out.push_back(nullptr);
      bool passed_over = false;
      if (chosen && !pass_over(element, depth + 1, passed_over)) return false;
      if (passed_over) continue;
      if (!value(element, out.back(), depth + 1)) return false;
      if (chosen && !is_wanted_element(element, out.back())) out.back() = nullptr;
    } while (tokens_.take_comma());
    return tokens_.leave(']');
  }

  /// Skips an element that cannot be the wanted one, before anything is built of it: of thousands of variables one is
  /// asked for. False: the walk is over.
  bool pass_over(const Projection& element, std::size_t depth, bool& passed_over) {
    if (element.name.empty()) return true;
    const auto mark = tokens_.mark();
    const std::size_t begin = tokens_.position();
    if (!tokens_.skip()) return false;
    passed_over = !may_look_like(raw(begin), element.name);
    if (passed_over) return allowance_.node(depth);
    tokens_.back_to(mark);
    return true;
  }

  JsonTokens& tokens_;
  const std::string_view text_;
  Allowance& allowance_;
  Digests digests_;
  std::string path_;
};

// --- the slow reader -------------------------------------------------------------------------------------------------

class EventReader final : public nlohmann::json_sax<json> {
 public:
  EventReader(const Projection& projection, json& out, Allowance& allowance, Digests digests)
      : allowance_(allowance), digests_(digests), next_{&projection, &out} {}

  std::string fault;

  bool null() override { return scalar(json(nullptr), "null"); }
  bool boolean(bool value) override { return scalar(json(value), value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return scalar(json(value), std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(json(value), std::to_string(value)); }
  bool number_float(number_float_t value, const string_t& text) override { return scalar(json(value), text); }
  bool string(string_t& value) override {
    digest_event(value);
    if (skipped_ > 0) return true;
    const Target target = take_target();
    if (target.out != nullptr) {
      if (!allowance_.node(frames_.size())) return false;
      *target.out = std::move(value);
    }
    return after_value();
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return start(json::object(), Keep::Members, "{"); }
  bool end_object() override { return end("}"); }
  bool start_array(std::size_t) override { return start(json::array(), Keep::Elements, "["); }
  bool end_array() override { return end("]"); }

  bool key(string_t& key) override {
    digest_event(key);
    if (skipped_ > 0) return true;
    Frame& frame = frames_.back();
    if (frame.projection->keep == Keep::Everything) {
      next_ = {frame.projection, slot(*frame.out, key)};
      return true;
    }
    const Projection* found = find_member(*frame.projection, key);
    next_ = {found, found == nullptr ? nullptr : slot(*frame.out, key)};
    path_ = frame.path + "/" + key;
    digest_next_ = frame.projection->digest;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& why) override {
    // Not why.what(): it quotes the text.
    fault = why.id == kNumberTooLarge ? "a number that no double can hold"
                                      : "not JSON: see byte " + std::to_string(position);
    return false;
  }

 private:
  /// Where the next value goes; `out` null: nowhere.
  struct Target {
    const Projection* projection = nullptr;
    json* out = nullptr;
  };
  struct Frame {
    const Projection* projection;
    json* out;
    std::string path;
  };

  static json* slot(json& out, const std::string& key) {
    json& value = out[key];
    value = nullptr;
    return &value;
  }

  Target take_target() {
    if (frames_.empty() || frames_.back().out->is_object()) return std::exchange(next_, {});
    Frame& frame = frames_.back();
    if (is_full(*frame.projection, *frame.out)) return {};
    frame.out->push_back(nullptr);
    const bool all = frame.projection->keep == Keep::Everything;
    return {all ? frame.projection : &frame.projection->members.front(), &frame.out->back()};
  }

  bool scalar(json value, std::string_view text) {
    digest_event(text);
    if (skipped_ > 0) return true;
    const Target target = take_target();
    if (target.out != nullptr) {
      if (!allowance_.node(frames_.size())) return false;
      *target.out = std::move(value);
    }
    return after_value();
  }

  bool start(json empty, Keep fitting, std::string_view bracket) {
    if (++depth_ > JsonTokens::kDepthMax) {
      fault = "nested deeper than " + std::to_string(JsonTokens::kDepthMax) + " levels";
      return false;
    }
    if (skipped_ > 0) {
      digest_event(bracket, true);
      ++skipped_;
      return true;
    }
    const Target target = take_target();
    const bool has_own = target.out != nullptr && target.projection->keep == Keep::Members && fitting == Keep::Members;
    if (digest_next_ && has_own) {
      digests_.set(path_, kPresent);
      digest_next_ = false;
    }
    digest_event(bracket, true);
    if (target.out == nullptr) {
      skipped_ = 1;
      return true;
    }
    if (!allowance_.node(frames_.size())) return false;
    *target.out = std::move(empty);
    if (target.projection->keep == Keep::Everything || target.projection->keep == fitting) {
      frames_.push_back({target.projection, target.out, path_});
    } else {
      skipped_ = 1;
    }
    return true;
  }

  bool end(std::string_view bracket) {
    --depth_;
    digest_event(bracket);
    if (skipped_ > 0) {
      if (--skipped_ > 0) return true;
    } else {
      frames_.pop_back();
    }
    return after_value();
  }

  /// A value is complete, whose container is the last frame.
  bool after_value() {
    if (digesting_ && depth_ == digest_depth_) {
      digests_.set(digest_path_, digest_);
      digesting_ = false;
    }
    if (frames_.empty()) return true;
    Frame& frame = frames_.back();
    path_ = frame.path;
    if (frame.projection->keep == Keep::Elements && frame.out->is_array() && !frame.out->empty() &&
        !is_wanted_element(frame.projection->members.front(), frame.out->back())) {
      frame.out->back() = nullptr;
    }
    return true;
  }

  void digest_event(std::string_view text, bool opens = false) {
    if (std::exchange(digest_next_, false)) {
      digesting_ = true;
      digest_depth_ = depth_ - (opens ? 1 : 0);  // an opening bracket has counted already
      digest_path_ = path_;
      digest_ = 0;
    }
    if (digesting_) digest_ = (digest_ * 1099511628211ull) ^ hash_of(text);
  }

  Allowance& allowance_;
  Digests digests_;
  Target next_;
  std::vector<Frame> frames_;
  std::size_t depth_ = 0;    ///< Of the text.
  std::size_t skipped_ = 0;  ///< Containers around that nothing is kept of.
  std::string path_;         ///< Of the member that comes or came.
  bool digest_next_ = false;
  bool digesting_ = false;
  std::size_t digest_depth_ = 0;
  std::string digest_path_;
  std::uint64_t digest_ = 0;
};

Error invalid(std::string message) { return {ErrorCode::InvalidInput, std::move(message)}; }

}  // namespace

Projection keep_all(std::string name) { return {std::move(name), Keep::Everything, {}, false, 0}; }

Projection keep_members(std::string name, std::vector<Projection> members) {
  return {std::move(name), Keep::Members, std::move(members), false, 0};
}

Projection keep_and_digest(std::string name, std::vector<Projection> members) {
  return {std::move(name), Keep::Members, std::move(members), true, 0};
}

Projection keep_elements(std::string name, Projection element) {
  return {std::move(name), Keep::Elements, {std::move(element)}, false, 0};
}

Projection keep_first(std::string name, std::size_t elements_max) {
  return {std::move(name), Keep::Elements, {keep_all()}, false, elements_max};
}

JsonProjector::JsonProjector(std::string_view text) : text_(text) {
  if (text_.size() > kIndexedBytesMax) return;
  tokens_ = std::make_unique<JsonTokens>();
  if (!tokens_->start(text_)) tokens_.reset();
}

JsonProjector::~JsonProjector() = default;

Result<json> JsonProjector::project(const Projection& projection, const ProjectionLimits& limits) {
  if (tokens_) {
    digests_.clear();
    Allowance allowance(limits);
    json out;
    tokens_->rewind();
    TokenReader reader(*tokens_, text_, allowance, Digests(digests_, limits));
    if (reader.value(projection, out, 0) && tokens_->ended()) return out;
    // A limit is broken by JSON only; whether it is, the slow reader knows.
    tokens_.reset();
  }
  digests_.clear();
  Allowance allowance(limits);
  json out;
  EventReader reader(projection, out, allowance, Digests(digests_, limits));
  if (json::sax_parse(text_, &reader)) return out;
  return invalid(allowance.fault.empty() ? reader.fault : allowance.fault);
}

Result<json> project_json(std::string_view text, const Projection& projection, const ProjectionLimits& limits) {
  return JsonProjector(text).project(projection, limits);
}

}  // namespace gate
