#pragma once
// The fields of a JSON object that the gate writes and reads again. A function that takes "the fields" and a value
// lists each field once; with a FieldWriter it writes them, with a FieldReader it reads them. A reader leaves what is
// absent or null as it is, so defaults are those of the value's type; of what is missing or has a wrong type it
// remembers the first, with its path. Neither throws for the shape of what is read.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "policy/text/time.hpp"

namespace gate {

class FieldWriter {
 public:
  static constexpr bool kReads = false;
  /// Writes into `object`, which outlives this.
  explicit FieldWriter(nlohmann::json& object) : object_(object) {}

  void required(const char* key, std::string_view value) { object_[key] = value; }
  /// Left out when empty.
  void text(const char* key, std::string_view value) {
    if (!value.empty()) object_[key] = value;
  }
  void always(const char* key, bool value) { object_[key] = value; }
  void always(const char* key, const std::string& value) { object_[key] = value; }
  void always(const char* key, int value) { object_[key] = value; }
  void always(const char* key, std::chrono::seconds value) { object_[key] = value.count(); }
  void bounded(const char* key, int value, int, int) { object_[key] = value; }
  /// Left out when it is the default.
  template <class T>
  void unless(const char* key, const T& value, const T& fallback) {
    if (value != fallback) always(key, value);
  }
  void time(const char* key, const std::optional<WallTime>& value) {
    if (value) object_[key] = format_time(*value);
  }
  /// Left out when its name is empty.
  template <class Enum, class From>
  void one_of(const char* key, Enum value, const From&, const char* = "") {
    text(key, to_string(value));
  }
  template <class Enum, class From>
  void one_of_unless(const char* key, Enum value, Enum fallback, const From& from) {
    if (value != fallback) one_of(key, value, from);
  }
  template <class Enum, class From>
  void each_of(const char* key, const std::vector<Enum>& values, const From&, const char* = "") {
    nlohmann::json& out = object_[key] = nlohmann::json::array();
    for (const Enum value : values) out.push_back(to_string(value));
  }
  template <class Enum, class From>
  void each_of_unless_empty(const char* key, const std::vector<Enum>& values, const From& from, const char* = "") {
    if (!values.empty()) each_of(key, values, from);
  }
  void texts(const char* key, const std::vector<std::string>& values) {
    if (!values.empty()) object_[key] = values;
  }
  template <class T, class Each>
  void list(const char* key, const std::vector<T>& values, const Each& each) {
    nlohmann::json& out = object_[key] = nlohmann::json::array();
    for (const T& value : values) {
      nlohmann::json item = nlohmann::json::object();
      FieldWriter fields(item);
      each(fields, value);
      out.push_back(std::move(item));
    }
  }
  template <class T, class Each>
  void list_unless_empty(const char* key, const std::vector<T>& values, const Each& each) {
    if (!values.empty()) list(key, values, each);
  }
  template <class Fields>
  void child(const char* key, const Fields& fields_of_child) {
    nlohmann::json item = nlohmann::json::object();
    FieldWriter fields(item);
    fields_of_child(fields);
    object_[key] = std::move(item);
  }
  /// Left out unless `present`; a reader reads it whether or not.
  template <class Fields>
  void child_if(bool present, const char* key, const Fields& fields_of_child) {
    if (present) child(key, fields_of_child);
  }
  template <class T, class Each>
  void optional_child(const char* key, const std::optional<T>& value, const Each& each) {
    if (value) child(key, [&](FieldWriter& fields) { each(fields, *value); });
  }

 private:
  nlohmann::json& object_;
};

class FieldReader {
 public:
  static constexpr bool kReads = true;
  /// `object` and `fault` outlive this; `fault` is empty as long as nothing is wrong.
  FieldReader(const nlohmann::json& object, std::string path, std::string& fault)
      : object_(object), path_(std::move(path)), fault_(fault) {
    if (!object_.is_object()) fail("", "an object");
  }

