#pragma once
// What a server says before it has shown who it is. Anybody may be at that address: what is read of it is counted on
// its way from the socket, and looked at once. Nothing here blocks, or talks to anybody.

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace gate {

/// What a server may still send in one library call. The library stores a column, or a whole list of them, before
/// anybody can look at it: so it is counted before. Of one thread.
class AnswerMeter {
 public:
  void allow(std::size_t bytes, std::size_t packets) {
    bytes_left_ = bytes;
    packets_left_ = packets;
  }
  void allow_packets(std::size_t packets) { packets_left_ = packets; }
  /// The next bytes, cut wherever they were. False: it is too much, and stays so.
  [[nodiscard]] bool count(std::string_view bytes);
  [[nodiscard]] bool spent() const { return spent_; }

 private:
  std::size_t bytes_left_ = 0;
  std::size_t packets_left_ = 0;
  std::size_t body_left_ = 0;              ///< Of the packet that is arriving.
  std::array<unsigned char, 4> header_{};  ///< 3 bytes of size, the sequence number.
  std::size_t header_size_ = 0;
  bool spent_ = false;
};

/// The login plugin that the server wants, out of its greeting and what it answered to the user name; empty: it named
/// none. Fit for a message.
[[nodiscard]] std::string wanted_login_plugin(std::string_view heard);

}  // namespace gate
