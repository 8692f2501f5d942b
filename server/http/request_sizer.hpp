#pragma once
// When is it worth to start reading a request?

#include <cstddef>
#include <string_view>

#include "server/http/http_server.hpp"

namespace gate::http {

/// A request of at most this size, headers included, waits in its connection's buffer until it is whole: it costs no
/// thread meanwhile. Larger ones are read by a thread of their own.
inline constexpr std::size_t kGatheredBytesMax = 64u << 10;

/// Looks at the bytes of one request as they gather. It only decides *when* the parser is started, never what it
/// reads: a wrong guess costs a thread that waits, or some waiting, and the parser's own limits hold all the same.
class RequestSizer {
 public:
  explicit RequestSizer(const HttpLimits& limits) : limits_(limits) {}

  /// Is the request likely to be read without waiting, or not worth to be gathered? `bytes` begins with the request;
  /// each call sees at least what the one before it saw.
  [[nodiscard]] bool is_due(std::string_view bytes);
  /// How many bytes the request seems to have; 0 while that is unknown.
  [[nodiscard]] std::size_t wanted() const { return wanted_; }
  /// Has a byte of the request been seen?
  [[nodiscard]] bool begun() const { return begun_; }
  /// For the next request.
  void reset() {
    begun_ = false;
    looked_at_ = wanted_ = 0;
  }

 private:
  void read_head(std::string_view head);

  const HttpLimits& limits_;
  bool begun_ = false;
  std::size_t looked_at_ = 0;
  std::size_t wanted_ = 0;
};

}  // namespace gate::http
