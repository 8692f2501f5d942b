#include "server/starrocks/login_guard.hpp"

#include <fcntl.h>
#include <ma_pvio.h>
#include <mysql/plugin_auth.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdarg>
#include <memory>
#include <string_view>

#include "server/net/address.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {
namespace {

constexpr const char* kPluginName = "upgrade_gate_login_guard";
// A scramble tells an eavesdropper little; the others hand the password itself to whoever is at the other end
// (caching_sha2_password encrypts it for any key that the peer presents). TLS hides it from those in between; only a
// certificate that was verified says who that is.
constexpr const char* kPluginsOverAny = "mysql_native_password,client_ed25519";
constexpr const char* kPluginsOverVerified =
    "mysql_native_password,client_ed25519,caching_sha2_password,mysql_clear_password";
constexpr const char* kTlsVersions = "TLSv1.2,TLSv1.3";

// The library's plugin interface, version 1.0 (Connector/C include/mysql/client_plugin.h, which Debian's package cannot
// compile: it includes a header that is not shipped).
constexpr int kAuthenticationPlugin = 2;
constexpr unsigned kInterfaceVersion = 0x0100;
struct AuthenticationPlugin {
  int type;
  unsigned interface_version;
  const char* name;
  const char* author;
  const char* description;
  unsigned version[3];
  const char* license;
  void* api;
  int (*init)(char*, std::size_t, int, va_list);
  int (*deinit)();
  int (*options)(const char*, const void*);
  int (*authenticate)(st_plugin_vio*, st_mysql*);
};

/// The library's TLS session (ma_tls.h, which does not compile by itself).
struct TlsSession {
  void* data;
  void* channel;
  void* ssl;
};

thread_local LoginGuard* current_guard = nullptr;

/// The trusted roots: those of `ca_pem`, or the system's when it is empty. Null when the text holds none.
openssl::StorePtr trusted_roots(const std::string& ca_pem) {
  if (!ca_pem.empty()) return openssl::roots_of(ca_pem);
  openssl::StorePtr store(X509_STORE_new());
  if (store) X509_STORE_set_default_paths(store.get());
  return store;
}

/// Empty when the peer of `ssl` has a certificate that `access` accepts, else the reason.
std::string verify_peer(SSL& ssl, const FrontendAccess& access) {
  const openssl::X509Ptr leaf(SSL_get1_peer_certificate(&ssl));
  if (!leaf) return "it showed no certificate";
  const openssl::StorePtr store = trusted_roots(access.ca_pem);
  if (!store) return "the configured CA holds no certificate in PEM form";
  const openssl::StoreContextPtr context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), SSL_get_peer_cert_chain(&ssl)) != 1)
    return "its certificate could not be checked";
  X509_STORE_CTX_set_default(context.get(), "ssl_server");
  if (access.tls == FrontendTls::VerifyIdentity) {
    X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context.get());
    const std::string& host = access.address.host;
    const bool set = is_ip_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1
                                         : X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1;
    if (!set) return "its certificate could not be checked against the host name";
  }
  if (X509_verify_cert(context.get()) == 1) return {};
  ERR_clear_error();
  return std::string("its certificate is not accepted: ") +
         X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

bool library_uses_openssl() {
  const char* name = nullptr;
  return mariadb_get_infov(nullptr, MARIADB_TLS_LIBRARY, &name) == 0 && name != nullptr &&
         std::string_view(name).starts_with("OpenSSL");
}

/// The library that runs has the structures that are repeated here only while it is of the version compiled against.
bool library_is_of_the_compiled_version() {
  constexpr unsigned long kPatches = 100;  // 30314 is 3.3.14
  return mysql_get_client_version() / kPatches == MARIADB_PACKAGE_VERSION_ID / kPatches;
}

bool verifies(FrontendTls tls) { return tls == FrontendTls::VerifyCa || tls == FrontendTls::VerifyIdentity; }

bool demands_tls(FrontendTls tls) { return tls != FrontendTls::Disabled && tls != FrontendTls::Preferred; }

}  // namespace