  void required(const char* key, std::string& value) {
    const nlohmann::json* field = find(key);
    if (field == nullptr || !field->is_string()) return fail(key, "a string");
    value = field->get<std::string>();
  }
  void text(const char* key, std::string& value) {
    if (has(key)) required(key, value);
  }
  void always(const char* key, std::string& value) { text(key, value); }
  void always(const char* key, bool& value) {
    const nlohmann::json* field = find(key);
    if (field == nullptr || field->is_null()) return;
    if (!field->is_boolean()) return fail(key, "true or false");
    value = field->get<bool>();
  }
  void always(const char* key, int& value) {
    const nlohmann::json* field = find(key);
    if (field == nullptr || field->is_null()) return;
    const bool fits = field->is_number_unsigned()
                          ? field->get<std::uint64_t>() <= std::numeric_limits<int>::max()
                          : field->is_number_integer() && field->get<std::int64_t>() >= std::numeric_limits<int>::min();
    if (!fits) return fail(key, "an integer of 32 bits");
    value = field->get<int>();
  }
  /// From `least` to `most`.
  void bounded(const char* key, int& value, int least, int most) {
    int read = value;
    always(key, read);
    if (read < least || read > most) {
      return fail(key, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
    }
    value = read;
  }
  void always(const char* key, std::chrono::seconds& value) {
    int seconds = static_cast<int>(value.count());
    always(key, seconds);
    value = std::chrono::seconds(seconds);
  }
  template <class T>
  void unless(const char* key, T& value, const std::type_identity_t<T>&) {
    always(key, value);
  }
  void time(const char* key, std::optional<WallTime>& value) {
    std::string written;
    text(key, written);
    if (written.empty()) return;
    value = parse_time(written);
    if (!value) fail(key, "an RFC 3339 time");
  }
  template <class Enum, class From>
  void one_of(const char* key, Enum& value, const From& from, const char* accepted = "") {
    std::string written;
    text(key, written);
    if (written.empty()) return;
    const std::optional<Enum> read = from(written);
    if (read) {
      value = *read;
    } else {
      fail(key, *accepted == '\0' ? "a known value, not \"" + written + "\"" : accepted);
    }
  }
  template <class Enum, class From>
  void one_of_unless(const char* key, Enum& value, std::type_identity_t<Enum>, const From& from) {
    one_of(key, value, from);
  }
  template <class Enum, class From>
  void each_of(const char* key, std::vector<Enum>& values, const From& from, const char* accepted = "known values") {
    if (has(key)) values.clear();
    each(key, [&](const nlohmann::json& element, const std::string&) {
      const std::optional<Enum> read = element.is_string() ? from(element.get<std::string>()) : std::nullopt;
      if (!read) return fail(key, accepted);
      values.push_back(*read);
    });
  }
  template <class Enum, class From>
  void each_of_unless_empty(const char* key, std::vector<Enum>& values, const From& from,
                            const char* accepted = "known values") {
    each_of(key, values, from, accepted);
  }
  void texts(const char* key, std::vector<std::string>& values) {
    each(key, [&](const nlohmann::json& element, const std::string&) {
      if (!element.is_string()) return fail(key, "an array of strings");
      values.push_back(element.get<std::string>());
    });
  }
  template <class T, class Each>
  void list(const char* key, std::vector<T>& values, const Each& fields_of_element) {
    each(key, [&](const nlohmann::json& element, const std::string& path) {
      FieldReader fields(element, path, fault_);
      fields_of_element(fields, values.emplace_back());
    });
  }
  template <class T, class Each>
  void list_unless_empty(const char* key, std::vector<T>& values, const Each& fields_of_element) {
    list(key, values, fields_of_element);
  }
  /// An absent child is read as an empty object: what it requires is missing then.
  template <class Fields>
  void child(const char* key, const Fields& fields_of_child) {
    static const nlohmann::json kEmpty = nlohmann::json::object();
    const nlohmann::json* field = find(key);
    FieldReader fields(field == nullptr || field->is_null() ? kEmpty : *field, path_ + "." + key, fault_);
    fields_of_child(fields);
  }
  template <class Fields>
  void child_if(bool, const char* key, const Fields& fields_of_child) {
    if (has(key)) child(key, fields_of_child);
  }
  template <class T, class Each>
  void optional_child(const char* key, std::optional<T>& value, const Each& fields_of_child) {
    if (has(key)) child(key, [&](FieldReader& fields) { fields_of_child(fields, value.emplace()); });
  }

  [[nodiscard]] bool has(const char* key) const {
    const nlohmann::json* field = find(key);
    return field != nullptr && !field->is_null();
  }
  void fail(const char* key, const std::string& accepted) {
    if (!fault_.empty()) return;
    fault_ = path_ + (*key == '\0' ? "" : ".") + key + ": expected " + accepted;
  }

 private:
  [[nodiscard]] const nlohmann::json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto field = object_.find(key);
    return field == object_.end() ? nullptr : &*field;
  }
  /// Calls `use(element, path)` for every element of an optional array.
  template <class Use>
  void each(const char* key, const Use& use) {
    const nlohmann::json* field = find(key);
    if (field == nullptr || field->is_null()) return;
    if (!field->is_array()) return fail(key, "an array");
    for (std::size_t i = 0; i < field->size(); ++i) {
      use((*field)[i], path_ + "." + key + "[" + std::to_string(i) + "]");
    }
  }

  const nlohmann::json& object_;
  std::string path_;
  std::string& fault_;
};

}  // namespace gate
