#include "test/fakes/frontend_wire.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace gate::fake_frontend {
namespace {

constexpr std::size_t kPacketBytesMax = 1 << 20;  // Statements are far smaller; a client gone mad is cut.
constexpr std::uint8_t kUtf8 = 33;

constexpr std::uint32_t kLongFlag = 0x4;
constexpr std::uint32_t kConnectWithDb = 0x8;
constexpr std::uint32_t kProtocol41 = 0x200;
constexpr std::uint32_t kSsl = 0x800;
constexpr std::uint32_t kSecureConnection = 0x8000;
constexpr std::uint32_t kPluginAuth = 0x80000;
constexpr std::uint32_t kConnectAttributes = 0x100000;
constexpr std::uint32_t kPluginAuthLenenc = 0x200000;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

void put_lenenc(std::string& out, std::uint64_t value) {
  if (value < 251) {
    put(out, value, 1);
  } else if (value < 0x10000) {
    out += '\xfc';
    put(out, value, 2);
  } else {
    out += '\xfd';
    put(out, value, 3);
  }
}

void put_text(std::string& out, std::string_view text) {
  put_lenenc(out, text.size());
  out += text;
}

/// Reads from hostile bytes: every take checks the rest and latches a failure.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::string_view take(std::size_t count) {
    if (count > rest_.size()) {
      failed = true;
      return {};
    }
    const auto out = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return out;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t out = 0;
    int shift = 0;
    for (const char c : take(bytes)) {
      out |= static_cast<std::uint64_t>(static_cast<unsigned char>(c)) << shift;
      shift += 8;
    }
    return out;
  }
  std::uint64_t lenenc() {
    const auto first = number(1);
    if (first < 251) return first;
    return number(first == 0xfc ? 2 : first == 0xfd ? 3 : 8);
  }
  std::string until_nul() {
    const auto end = rest_.find('\0');
    if (end == std::string_view::npos) return std::string(take(rest_.size()));
    std::string out(take(end));
    take(1);
    return out;
  }
  bool failed = false;

 private:
  std::string_view rest_;
};

std::string sha1(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

constexpr std::uint8_t kVarString = 0xfd;
constexpr std::uint8_t kBinary = 63;  ///< The character set of numbers.

std::string column_payload(const std::string& name, const SimulatedResult& result) {
  constexpr std::uint32_t kWidth = 90;
  constexpr std::uint32_t kForwardedWidth = 192;
  constexpr std::uint32_t kNumberWidth = 20;
  const bool number = result.number_type != 0;
  std::string out;
  put_text(out, "def");
  for (int i = 0; i < 3; ++i) put_text(out, "");  // schema, table, original table
  put_text(out, name);
  put_text(out, name);
  put_lenenc(out, 0x0c);
  put(out, number ? kBinary : kUtf8, 2);
  put(out, number ? kNumberWidth : result.forwarded ? kForwardedWidth : kWidth, 4);  // display length
  put(out, number ? result.number_type : kVarString, 1);
  put(out, 0, 2);  // flags
  put(out, 0, 1);  // decimals
  put(out, 0, 2);
  return out;
}

std::string eof_payload(std::uint16_t extra_status) {
  std::string out = "\xfe";
  put(out, 0, 2);
  put(out, extra_status, 2);
  return out;
}

}  // namespace

SslContext make_tls_context(const std::string& certificate_pem, const std::string& private_key_pem) {
  SslContext context(SSL_CTX_new(TLS_server_method()));
  using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
  const Bio certificate_bio(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())),
                            BIO_free);
  const Bio key_bio(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!context || SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
    throw std::runtime_error("the simulated frontend's certificate or key is not usable");
  return context;
}

bool Wire::read_exactly(char* out, std::size_t size) {
  while (size > 0) {
    ssize_t got = 0;
    if (ssl_) {
      got = SSL_read(ssl_.get(), out, static_cast<int>(size));
    } else {
      got = ::recv(descriptor_, out, size, 0);
      if (got < 0 && errno == EINTR) continue;
    }
    if (got <= 0) return false;
    out += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

std::optional<std::string> Wire::read_packet() {
  std::array<char, 4> header{};
  if (!read_exactly(header.data(), header.size())) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(header[i])); };
  const std::size_t size = byte(0) | byte(1) << 8 | byte(2) << 16;
  if (size > kPacketBytesMax) return std::nullopt;
  sequence_ = static_cast<std::uint8_t>(byte(3) + 1);
  std::string payload(size, '\0');
  if (!read_exactly(payload.data(), size)) return std::nullopt;
  return payload;
}

