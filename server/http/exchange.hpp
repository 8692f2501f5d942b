#pragma once
// One request and its answer on a Wire.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "server/http/http_server.hpp"
#include "server/http/wire.hpp"

namespace gate::http {

/// Why a request never reached the handler.
enum class Refusal : std::uint8_t {
  BadRequest,
  UnknownPath,
  WrongMethod,
  WrongMediaType,
  LengthRequired,
  BodyTooLarge,
  HeadersTooLarge,
  TooSlow,
};
inline constexpr std::size_t kRefusals = 8;

[[nodiscard]] int status_of(Refusal refusal);
/// As counted: snake_case.
[[nodiscard]] const char* name_of(Refusal refusal);

/// What became of one request.
struct Outcome {
  bool answerable = true;  ///< False: the client sent nothing, or closed before its request was whole.
  bool peer_closes = false;
  std::optional<Refusal> refusal;  ///< Set: `reply` is its answer, and the connection must close.
  HttpReply reply;
  std::string allow;  ///< For the Allow header of a 405.
};

/// Reads the requests of one connection, one after the other, and lets the handler answer them. Belongs to one thread.
class RequestReader {
 public:
  /// All three must outlive it.
  RequestReader(const std::vector<HttpRoute>& routes, const HttpLimits& limits, const HttpHandler& handler);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Blocks until the request is whole and handled, or `deadline` (for its reading) has passed.
  [[nodiscard]] Outcome serve(Wire& wire, Deadline deadline);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

/// The bytes of an answer.
[[nodiscard]] std::string render(const Outcome& outcome, bool close);

}  // namespace gate::http
