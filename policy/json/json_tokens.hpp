#pragma once
// JSON text, walked token by token and validated, while nothing is built of it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gate {

/// A walk over one text. What is asked for is taken if it is next: true. What is walked to the end is a text that every
/// JSON parser accepts and reads alike (RFC 8259); not every such text is: no escapes in texts that are taken, no
/// surrogates, no exponents, no numbers of more than 17 digits, no nesting deeper than kDepthMax.
/// Not thread safe. Views point into the text, which the caller keeps until the walk is over.
class JsonTokens {
 public:
  static constexpr std::size_t kDepthMax = 128;

  JsonTokens();
  ~JsonTokens();
  JsonTokens(const JsonTokens&) = delete;
  JsonTokens& operator=(const JsonTokens&) = delete;

  /// Finds the tokens of `text`, and reads nothing behind it. False if it is no UTF-8, or its strings are not JSON's.
  [[nodiscard]] bool start(std::string_view text);
  /// Back to the first token of a text that start() has taken.
  void rewind();
  /// A place in the walk over this text.
  struct Mark {
    const std::uint32_t* next = nullptr;
    std::size_t depth = 0;
  };
  [[nodiscard]] Mark mark() const { return {next_, depth_}; }
  /// Back to where mark() was called since start().
  void back_to(const Mark& mark) {
    next_ = mark.next;
    depth_ = mark.depth;
  }
  /// Nothing is left.
  [[nodiscard]] bool ended() const { return next_ == end_; }

  [[nodiscard]] bool take_null() { return take_literal("null"); }
  [[nodiscard]] bool take_bool() { return take_literal("true") || take_literal("false"); }
  [[nodiscard]] bool take_text(std::string_view& text);
  /// "{" or "[": one level deeper.
  [[nodiscard]] bool enter(char bracket);
  /// "}" or "]".
  [[nodiscard]] bool leave(char bracket);
  [[nodiscard]] bool take_comma() { return take(','); }
  [[nodiscard]] bool take_colon() { return take(':'); }
  /// A key and its colon. The walk is over if it is false.
  [[nodiscard]] bool take_key(std::string_view& key);
  /// A value, whatever it is. The walk is over if it is false.
  [[nodiscard]] bool skip();
  /// The first character of the next token; NUL at the end.
  [[nodiscard]] char peek() const { return ended() ? '\0' : text_[*next_]; }
  /// A text with its escapes resolved.
  [[nodiscard]] bool take_decoded(std::string& text);
  /// Where in the text the next token begins; the text's size at the end.
  [[nodiscard]] std::size_t position() const { return ended() ? text_.size() : *next_; }

  /// Memory that was written to and is kept for the next text.
  [[nodiscard]] std::size_t bytes_kept() const { return bytes_kept_; }

 private:
  struct Finder;

  bool take(char token);
  bool take_literal(std::string_view literal);
  [[nodiscard]] bool is_scalar(std::size_t begin) const;

  std::unique_ptr<Finder> finder_;
  std::string_view text_;
  const std::uint32_t* first_ = nullptr;  ///< Where tokens begin in text_: the finder's.
  const std::uint32_t* next_ = nullptr;
  const std::uint32_t* end_ = nullptr;
  std::size_t depth_ = 0;
  std::size_t bytes_kept_ = 0;
};

}  // namespace gate
