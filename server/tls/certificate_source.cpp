#include "server/tls/certificate_source.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <sstream>
#include <utility>

#include "policy/text/hex.hpp"
#include "server/base/backoff.hpp"
#include "server/base/file.hpp"
#include "server/net/openssl_handles.hpp"

namespace gate {
namespace {

Error invalid(std::string message) { return {ErrorCode::InvalidInput, std::move(message)}; }

Result<std::string> read_part(const std::string& path) {
  auto content = read_file(path, kCertificateFileBytesMax);
  if (content) return content;
  if (content.error().code == ErrorCode::InvalidInput) return invalid(path + " is too large for PEM certificates");
  return Error{ErrorCode::NotFound, path + " " + content.error().message};
}

WallTime to_wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &length);
  return hex_of(std::span(digest).first(length));
}

/// One a line; blanks around it and what follows a `#` do not count.
std::vector<std::string> names_in(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min(line.find('#'), line.size()));
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    names.push_back(line.substr(first, line.find_last_not_of(" \t\r") + 1 - first));
  }
  return names;
}

// A passphrase prompt would block the server on a terminal that is not there.
int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

/// One checked pair with its chain. Immutable.
struct CertificateWatcher::Loaded {
  Certificate facts;
  std::string files_content;  ///< What it was read from, to see a change. Holds the key: never shown.
  openssl::X509Ptr leaf;
  openssl::ChainPtr chain;
  openssl::KeyPtr key;
  openssl::StorePtr client_ca;            ///< Null without mTLS.
  std::vector<std::string> client_names;  ///< Empty: any.
};

/// Called by OpenSSL for each new connection, once its ClientHello is there.
class CertificateWatcher::Callback {
 public:
  static int choose(SSL* ssl, void* watcher) {
    const auto* self = static_cast<const CertificateWatcher*>(watcher);
    const auto loaded = self->state_.lock()->current;
    if (SSL_use_cert_and_key(ssl, loaded->leaf.get(), loaded->key.get(), loaded->chain.get(), 1) != 1) return 0;
    if (loaded->client_ca) {
      SSL_set1_verify_cert_store(ssl, loaded->client_ca.get());
      SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl);
      X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT);
      for (const auto& name : loaded->client_names) {
        if (X509_VERIFY_PARAM_add1_host(wanted, name.c_str(), name.size()) != 1) return 0;
      }
    }
    return 1;
  }
};

Result<std::unique_ptr<CertificateWatcher>> CertificateWatcher::start(CertificateFiles files, const Clock& clock,
                                                                      std::chrono::milliseconds poll, Logger* log) {
  std::unique_ptr<CertificateWatcher> watcher(new CertificateWatcher(std::move(files), clock, log));
  if (!watcher->context_) return Error{ErrorCode::Internal, "cannot create a TLS context: " + openssl::take_error()};
  if (auto loaded = watcher->reload_now(); !loaded) return loaded.error();
  watcher->poller_ =
      std::jthread([self = watcher.get(), poll](const std::stop_token& stop) { self->poll(stop, poll); });
  return watcher;
}

CertificateWatcher::CertificateWatcher(CertificateFiles files, const Clock& clock, Logger* log)
    : files_(std::move(files)), clock_(clock), log_(log), context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  if (!context_) return;
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
  // Of 1.2: forward secret and authenticated; its CBC suites have a history. 1.3 has no others.
  SSL_CTX_set_cipher_list(context_.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  // The API server keeps no session cache, so tickets would only cost a write per connection.
  SSL_CTX_set_num_tickets(context_.get(), 0);
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context_.get(), SSL_MODE_RELEASE_BUFFERS);  // Idle connections are many; 34 KB each would count.
  SSL_CTX_set_cert_cb(context_.get(), &Callback::choose, this);
}

CertificateWatcher::~CertificateWatcher() = default;

ssl_ctx_st* CertificateWatcher::server_context() const { return context_.get(); }

Certificate CertificateWatcher::current() const { return state_.lock()->current->facts; }

WallTime CertificateWatcher::not_after() const { return current().not_after; }

bool CertificateWatcher::healthy() const { return clock_.wall_now() < not_after(); }

std::string CertificateWatcher::last_error() const { return state_.lock()->last_error; }

CertificateCounters CertificateWatcher::counters() const { return state_.lock()->counters; }

