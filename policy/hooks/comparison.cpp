#include "policy/hooks/comparison.hpp"

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>

namespace gate {
namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  // from_chars would read "inf" and "nan", which are words here.
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::partial_ordering order(std::string_view left, std::string_view right) {
  // Whole numbers by themselves: journal and tablet ids are larger than a double is exact.
  const auto left_whole = number_in<std::int64_t>(left);
  const auto right_whole = number_in<std::int64_t>(right);
  if (left_whole && right_whole) return *left_whole <=> *right_whole;
  const auto left_number = number_in<double>(left);
  const auto right_number = number_in<double>(right);
  if (left_number && right_number) return *left_number <=> *right_number;
  return left <=> right;
}

}  // namespace

bool satisfies(std::string_view observed, Comparison comparison, std::string_view wanted) {
  const auto found = order(observed, wanted);
  switch (comparison) {
    case Comparison::Equal:
      return std::is_eq(found);
    case Comparison::NotEqual:
      return std::is_neq(found);
    case Comparison::Less:
      return std::is_lt(found);
    case Comparison::LessOrEqual:
      return std::is_lteq(found);
    case Comparison::Greater:
      return std::is_gt(found);
    case Comparison::GreaterOrEqual:
      return std::is_gteq(found);
  }
  return false;
}

}  // namespace gate
