#pragma once
// Answers of the API server that are taken apart while they arrive, so that no more than one object is held.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "policy/json/json_strings.hpp"

namespace gate {

/// Splits a stream of JSON lines; a line above the limit breaks the stream.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  /// False when `on_line` says stop or a line is too long.
  template <class OnLine>
  bool feed(std::string_view data, OnLine on_line) {
    while (!data.empty()) {
      const auto end = data.find('\n');
      if (held_.size() + data.substr(0, end).size() > line_bytes_max_) return false;
      held_ += data.substr(0, end);
      if (end == std::string_view::npos) return true;
      data.remove_prefix(end + 1);
      const std::string line = std::exchange(held_, {});
      if (!line.empty() && !on_line(line)) return false;
    }
    return true;
  }

 private:
  const std::size_t line_bytes_max_;
  std::string held_;
};

/// Takes a List apart while it arrives: its items one by one, and the rest, in which the items are missing.
class ListSplitter {
 public:
  explicit ListSplitter(std::size_t item_bytes_max) : item_bytes_max_(item_bytes_max) {}

  /// False when `on_item` says stop, or something is too large.
  template <class OnItem>
  bool feed(std::string_view data, OnItem on_item) {
    for (const char c : data) {
      if (in_items_ && depth_ == 2 && !strings_.inside() && (c == ',' || c == ']')) {
        if (!hand_over(on_item)) return false;
        in_items_ = c != ']';
        if (in_items_) continue;
      }
      track(c);
      (in_items_ && !std::exchange(began_, false) ? item_ : frame_) += c;
      if (item_.size() > item_bytes_max_ || frame_.size() > kFrameBytesMax) return false;
    }
    return true;
  }

  /// The list with empty items.
  [[nodiscard]] const std::string& frame() const { return frame_; }

 private:
  static constexpr std::size_t kFrameBytesMax = 64u << 10;

  void track(char c) {
    if (!strings_.is_outside(c)) return;
    if (c == '{' || c == '[') {
      ++depth_;
      if (c == '[' && depth_ == 2 && is_items()) in_items_ = began_ = true;
    }
    if ((c == '}' || c == ']') && depth_ > 0) --depth_;
  }

  /// Whether the key in front of the value that begins is "items".
  [[nodiscard]] bool is_items() const {
    const auto colon = frame_.find_last_not_of(" \t\r\n");
    if (colon == std::string::npos || frame_[colon] != ':' || colon == 0) return false;
    const auto quote = frame_.find_last_not_of(" \t\r\n", colon - 1);
    return quote != std::string::npos && std::string_view(frame_).substr(0, quote + 1).ends_with("\"items\"");
  }

  template <class OnItem>
  bool hand_over(OnItem on_item) {
    const bool blank = item_.find_first_not_of(" \t\r\n") == std::string::npos;
    const bool going = blank || on_item(item_);
    item_.clear();
    if (item_.capacity() > kFrameBytesMax) item_.shrink_to_fit();
    return going;
  }

  const std::size_t item_bytes_max_;
  std::string frame_;
  std::string item_;
  std::size_t depth_ = 0;
  JsonStrings strings_;
  bool in_items_ = false;
  bool began_ = false;  ///< The bracket of the items is the current character.
};

}  // namespace gate
