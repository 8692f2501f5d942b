#pragma once
// cpp-httplib as this project uses it: the only file that includes <httplib.h>, and the only one that knows how its
// versions differ (0.11.4 in Debian 12, 0.18.7 in Debian 13, and newer). Heavy, so for .cpp files only: no header of
// ours shows a type of it.

#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_OPENSSL_SUPPORT  // Part of the layout of its classes: must be what the library was built with.
#endif
#include <httplib.h>

#include <functional>
#include <string>

namespace gate {

/// Reads one request from any stream with httplib's parser, in every version of it. The caller owns sockets, threads,
/// time limits and the bytes of the answer; httplib::Server contributes only what it does between them.
class HttplibRequestReader : public httplib::Server {
 protected:
  using SetupRequest = std::function<void(httplib::Request&)>;

  /// Parses a request from the stream, calls `setup` once its headers are known, reads its body and calls the handler
  /// registered for it. `peer_closes` becomes true if the client asked for the connection to be closed.
  bool read_request(httplib::Stream& stream, bool& peer_closes, const SetupRequest& setup) {
    return read_request(&HttplibRequestReader::process_request, stream, peer_closes, setup);
  }

 private:
  // The signature of process_request is the difference: 0.18 takes the two addresses, older versions ask the stream.
  template <class Server>
  bool read_request(bool (Server::*process)(httplib::Stream&, bool, bool&, const SetupRequest&),
                    httplib::Stream& stream, bool& peer_closes, const SetupRequest& setup) {
    return (this->*process)(stream, false, peer_closes, setup);
  }
  template <class Server>
  bool read_request(bool (Server::*process)(httplib::Stream&, const std::string&, int, const std::string&, int, bool,
                                            bool&, const SetupRequest&),
                    httplib::Stream& stream, bool& peer_closes, const SetupRequest& setup) {
    return (this->*process)(stream, std::string(), 0, std::string(), 0, false, peer_closes, setup);
  }
  template <class Server>
  bool read_request(bool (Server::*process)(httplib::Stream&, const std::string&, int, const std::string&, int, bool,
                                            bool&, const SetupRequest&, bool*),
                    httplib::Stream& stream, bool& peer_closes, const SetupRequest& setup) {
    return (this->*process)(stream, std::string(), 0, std::string(), 0, false, peer_closes, setup, nullptr);
  }
};

/// Writes one request to any stream and reads its answer with httplib's parser, in every version of it: one exchange,
/// no redirects, nothing decompressed. The caller owns the connection, its time limits and the bound on its bytes.
class HttplibExchange : private httplib::ClientImpl {
 public:
  HttplibExchange() : ClientImpl("stream") {}  // Never asked to connect by itself.

  /// False when the stream ended or the answer is no HTTP. `request` carries its Host header and an encoded path.
  bool exchange(httplib::Stream& stream, httplib::Request& request, httplib::Response& response) {
    set_url_encode(false);
    set_decompress(false);
    auto error = httplib::Error::Success;
    return process_request(stream, request, response, /*close_connection=*/true, error);
  }
};

/// httplib::Stream with every function that a version of it asks for; a subclass adds read() and write().
class HttplibStream : public httplib::Stream {
 public:
  using httplib::Stream::write;

  bool is_readable() const override { return true; }
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winconsistent-missing-override"
#endif
  // The three below are pure in some versions and absent in others, hence no `override`.
  // NOLINTBEGIN(modernize-use-override)
  virtual bool is_writable() const { return true; }
  virtual bool wait_readable() const { return true; }
  virtual bool wait_writable() const { return true; }
  virtual time_t duration() const { return 0; }
  // NOLINTEND(modernize-use-override)
#ifdef __clang__
#pragma clang diagnostic pop
#endif
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  // Builds without poll() refuse sockets above FD_SETSIZE; the stream's owner does the waiting, so there is none.
  socket_t socket() const override { return INVALID_SOCKET; }
};

}  // namespace gate