Status LoginGuard::register_plugin() {
  // The guard reads the library's TLS session as OpenSSL's.
  if (!library_uses_openssl())
    return Error{ErrorCode::Internal, "the MySQL client library was not built with OpenSSL", 0};
  if (!library_is_of_the_compiled_version())
    return Error{ErrorCode::Internal,
                 std::string("the MySQL client library is ") + mysql_get_client_info() +
                     ", but this program was built for " MARIADB_PACKAGE_VERSION,
                 0};
  static AuthenticationPlugin plugin{kAuthenticationPlugin,
                                     kInterfaceVersion,
                                     kPluginName,
                                     "upgrade-gate",
                                     "checks the server before it gets a credential",
                                     {1, 0, 0},
                                     "",
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     &LoginGuard::authenticate};
  const std::unique_ptr<MYSQL, Freer<mysql_close>> reporter(mysql_init(nullptr));
  if (!reporter ||
      mysql_client_register_plugin(reporter.get(), reinterpret_cast<st_mysql_client_plugin*>(&plugin)) == nullptr)
    return Error{ErrorCode::Internal, "the MySQL client library refused the login guard", 0};
  return Ok{};
}

LoginGuard::LoginGuard(const FrontendAccess& access, bool password_to_unverified)
    : access_(access), password_to_unverified_(password_to_unverified) {
  current_guard = this;
}
LoginGuard::~LoginGuard() { current_guard = nullptr; }

void LoginGuard::prepare(MYSQL& mysql) const {
  const my_bool use_tls = access_.tls != FrontendTls::Disabled ? 1 : 0;
  const my_bool off = 0;
  mysql_optionsv(&mysql, MYSQL_OPT_SSL_ENFORCE, &use_tls);
  mysql_optionsv(&mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off);  // The guard does it.
  if (use_tls != 0) mysql_optionsv(&mysql, MARIADB_OPT_TLS_VERSION, kTlsVersions);
  mysql_optionsv(&mysql, MYSQL_DEFAULT_AUTH, kPluginName);
  mysql_optionsv(&mysql, MARIADB_OPT_RESTRICTED_AUTH, kPluginName);
}

std::string LoginGuard::why_refused(const std::string& plugin) const {
  const std::string asked =
      plugin.empty() ? "the server asks for a login plugin" : "the server asks for login plugin " + plugin;
  if (plugin == "mysql_clear_password" || plugin == "caching_sha2_password") {
    return asked + ", which hands over the password itself: that is sent over TLS to a verified server only" +
           (encrypted_ ? "; the server was not verified" : "; the connection is not encrypted") +
           " (want --frontend-tls=verify-ca or verify-identity)";
  }
  return asked +
         ": want mysql_native_password or client_ed25519; over TLS to a verified server also "
         "mysql_clear_password or caching_sha2_password";
}

int LoginGuard::refuse(std::string reason) {
  refusal_ = std::move(reason);
  return CR_ERROR;
}

int LoginGuard::authenticate(st_plugin_vio* channel, st_mysql* mysql) {
  return current_guard == nullptr ? CR_ERROR : current_guard->check(*channel, *mysql);
}

int LoginGuard::check(st_plugin_vio& channel, MYSQL& mysql) {
  if (demands_tls(access_.tls) && (mysql.server_capabilities & CLIENT_SSL) == 0)
    return refuse("TLS is required and the server offers none");
  // OpenSSL reads the socket directly: on a blocking one it would wait there, and not where deadlines are kept.
  const my_socket socket = mysql_get_socket(&mysql);
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  // TLS handshake, then the user name with an empty answer; the server answers by naming the account's plugin.
  if (channel.write_packet(&channel, nullptr, 0) != 0) return CR_ERROR;
  const auto* tls = static_cast<const TlsSession*>(mysql.net.pvio != nullptr ? mysql.net.pvio->ctls : nullptr);
  const bool encrypted = tls != nullptr && tls->ssl != nullptr;
  if (demands_tls(access_.tls) && !encrypted) return refuse("TLS is required and was not established");
  if (verifies(access_.tls)) {
    if (auto reason = verify_peer(*static_cast<SSL*>(tls->ssl), access_); !reason.empty())
      return refuse("the server was not verified: " + reason);
  }
  encrypted_ = encrypted;
  const bool trusted = encrypted && (verifies(access_.tls) || password_to_unverified_);
  mysql_optionsv(&mysql, MARIADB_OPT_RESTRICTED_AUTH, trusted ? kPluginsOverVerified : kPluginsOverAny);
  passed_ = true;
  return CR_OK;
}

}  // namespace gate
