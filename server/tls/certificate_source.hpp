#pragma once
// The serving certificate, kept up to date from files while the server runs.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "policy/text/result.hpp"
#include "policy/text/time.hpp"
#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/ports/clock.hpp"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace gate {

/// PEM files. A Secret volume replaces its files by swapping a symlink, therefore the content is polled: a watch on
/// the file itself goes blind after the first swap.
struct CertificateFiles {
  std::string certificate;  ///< The leaf first, then its chain.
  std::string key;          ///< Unencrypted private key of the leaf.
  std::string client_ca;    ///< Not empty: clients must present a certificate that these CAs issued.
  /// With client_ca: the certificate must carry one of these names, as its CN or as a DNS name. Both empty: any name.
  std::vector<std::string> client_names = {};
  std::string client_names_file = {};  ///< More of them: one a line, `#` begins a comment.
};

/// How often cert-manager's webhook looks, too; a renewal comes weeks before the old certificate expires.
inline constexpr std::chrono::seconds kCertificatePoll{10};
/// A chain and a CA bundle are a few KB; more than this is the wrong file.
inline constexpr std::size_t kCertificateFileBytesMax = 1u << 20;

/// What is worth to be known of the one in use.
struct Certificate {
  WallTime not_before;
  WallTime not_after;
  std::string fingerprint;  ///< SHA-256 of the leaf, lower-case hex.
};

/// Between two log lines about the same unusable files, which are looked at every few seconds.
inline constexpr std::chrono::minutes kCertificateLogInterval{10};

struct CertificateCounters {
  std::uint64_t loaded = 0;  ///< Certificates taken into use, the first included.
  std::uint64_t failed =
      0;  ///< Looks at the files that found something unusable: grows with every poll until they are fixed.
};

/// Thread safe. One thread polls; it ends with the object.
class CertificateWatcher {
 public:
  /// Loads and checks the files (the key belongs to the leaf, the leaf has not expired); InvalidInput says which file
  /// is wrong and why. `clock` must outlive the watcher. `log`: told of each certificate that is taken into use and of
  /// each reload that fails, the latter when the reason changes and every kCertificateLogInterval; null: nobody.
  static Result<std::unique_ptr<CertificateWatcher>> start(CertificateFiles files, const Clock& clock,
                                                           std::chrono::milliseconds poll = kCertificatePoll,
                                                           Logger* log = nullptr);
  ~CertificateWatcher();
  CertificateWatcher(const CertificateWatcher&) = delete;
  CertificateWatcher& operator=(const CertificateWatcher&) = delete;

  /// For a server: TLS 1.2 and newer with authenticated encryption, no session tickets (the API server never resumes a
  /// session), and each new connection gets the certificate that is current when it arrives. Valid as long as the
  /// watcher lives.
  [[nodiscard]] ssl_ctx_st* server_context() const;

  [[nodiscard]] Certificate current() const;
  [[nodiscard]] WallTime not_after() const;
  /// False once the certificate in use has expired: nothing but a new one helps, and clients already refuse it.
  [[nodiscard]] bool healthy() const;
  /// Why the last look at the files failed; "" if it did not.
  [[nodiscard]] std::string last_error() const;
  [[nodiscard]] CertificateCounters counters() const;

  /// One look at the files now; what the polling thread does. On an error the certificate in use stays.
  Status reload_now();

 private:
  struct Loaded;
  struct Texts;
  class Callback;

  CertificateWatcher(CertificateFiles files, const Clock& clock, Logger* log);
  void poll(const std::stop_token& stop, std::chrono::milliseconds interval);
  Result<std::shared_ptr<const Loaded>> load() const;
  Result<Texts> read_files() const;
  Status load_pair(const Texts& texts, Loaded& into) const;
  Status load_clients(const Texts& texts, Loaded& into) const;

  // Constant after construction.
  const CertificateFiles files_;
  const Clock& clock_;
  Logger* const log_;
  std::shared_ptr<ssl_ctx_st> context_;

  /// Of who looks at the files: one at a time.
  struct Look {
    SteadyTime next_line{};  ///< About a reload that fails.
  };
  Guarded<Look> look_;

  struct State {
    std::shared_ptr<const Loaded> current;
    CertificateCounters counters;
    std::string last_error;
  };
  Guarded<State> state_;

  std::jthread poller_;  ///< Last: ends before what it uses.
};

}  // namespace gate
