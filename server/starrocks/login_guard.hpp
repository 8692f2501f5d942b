#pragma once
// What must be true of a server before it gets a credential, checked inside the client library's login.
//
// MariaDB Connector/C 3.3 falls back to plain text when a server (or a man in the middle) offers no TLS, even with
// MYSQL_OPT_SSL_ENFORCE; and it can verify a certificate only together with the host name it dialled. The guard is
// therefore an authentication plugin of ours, the first that the library runs: it sees the greeting before a byte is
// sent, and the TLS session before anything but the user name is. Only then does it allow the library the plugin that
// the server switches to. The library is told to accept no other plugin until then, so a greeting that would skip the
// guard (one without PLUGIN_AUTH) ends the login instead.

#include <mysql.h>

#include <string>

#include "policy/text/result.hpp"
#include "server/ports/frontend.hpp"

struct st_plugin_vio;  // The library's channel to the server.

namespace gate {

/// Lives around one mysql_real_connect() on the same thread; one at a time per thread.
class LoginGuard {
 public:
  /// Registers the plugin with the library; call once, before the first login and before threads.
  [[nodiscard]] static Status register_plugin();

  /// `access` is referred to until the guard is gone. `password_to_unverified`: TLS suffices for plugins that hand over
  /// the password itself, whoever is at its other end.
  LoginGuard(const FrontendAccess& access, bool password_to_unverified);
  ~LoginGuard();
  LoginGuard(const LoginGuard&) = delete;
  LoginGuard& operator=(const LoginGuard&) = delete;

  /// Sets the options that make `mysql` log in through the guard, with TLS as the access says.
  void prepare(MYSQL& mysql) const;

  /// True once the server has shown all that it must; a login that succeeded otherwise is not to be trusted.
  [[nodiscard]] bool passed() const { return passed_; }
  /// Why the server was refused; empty when it was not the guard that ended the login.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  /// Why `plugin` (empty: unknown), which the server asked for once it had passed, was not used.
  [[nodiscard]] std::string why_refused(const std::string& plugin) const;

 private:
  static int authenticate(st_plugin_vio* channel, st_mysql* mysql);
  [[nodiscard]] int check(st_plugin_vio& channel, MYSQL& mysql);
  [[nodiscard]] int refuse(std::string reason);

  const FrontendAccess& access_;
  const bool password_to_unverified_;
  bool passed_ = false;
  bool encrypted_ = false;
  std::string refusal_;
};

}  // namespace gate
