#pragma once
// One request and its answer on a ConnectionStream.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http/connection_stream.hpp"
#include "server/http/http_server.hpp"
#include "server/http/memory_budget.hpp"

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
  Overloaded,
  UnknownCaller,
};
inline constexpr std::size_t kRefusals = 10;

/// As counted: snake_case.
[[nodiscard]] const char* name_of(Refusal refusal);

/// What became of one request.
struct Outcome {
  bool answerable = true;  ///< False: the client sent nothing, or closed before its request was whole.
  bool peer_closes = false;
  std::optional<Refusal> refusal;  ///< Set: `reply` is its answer, and the connection must close.
  HttpReply reply;
  std::string allow;     ///< For the Allow header of a 405.
  bool is_head = false;  ///< The answer has no body, whatever its length says.
};

/// Of a request that is refused unread.
[[nodiscard]] Outcome refused(Refusal refusal);

/// What a server is made for. Everything must outlive the readers.
struct Service {
  const std::vector<HttpRoute>& routes;
  const HttpLimits& limits;
  const HttpHandlers& handlers;
  MemoryBudget& body_memory;
};

/// Reads requests, one after the other, of any connection, and lets the handlers answer them. Belongs to one thread.
class RequestReader {
 public:
  explicit RequestReader(const Service& service);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// Blocks until the request is whole and handled, or `deadline` (for its reading) has passed. Calls `may_wait` before
  /// it waits for anything or calls the handler that may wait (as the stream does, through its ClientWait, when it
  /// waits for the client); false, and the request is refused as Overloaded instead.
  [[nodiscard]] Outcome serve(ConnectionStream& stream, Deadline deadline, const std::function<bool()>& may_wait);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

/// The bytes of an answer.
[[nodiscard]] std::string render(const Outcome& outcome, bool close);

}  // namespace gate::http
