#pragma once

// What a failing check shows of values that doctest cannot print by itself: it would say {?} of them. Included before
// everything else in every test (test/CMakeLists.txt), so that all of a program agree on it.

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <ostream>
#include <ranges>
#include <utility>

namespace gate::test {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

template <typename T>
concept PrintedRange = std::ranges::forward_range<const T> && !Printable<T>;

}  // namespace gate::test

namespace doctest {

namespace detail {
/// A row's name is a const char* in many tables, of which doctest shows the address. Its own switch for it
/// (DOCTEST_CONFIG_TREAT_CHAR_STAR_AS_STRING) does not compile in 2.4.9, which Debian 12 has.
template <>
struct filldata<const char*> {
  static void fill(std::ostream* out, const char* text) { *out << (text == nullptr ? "nullptr" : text); }
};
}  // namespace detail

template <typename First, typename Second>
struct StringMaker<std::pair<First, Second>> {
  static String convert(const std::pair<First, Second>& value) {
    return toString(value.first) + ": " + toString(value.second);
  }
};

template <typename T>
struct StringMaker<std::optional<T>> {
  static String convert(const std::optional<T>& value) { return value ? toString(*value) : String("nothing"); }
};

template <typename T>
struct StringMaker<std::atomic<T>> {
  static String convert(const std::atomic<T>& value) { return toString(value.load()); }
};

/// Vectors, sets, maps, arrays.
template <typename T>
requires gate::test::PrintedRange<T>
struct StringMaker<T> {
  static String convert(const T& values) {
    String out("{");
    bool first = true;
    for (const std::ranges::range_value_t<const T>& value : values) {
      out += first ? "" : ", ";
      out += toString(value);
      first = false;
    }
    return out + "}";
  }
};

}  // namespace doctest
