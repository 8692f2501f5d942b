#pragma once
// One accepted socket, with or without TLS, read through a buffer and never blocking beyond a deadline.

#include <openssl/ssl.h>

#include <memory>
#include <string_view>
#include <vector>

#include "server/ports/clock.hpp"

namespace gate::http {

enum class Io { Done, Closed, TimedOut };
enum class Wake { Readable, Event, TimedOut };

/// Belongs to one thread. Does not own the socket, which must be non-blocking.
class Wire {
 public:
  Wire(int socket, SSL_CTX* tls);

  /// Done at once without TLS.
  Io handshake(Deadline deadline);

  /// Bytes that were received and not yet consumed.
  [[nodiscard]] std::string_view buffered() const;
  void consume(std::size_t bytes);
  /// Waits for at least one more byte; only when buffered() is empty.
  Io fill(Deadline deadline);
  Io write(std::string_view bytes, Deadline deadline);

  /// Until the client sends something (or closes), or `event` becomes readable. No wake-up in between.
  [[nodiscard]] Wake wait(int event, Deadline deadline) const;

  /// Says goodbye and, if the client may still be sending, swallows that for a moment: closing a socket with unread
  /// bytes resets the connection, and the client then loses the answer that it has not read yet.
  void finish(bool client_may_be_sending);

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  Io wait_for(short events, Deadline deadline) const;
  /// What an SSL call's result asks for: Done means call it again.
  Io retry(int result, Deadline deadline) const;

  const int socket_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool broken_ = false;  ///< After a fatal TLS error nothing may be sent.
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace gate::http