std::string Wire::frame(std::string_view payload) {
  std::string out;
  put(out, payload.size(), 3);
  put(out, sequence_++, 1);
  out += payload;
  return out;
}

bool Wire::write(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = 0;
    if (ssl_) {
      sent = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    } else {
      sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
    }
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Wire::accept_tls(SSL_CTX& context) {
  ssl_.reset(SSL_new(&context));
  const bool done = ssl_ && SSL_set_fd(ssl_.get(), descriptor_) == 1 && SSL_accept(ssl_.get()) == 1;
  if (!done) ERR_clear_error();
  return done;
}

std::string ok_payload(std::uint16_t extra_status) {
  std::string out(1, '\0');
  put_lenenc(out, 0);
  put_lenenc(out, 0);
  put(out, extra_status, 2);
  put(out, 0, 2);
  return out;
}

std::string error_payload(const SqlError& error) {
  std::string out = "\xff";
  put(out, static_cast<std::uint64_t>(error.code), 2);
  out += '#';
  out += (error.state + "HY000").substr(0, 5);
  out += error.text;
  return out;
}

std::string encode(Wire& wire, const SimulatedResult& result, std::uint16_t extra_status) {
  std::string count;
  put_lenenc(count, result.columns.size());
  std::string out = wire.frame(count);
  for (const auto& column : result.columns) out += wire.frame(column_payload(column, result));
  out += wire.frame(eof_payload(0));
  for (const auto& row : result.rows) {
    std::string payload;
    for (const auto& value : row) {
      if (value) {
        put_text(payload, *value);
      } else {
        payload += '\xfb';
      }
    }
    out += wire.frame(payload);
  }
  return out + wire.frame(eof_payload(extra_status));
}

std::uint32_t server_capabilities(const Version& version, bool tls) {
  std::uint32_t out = kProtocol41 | kConnectWithDb | kSecureConnection | kPluginAuth | kLongFlag;
  if (version.at_least(3, 3)) out |= kConnectAttributes;
  if (version.at_least(3, 5)) out |= kPluginAuthLenenc;
  if (tls) out |= kSsl;
  return out;
}

std::string random_scramble() {
  std::string out(20, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  for (char& c : out) c = static_cast<char>('0' + (static_cast<unsigned char>(c) % 64));  // no NUL: it ends the string
  return out;
}

std::string encode(const Greeting& greeting) {
  std::string out = "\x0a" + greeting.version;
  out += '\0';
  put(out, greeting.connection_id, 4);
  out += greeting.scramble.substr(0, 8);
  out += '\0';
  put(out, greeting.capabilities & 0xffff, 2);
  put(out, kUtf8, 1);
  put(out, 0, 2);  // status
  put(out, greeting.capabilities >> 16, 2);
  put(out, 21, 1);
  out.append(10, '\0');
  out += greeting.scramble.substr(8);
  out += '\0';
  if ((greeting.capabilities & kPluginAuth) != 0) {
    out += "mysql_native_password";
    out += '\0';
  }
  return out;
}

bool asks_for_tls(std::string_view packet) {
  return packet.size() == kTlsRequestBytes && (Reader(packet).number(4) & kSsl) != 0;
}

std::optional<LoginRequest> parse_login(std::string_view packet, std::uint32_t capabilities) {
  Reader reader(packet);
  const auto client = static_cast<std::uint32_t>(reader.number(4)) & capabilities;
  reader.take(28);  // packet size, character set, reserved
  LoginRequest out;
  out.username = reader.until_nul();
  if ((client & kPluginAuthLenenc) != 0) {
    out.auth_response = reader.take(reader.lenenc());
  } else {
    out.auth_response = reader.take(reader.number(1));
  }
  const bool failed = reader.failed;
  if ((client & kConnectWithDb) != 0) reader.until_nul();
  if ((client & kPluginAuth) != 0) out.plugin = reader.until_nul();
  if (failed) return std::nullopt;
  return out;
}

bool native_password_matches(std::string_view password, std::string_view scramble, std::string_view response) {
  if (password.empty()) return response.empty();
  const std::string stage1 = sha1(password);
  std::string expected = sha1(std::string(scramble) + sha1(stage1));
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<char>(expected[i] ^ stage1[i]);
  return expected == response;
}

}  // namespace gate::fake_frontend
