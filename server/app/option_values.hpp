#pragma once
// Kinds of values that options of several commands have: one form, one refusal and one line of help for each.

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <map>
#include <string>

namespace gate {

/// A word for a value. Without the list that CLI11 would add to the help: the type's name is the list.
template <class Value>
CLI::Validator one_of(const std::map<std::string, Value>& words) {
  // CheckedTransformer alone would accept the number of the enumerator, too.
  return (CLI::IsMember(words, CLI::ignore_case) & CLI::Transformer(words, CLI::ignore_case)).description("");
}

inline void add_output(CLI::App& command, bool& json) {
  command.add_option("-o,--output", json, "Output format")
      ->transform(one_of(std::map<std::string, bool>{{"text", false}, {"json", true}}))
      ->type_name("text|json")
      ->default_str("text");
}

/// As people write it: "300ms", "90s", "10m", "6h".
inline std::string duration_word(std::chrono::milliseconds duration) {
  using std::chrono::milliseconds;
  if (duration == milliseconds::zero()) return "0s";
  if (duration % std::chrono::hours(1) == milliseconds::zero())
    return std::to_string(duration / std::chrono::hours(1)) + "h";
  if (duration % std::chrono::minutes(1) == milliseconds::zero())
    return std::to_string(duration / std::chrono::minutes(1)) + "m";
  if (duration % std::chrono::seconds(1) == milliseconds::zero())
    return std::to_string(duration / std::chrono::seconds(1)) + "s";
  return std::to_string(duration.count()) + "ms";
}

/// "300ms", "5s", "10m", "2h", between `least` and `most`; the text of `target` as it is now is the default.
template <class Duration>
CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& target, const std::string& help,
                          std::chrono::seconds least, std::chrono::seconds most) {
  const auto parse = [&target, name, least, most](const std::string& text) {
    long long number = 0;
    const auto [unit, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string suffix(unit, text.data() + text.size());
    const std::map<std::string, std::chrono::milliseconds> units{{"ms", std::chrono::milliseconds(1)},
                                                                 {"s", std::chrono::seconds(1)},
                                                                 {"m", std::chrono::minutes(1)},
                                                                 {"h", std::chrono::hours(1)}};
    const auto found = units.find(suffix);
    const auto range = duration_word(least) + " to " + duration_word(most);
    // A day's milliseconds times any number of this size still fits; larger numbers are out of range anyway.
    if (error != std::errc{} || found == units.end() || number < 0 || number > 100'000'000) {
      throw CLI::ValidationError(name,
                                 "\"" + text + "\" is not a duration: want a number with ms, s, m or h, from " + range);
    }
    const auto value = found->second * number;
    if (value < least || value > most)
      throw CLI::ValidationError(name, "\"" + text + "\" is out of range: want " + range);
    target = std::chrono::duration_cast<Duration>(value);
  };
  return app.add_option_function<std::string>(name, parse, help)
      ->type_name("DURATION")
      ->default_str(duration_word(std::chrono::duration_cast<std::chrono::milliseconds>(target)));
}

}  // namespace gate