Status CertificateWatcher::reload_now() {
  const auto look = look_.lock();
  auto loaded = load();
  const std::string error = loaded ? std::string() : loaded.error().message;
  bool is_new = false;
  bool tells_error = false;
  {
    auto state = state_.lock();
    const auto now = clock_.steady_now();
    tells_error = !loaded && (error != state->last_error || now >= look->next_line);
    if (tells_error) look->next_line = now + kCertificateLogInterval;
    state->last_error = error;
    is_new = loaded && *loaded != state->current;
    if (is_new) state->current = *loaded;
    if (is_new) ++state->counters.loaded;
    if (!loaded) ++state->counters.failed;
  }
  if (log_ != nullptr && tells_error) {
    log_error(*log_, "certificate not reloaded: the one in use stays",
              {{"file", files_.certificate}, {"error", error}});
  }
  if (log_ != nullptr && is_new) {
    const auto& facts = (*loaded)->facts;
    log_info(
        *log_, "certificate in use",
        {{"file", files_.certificate}, {"not_after", format_time(facts.not_after)}, {"sha256", facts.fingerprint}});
  }
  if (!loaded) return loaded.error();
  return Ok{};
}

void CertificateWatcher::poll(const std::stop_token& stop, std::chrono::milliseconds interval) {
  while (pause_for(interval, stop)) {
    try {
      // What went wrong is kept in last_error() and counters().
      (void)reload_now();
    } catch (const std::exception& error) {
      // There is no memory, say: the certificate in use stays.
      if (log_ == nullptr) continue;
      log_error(*log_, "certificate not reloaded: the one in use stays", {{"error", error.what()}});
    }
  }
}

/// The certificate in use when the files still hold it, else a new one, checked.
Result<std::shared_ptr<const CertificateWatcher::Loaded>> CertificateWatcher::load() const {
  auto certificate_pem = read_part(files_.certificate);
  if (!certificate_pem) return certificate_pem.error();
  auto key_pem = read_part(files_.key);
  if (!key_pem) return key_pem.error();
  Result<std::string> client_ca_pem = std::string();
  if (!files_.client_ca.empty()) client_ca_pem = read_part(files_.client_ca);
  if (!client_ca_pem) return client_ca_pem.error();
  Result<std::string> client_names = std::string();
  if (!files_.client_names_file.empty()) client_names = read_part(files_.client_names_file);
  if (!client_names) return client_names.error();

  auto fresh = std::make_shared<Loaded>();
  fresh->files_content = *certificate_pem + '\0' + *key_pem + '\0' + *client_ca_pem + '\0' + *client_names;
  if (const auto current = state_.lock()->current; current && current->files_content == fresh->files_content) {
    return current;
  }

  ERR_clear_error();
  const auto certificate_bio = openssl::reader_of(*certificate_pem);
  fresh->leaf.reset(PEM_read_bio_X509(certificate_bio.get(), nullptr, no_passphrase, nullptr));
  if (!fresh->leaf) return invalid("no PEM certificate in " + files_.certificate + ": " + openssl::take_error());
  fresh->chain.reset(sk_X509_new_null());
  while (X509* issuer = PEM_read_bio_X509(certificate_bio.get(), nullptr, no_passphrase, nullptr)) {
    sk_X509_push(fresh->chain.get(), issuer);
  }
  const bool ended_well = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended_well) return invalid("broken chain in " + files_.certificate + ": " + openssl::take_error());
  ERR_clear_error();

  fresh->key.reset(PEM_read_bio_PrivateKey(openssl::reader_of(*key_pem).get(), nullptr, no_passphrase, nullptr));
  if (!fresh->key) return invalid("no usable PEM private key in " + files_.key + ": " + openssl::take_error());
  if (X509_check_private_key(fresh->leaf.get(), fresh->key.get()) != 1) {
    ERR_clear_error();
    return invalid("the key in " + files_.key + " does not belong to the certificate in " + files_.certificate);
  }

  fresh->facts.not_before = to_wall_time(X509_get0_notBefore(fresh->leaf.get()));
  fresh->facts.not_after = to_wall_time(X509_get0_notAfter(fresh->leaf.get()));
  fresh->facts.fingerprint = fingerprint_of(fresh->leaf.get());
  if (fresh->facts.not_after <= clock_.wall_now()) {
    return invalid("the certificate in " + files_.certificate + " expired at " + format_time(fresh->facts.not_after));
  }

  if (!files_.client_ca.empty()) {
    fresh->client_ca.reset(X509_STORE_new());
    const auto ca_bio = openssl::reader_of(*client_ca_pem);
    int found = 0;
    while (const openssl::X509Ptr ca{PEM_read_bio_X509(ca_bio.get(), nullptr, no_passphrase, nullptr)}) {
      X509_STORE_add_cert(fresh->client_ca.get(), ca.get());
      ++found;
    }
    ERR_clear_error();
    if (found == 0) return invalid("no PEM certificate in " + files_.client_ca);
    fresh->client_names = names_in(*client_names);
    // An emptied file must not open the door to every name.
    if (fresh->client_names.empty() && !files_.client_names_file.empty()) {
      return invalid("no name in " + files_.client_names_file);
    }
    fresh->client_names.insert(fresh->client_names.end(), files_.client_names.begin(), files_.client_names.end());
  }
  return std::shared_ptr<const Loaded>(std::move(fresh));
}

}  // namespace gate
