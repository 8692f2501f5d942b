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

/// What the files hold; of those that are not named, nothing.
struct CertificateWatcher::Texts {
  std::string certificate;
  std::string key;
  std::string client_ca;
  std::string client_names;

  [[nodiscard]] std::string all() const { return certificate + '\0' + key + '\0' + client_ca + '\0' + client_names; }
};

Result<CertificateWatcher::Texts> CertificateWatcher::read_files() const {
  Texts out;
  const auto read = [](const std::string& path, std::string& into) -> Status {
    auto content = read_part(path);
    if (!content) return content.error();
    into = *std::move(content);
    return Ok{};
  };
  if (auto done = read(files_.certificate, out.certificate); !done) return done.error();
  if (auto done = read(files_.key, out.key); !done) return done.error();
  if (!files_.client_ca.empty()) {
    if (auto done = read(files_.client_ca, out.client_ca); !done) return done.error();
  }
  if (!files_.client_names_file.empty()) {
    if (auto done = read(files_.client_names_file, out.client_names); !done) return done.error();
  }
  return out;
}

/// The certificate in use when the files still hold it, else a new one, checked.
Result<std::shared_ptr<const CertificateWatcher::Loaded>> CertificateWatcher::load() const {
  const auto texts = read_files();
  if (!texts) return texts.error();
  auto fresh = std::make_shared<Loaded>();
  fresh->files_content = texts->all();
  if (const auto current = state_.lock()->current; current && current->files_content == fresh->files_content) {
    return current;
  }
  if (auto done = load_pair(*texts, *fresh); !done) return done.error();
  if (!files_.client_ca.empty()) {
    if (auto done = load_clients(*texts, *fresh); !done) return done.error();
  }
  return std::shared_ptr<const Loaded>(std::move(fresh));
}

/// The certificate with its chain, its key and what is told of it.
Status CertificateWatcher::load_pair(const Texts& texts, Loaded& into) const {
  ERR_clear_error();
  const auto certificate_bio = openssl::reader_of(texts.certificate);
  into.leaf.reset(PEM_read_bio_X509(certificate_bio.get(), nullptr, no_passphrase, nullptr));
  if (!into.leaf) return invalid("no PEM certificate in " + files_.certificate + ": " + openssl::take_error());
  into.chain.reset(sk_X509_new_null());
  while (X509* issuer = PEM_read_bio_X509(certificate_bio.get(), nullptr, no_passphrase, nullptr)) {
    sk_X509_push(into.chain.get(), issuer);
  }
  const bool ended_well = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!ended_well) return invalid("broken chain in " + files_.certificate + ": " + openssl::take_error());
  ERR_clear_error();

  into.key.reset(PEM_read_bio_PrivateKey(openssl::reader_of(texts.key).get(), nullptr, no_passphrase, nullptr));
  if (!into.key) return invalid("no usable PEM private key in " + files_.key + ": " + openssl::take_error());
  if (X509_check_private_key(into.leaf.get(), into.key.get()) != 1) {
    ERR_clear_error();
    return invalid("the key in " + files_.key + " does not belong to the certificate in " + files_.certificate);
  }

  into.facts.not_before = to_wall_time(X509_get0_notBefore(into.leaf.get()));
  into.facts.not_after = to_wall_time(X509_get0_notAfter(into.leaf.get()));
  into.facts.fingerprint = fingerprint_of(into.leaf.get());
  if (into.facts.not_after <= clock_.wall_now()) {
    return invalid("the certificate in " + files_.certificate + " expired at " + format_time(into.facts.not_after));
  }
  return Ok{};
}

/// Whose certificates are accepted of clients, and which names.
Status CertificateWatcher::load_clients(const Texts& texts, Loaded& into) const {
  into.client_ca.reset(X509_STORE_new());
  const auto ca_bio = openssl::reader_of(texts.client_ca);
  int found = 0;
  while (const openssl::X509Ptr ca{PEM_read_bio_X509(ca_bio.get(), nullptr, no_passphrase, nullptr)}) {
    X509_STORE_add_cert(into.client_ca.get(), ca.get());
    ++found;
  }
  ERR_clear_error();
  if (found == 0) return invalid("no PEM certificate in " + files_.client_ca);
  into.client_names = names_in(texts.client_names);
  // An emptied file must not open the door to every name.
  if (into.client_names.empty() && !files_.client_names_file.empty()) {
    return invalid("no name in " + files_.client_names_file);
  }
  into.client_names.insert(into.client_names.end(), files_.client_names.begin(), files_.client_names.end());
  return Ok{};
}

}  // namespace gate
