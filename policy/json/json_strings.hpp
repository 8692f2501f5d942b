#pragma once
// Where the strings of a JSON text are, while it is read byte by byte.

namespace gate {

/// For one text, or several one after the other; not thread safe.
class JsonStrings {
 public:
  /// Takes the next byte. True: it is part of no string, so that a bracket is a bracket.
  [[nodiscard]] bool is_outside(char c) {
    if (!inside_) {
      inside_ = c == '"';
      return !inside_;
    }
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      inside_ = false;
    }
    return false;
  }
  /// After the bytes so far.
  [[nodiscard]] bool inside() const { return inside_; }

 private:
  bool inside_ = false;
  bool escaped_ = false;
};

}  // namespace gate
