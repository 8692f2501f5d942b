#include "policy/versions/image_reference.hpp"

#include <algorithm>

#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

bool is_repository_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}
bool is_tag_character(char c) { return is_repository_character(c) || (c >= 'A' && c <= 'Z'); }

std::string character(char c) { return "the character '" + std::string(1, c) + "'"; }

std::string tag_fault(std::string_view tag) {
  constexpr std::size_t kTagLengthMax = 128;
  if (tag.empty()) return "an empty tag";
  if (tag.size() > kTagLengthMax) return "a tag of more than " + std::to_string(kTagLengthMax) + " characters";
  if (tag[0] == '.' || tag[0] == '-') return "a tag that begins with '" + std::string(1, tag[0]) + "'";
  const auto odd = std::find_if_not(tag.begin(), tag.end(), is_tag_character);
  return odd == tag.end() ? "" : character(*odd) + " in its tag";
}

std::string repository_fault(std::string_view repository) {
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  // The registry's host is told from the first folder as container runtimes do.
  const auto slash = repository.find('/');
  const auto first = repository.substr(0, slash);
  const bool host =
      slash != std::string_view::npos && (first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
                                          std::any_of(first.begin(), first.end(), is_capital));
  if (host) {
    const auto odd = std::find_if_not(first.begin(), first.end(),
                                      [](char c) { return is_tag_character(c) || c == ':' || c == '[' || c == ']'; });
    if (odd != first.end()) return character(*odd) + " in its repository";
  }
  const auto path = host ? repository.substr(slash + 1) : repository;
  if (path.empty() || path.front() == '/' || path.back() == '/' || path.find("//") != std::string_view::npos) {
    return "an empty part in its repository";
  }
  if (std::any_of(path.begin(), path.end(), is_capital)) return "capital letters in its repository";
  const auto odd =
      std::find_if_not(path.begin(), path.end(), [](char c) { return c == '/' || is_repository_character(c); });
  return odd == path.end() ? "" : character(*odd) + " in its repository";
}

}  // namespace

std::string image_fault(std::string_view image) {
  if (image.find_first_of(" \t\r\n") != std::string_view::npos) return "white space";
  if (const auto odd = first_confusing_character(image)) return odd->name;
  if (const auto scheme = image.find("://"); scheme != std::string_view::npos) {
    return "a scheme (" + clean_text(image.substr(0, scheme + 3), 12) + ")";
  }
  const auto at = image.find('@');
  if (at != std::string_view::npos && at + 1 == image.size()) return "an empty digest";
  const auto named = image.substr(0, at);
  const auto slash = named.rfind('/');
  const auto colon = named.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon != std::string_view::npos) {
    if (auto fault = tag_fault(named.substr(colon + 1)); !fault.empty()) return fault;
  }
  return repository_fault(named.substr(0, colon));
}

}  // namespace gate
