#pragma once
// MySQL packets as StarRocks frontends write and read them, over TCP or TLS.

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "test/fakes/frontend_simulator.hpp"
#include "test/fakes/frontend_statements.hpp"

namespace gate::fake_frontend {

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslFree>;
/// Throws std::runtime_error for a bad certificate or key.
[[nodiscard]] SslContext make_tls_context(const std::string& certificate_pem, const std::string& private_key_pem);

inline constexpr std::uint16_t kMoreResultsExist = 0x0008;

/// One accepted socket. Not thread safe; the owner ends blocked calls with ::shutdown on the descriptor.
class Wire {
 public:
  explicit Wire(int descriptor) : descriptor_(descriptor) {}

  /// The next packet's payload; nullopt when the peer is gone or sends more than a statement may have.
  [[nodiscard]] std::optional<std::string> read_packet();
  /// Frames `payload` with the next sequence number.
  [[nodiscard]] std::string frame(std::string_view payload);
  [[nodiscard]] bool write(std::string_view bytes);
  [[nodiscard]] bool write_packet(std::string_view payload) { return write(frame(payload)); }
  [[nodiscard]] bool accept_tls(SSL_CTX& context);
  [[nodiscard]] bool encrypted() const { return ssl_ != nullptr; }

 private:
  [[nodiscard]] bool read_exactly(char* out, std::size_t size);

  int descriptor_;
  std::uint8_t sequence_ = 0;
  std::unique_ptr<SSL, SslFree> ssl_;
};

[[nodiscard]] std::string ok_payload(std::uint16_t extra_status);
[[nodiscard]] std::string error_payload(const SqlError& error);
/// All frames of an answer, as one write.
[[nodiscard]] std::string encode(Wire& wire, const SimulatedResult& result, std::uint16_t extra_status);

struct Greeting {
  std::string version;
  std::uint32_t capabilities = 0;
  std::uint32_t connection_id = 0;
  std::string scramble;  ///< 20 bytes.
};
[[nodiscard]] std::uint32_t server_capabilities(const Version& version, bool tls);
[[nodiscard]] std::string random_scramble();
[[nodiscard]] std::string encode(const Greeting& greeting);

struct LoginRequest {
  std::string username;
  std::string auth_response;
  std::string plugin;  ///< Empty when the client names none.
};
inline constexpr std::size_t kTlsRequestBytes = 32;  ///< An SSLRequest is a login packet cut after the header.
[[nodiscard]] bool asks_for_tls(std::string_view packet);
[[nodiscard]] std::optional<LoginRequest> parse_login(std::string_view packet, std::uint32_t capabilities);

/// Checks a mysql_native_password answer: SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))).
[[nodiscard]] bool native_password_matches(std::string_view password, std::string_view scramble,
                                           std::string_view response);

}  // namespace gate::fake_frontend
