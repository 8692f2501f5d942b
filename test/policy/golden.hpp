#pragma once
// Texts as people meet them, kept in files as a whole and compared word by word. A text that changed on purpose is
// replaced by what a run that fails leaves in the build folder.

#include <doctest/doctest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace gate::test {

inline constexpr std::size_t kColumns = 80;

/// As a terminal of 80 columns shows it, but that words stay whole.
inline std::string wrapped(const std::string& text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string row;
    for (std::string word; words >> word;) {
      if (!row.empty() && row.size() + 1 + word.size() > kColumns) {
        out += row + "\n";
        row.clear();
      }
      row += (row.empty() ? "" : " ") + word;
    }
    out += row + "\n";
  }
  return out;
}

/// Compares `texts` (name and text) with the file `expected`; leaves `actual` where they differ.
inline void check_texts(const std::vector<std::pair<std::string, std::string>>& texts, const char* expected,
                        const char* actual) {
  std::string all;
  for (const auto& [name, text] : texts) all += "== " + name + "\n" + wrapped(text) + "\n";
  std::ifstream file(expected);
  REQUIRE(file);
  const bool same = all == std::string{std::istreambuf_iterator<char>(file), {}};
  CHECK_MESSAGE(same, all);
  if (!same) std::ofstream(actual) << all;
}

}  // namespace gate::test
