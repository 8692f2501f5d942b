#include "policy/versions/image_reference.hpp"

#include <algorithm>
#include <array>

#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_small(char c) { return (c >= 'a' && c <= 'z') || is_digit(c); }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_separator(char c) { return c == '.' || c == '_' || c == '-'; }
bool is_tag_character(char c) { return is_small(c) || is_capital(c) || is_separator(c); }

/// `at` is in `text`; what is not ASCII is named whole.
std::string character(std::string_view text, std::string_view::const_iterator at) {
  if (const auto odd = first_odd_character(text)) return odd->name;
  return "the character '" + std::string(1, *at) + "'";
}

std::string tag_fault(std::string_view tag) {
  constexpr std::size_t kTagLengthMax = 128;
  if (tag.empty()) return "an empty tag";
  if (tag.size() > kTagLengthMax) return "a tag of more than " + std::to_string(kTagLengthMax) + " characters";
  if (tag[0] == '.' || tag[0] == '-') return "a tag that begins with '" + std::string(1, tag[0]) + "'";
  const auto odd = std::find_if_not(tag.begin(), tag.end(), is_tag_character);
  return odd == tag.end() ? "" : character(tag, odd) + " in its tag";
}

/// Runtimes know these three.
std::string digest_fault(std::string_view digest) {
  struct Algorithm {
    std::string_view name;
    std::size_t digits;
  };
  constexpr std::array kAlgorithms{Algorithm{"sha256", 64}, Algorithm{"sha384", 96}, Algorithm{"sha512", 128}};
  if (digest.empty()) return "an empty digest";
  const auto colon = digest.find(':');
  const auto known = std::find_if(kAlgorithms.begin(), kAlgorithms.end(), [&](const Algorithm& algorithm) {
    return colon != std::string_view::npos && algorithm.name == digest.substr(0, colon);
  });
  if (known == kAlgorithms.end()) return "a digest that does not begin with sha256:, sha384: or sha512:";
  const auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
  const auto hex = digest.substr(colon + 1);
  if (hex.size() != known->digits || !std::all_of(hex.begin(), hex.end(), is_hex)) {
    return "a digest without the " + std::to_string(known->digits) + " digits (0-9, a-f) of " +
           std::string(known->name);
  }
  return "";
}

std::string host_fault(std::string_view host) {
  constexpr std::size_t kPortDigitsMax = 5;
  constexpr int kPortMax = 65535;
  const auto bracket = host.starts_with('[') ? host.find(']') : 0;
  if (bracket == std::string_view::npos) return "'[' without ']' in its registry";
  const auto colon = host.find(':', bracket);
  const auto name = host.substr(0, colon);
  if (name.empty()) return "an empty registry";
  if (colon != std::string_view::npos) {
    const auto port = host.substr(colon + 1);
    const bool digits =
        !port.empty() && port.size() <= kPortDigitsMax && std::all_of(port.begin(), port.end(), is_digit);
    if (!digits || std::stoi(std::string(port)) > kPortMax) return "a registry whose port is no number up to 65535";
  }
  if (bracket != 0) {
    const auto address = name.substr(1, bracket - 1);
    const bool plain = address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
    if (address.empty() || !plain || name.size() != bracket + 1)
      return "a registry that is no IPv6 address in brackets";
    return "";
  }
  const auto odd = std::find_if_not(name.begin(), name.end(),
                                    [](char c) { return is_small(c) || is_capital(c) || c == '.' || c == '-'; });
  if (odd != name.end()) return character(name, odd) + " in its registry";
  const auto is_edge = [](char c) { return is_small(c) || is_capital(c); };
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool first = i == 0 || name[i - 1] == '.';
    const bool last = i + 1 == name.size() || name[i + 1] == '.';
    if ((first || last) && !is_edge(name[i])) return "a registry with a part that begins or ends with '.' or '-'";
  }
  return "";
}

/// Of what follows the registry: parts of letters and digits, joined by ".", "_", "__" or dashes.
std::string path_fault(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/' || path.find("//") != std::string_view::npos) {
    return "an empty part in its repository";
  }
  if (std::any_of(path.begin(), path.end(), is_capital)) return "capital letters in its repository";
  const auto odd =
      std::find_if_not(path.begin(), path.end(), [](char c) { return c == '/' || is_small(c) || is_separator(c); });
  if (odd != path.end()) return character(path, odd) + " in its repository";
  for (std::size_t i = 0; i < path.size();) {
    if (!is_separator(path[i])) {
      ++i;
      continue;
    }
    const auto end = std::min(path.find_first_not_of("._-", i), path.size());
    const auto run = path.substr(i, end - i);
    const bool dashes = run.find_first_not_of('-') == std::string_view::npos;
    const bool inside = i > 0 && path[i - 1] != '/' && end < path.size() && path[end] != '/';
    if (!inside) return "a part that begins or ends with '" + std::string(run) + "' in its repository";
    if (!dashes && run != "." && run != "_" && run != "__") return "'" + std::string(run) + "' in its repository";
    i = end;
  }
  return "";
}

std::string repository_fault(std::string_view repository) {
  constexpr std::size_t kRepositoryLengthMax = 255;
  // The registry's host is told from the first folder as container runtimes do.
  const auto slash = repository.find('/');
  const auto first = repository.substr(0, slash);
  const bool host =
      slash != std::string_view::npos && (first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
                                          std::any_of(first.begin(), first.end(), is_capital));
  if (host) {
    if (auto fault = host_fault(first); !fault.empty()) return fault;
  }
  if (auto fault = path_fault(host ? repository.substr(slash + 1) : repository); !fault.empty()) return fault;
  if (repository.size() <= kRepositoryLengthMax) return "";
  return "a repository of more than " + std::to_string(kRepositoryLengthMax) + " characters";
}

}  // namespace

std::string image_fault(std::string_view image) {
  if (image.find_first_of(" \t\r\n") != std::string_view::npos) return "white space";
  if (const auto odd = first_confusing_character(image)) return odd->name;
  if (const auto scheme = image.find("://"); scheme != std::string_view::npos) {
    return "a scheme (" + clean_text(image.substr(0, scheme + 3), 12) + ")";
  }
  const auto at = image.find('@');
  const auto named = image.substr(0, at);
  const auto slash = named.rfind('/');
  const auto colon = named.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon != std::string_view::npos) {
    if (auto fault = tag_fault(named.substr(colon + 1)); !fault.empty()) return fault;
  }
  if (auto fault = repository_fault(named.substr(0, colon)); !fault.empty()) return fault;
  return at == std::string_view::npos ? "" : digest_fault(image.substr(at + 1));
}

}  // namespace gate
