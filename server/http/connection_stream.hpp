#pragma once
// One accepted socket, with or without TLS, read through a buffer. Only the reading of what does not fit the buffer
// waits for the client, until a deadline; all else does what can be done now.

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/ports/clock.hpp"

namespace gate::http {

enum class Io {
  Done,
  Closed,
  TimedOut,
  Later,     ///< It would have to wait: once wanted_events() are there, try again.
  NoThread,  ///< It would have to wait, and nobody can do so: see ClientWait.
};

/// Told of each wait for the client.
class ClientWait {
 public:
  virtual ~ClientWait() = default;
  /// False: this thread must not wait.
  virtual bool begin() = 0;
  /// False: the connection was cut meanwhile.
  virtual bool end() = 0;
};

/// Belongs to one thread at a time. Does not own the socket, which must be non-blocking.
class ConnectionStream {
 public:
  ConnectionStream(int socket, SSL_CTX* tls) : socket_(socket), tls_(tls) {}

  /// Null: nobody is told.
  void set_wait(ClientWait* wait) { wait_ = wait; }

  /// A part of it, or all; Done at once without TLS. Before anything else.
  Io handshake();
  /// Why handshake() failed.
  [[nodiscard]] const std::string& handshake_error() const { return handshake_error_; }

  /// Bytes that were received and not yet consumed.
  [[nodiscard]] std::string_view buffered() const { return {buffer_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t bytes) { begin_ += bytes; }
  /// Room for so many bytes in all behind buffered().data(), so that a large request is moved once only.
  void reserve(std::size_t bytes);
  /// Gives the memory of an empty buffer back.
  void release();

  /// Poll events; after Io::Later.
  [[nodiscard]] short wanted_events() const { return wanted_; }

  /// Adds what has arrived to buffered(): Done if it is something.
  Io receive();
  /// Waits for at least one more byte; only when buffered() is empty.
  Io fill(Deadline deadline);
  /// Waits for the next bytes of what is not buffered: at most `size`, which becomes their number.
  Io read(char* data, std::size_t& size, Deadline deadline);
  /// As many as can be sent now, which are taken off the front of `bytes`. After Later the next call must have the
  /// rest.
  Io send(std::string_view& bytes);

  /// Something may be there that no poll of the socket would tell: two requests in one TLS record, two records in one
  /// read.
  [[nodiscard]] bool has_more() const { return begin_ != end_ || (ssl_ && SSL_has_pending(ssl_.get()) == 1); }

  /// Says goodbye, without waiting. Closing a socket with unread bytes resets the connection, and the client then
  /// loses the answer that it has not read yet: therefore swallow() before that.
  void finish();
  /// Reads and forgets what a client still sends. False once it has closed, or has sent too much.
  bool swallow();

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  /// What an attempt came to; Wait: try again once the socket is ready for wanted_.
  enum class Attempt { Done, Closed, Wait };

  Attempt try_read(char* data, std::size_t& size);
  Attempt after_ssl(int result);
  Io wait_for(short events, Deadline deadline) const;
  Io closed();
  [[nodiscard]] std::size_t room() const { return capacity_ - end_; }

  const int socket_;
  SSL_CTX* const tls_;
  ClientWait* wait_ = nullptr;
  std::unique_ptr<SSL, FreeSsl> ssl_;  ///< From the handshake on: a silent client costs none.
  bool broken_ = false;                ///< After a fatal TLS error nothing may be sent.
  short wanted_ = 0;
  std::string handshake_error_;
  std::unique_ptr<char[]> buffer_;  ///< capacity_ bytes.
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t swallowed_ = 0;
};

}  // namespace gate::http
