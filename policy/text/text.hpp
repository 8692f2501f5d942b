#pragma once
// Foreign text (SQL errors, names from requests) made safe to show.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gate {

/// Cap for one piece of foreign text inside a message.
inline constexpr std::size_t kForeignTextMax = 300;
/// A warning longer than this may be cut by the API server (k8s.io/apiserver endpoints/filters/warning.go).
inline constexpr std::size_t kWarningMax = 120;

/// Control characters become spaces, also those that reorder text; invalid UTF-8 becomes U+FFFD. Nothing else changes.
[[nodiscard]] std::string printable_text(std::string_view foreign);

/// Printable, and cut at a character boundary: a name (room for less than 60 characters) at its end, with "..."; a
/// longer text in its middle, with " ... ": its beginning says what happened, its end the cause. Nothing is left that
/// Flux reads as an immutable-field error (fluxcd/pkg ssa/errors/immutable.go: the regexes
/// `.*is\simmutable.*` and `.*immutable\sfield.*`), on which it may delete and recreate the object.
[[nodiscard]] std::string clean_text(std::string_view foreign, std::size_t characters_max = kForeignTextMax);

/// The names of a list with commas, without the blanks and line ends around them; empty ones are left out.
[[nodiscard]] std::vector<std::string> split_names(std::string_view list);

/// A shorter secret is not looked for: it is part of many words, and what is hidden there would tell it.
inline constexpr std::size_t kHiddenSecretMin = 4;
/// `text` with "(hidden)" wherever it repeats one of `secrets`. Before clean_text(), which may cut one in its middle.
[[nodiscard]] std::string without_secrets(std::string text, const std::vector<std::string>& secrets);

}  // namespace gate
