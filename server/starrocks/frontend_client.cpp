#include "server/starrocks/frontend_client.hpp"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string_view>

#include "policy/text/text.hpp"
#include "server/net/address.hpp"
#include "server/starrocks/login_answer.hpp"
#include "server/starrocks/login_guard.hpp"

// Exported by the library, and declared in none of its headers that are shipped.
extern "C" int ma_pvio_register_callback(my_bool add, void (*callback)(int, MYSQL*, const unsigned char*, std::size_t));

namespace gate {

class Interruption {
 public:
  Interruption() : event_(::eventfd(0, EFD_CLOEXEC)) {
    if (event_ < 0) throw std::runtime_error("no event descriptor for the FE connections");
  }
  ~Interruption() { ::close(event_); }
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  void raise() {
    raised_ = true;
    ::eventfd_write(event_, 1);  // Never read: it stays readable for every wait to come.
  }
  [[nodiscard]] bool raised() const { return raised_; }
  [[nodiscard]] int event() const { return event_; }

 private:
  const int event_;
  std::atomic<bool> raised_{false};
};

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// ---- Waiting: the one place where the library blocks ----

/// Of a login: a greeting, a few requests. TLS handshakes are not among it.
constexpr std::size_t kLoginBytesMax = 64u << 10;
constexpr std::size_t kLoginPacketsMax = 64;
/// Until the first row: the columns, and what is read ahead of the first rows, at 4 bytes a packet.
constexpr std::size_t kHeaderPacketsMax = kColumnsMax + (16u << 10) / 4 + 16;
/// Enough for a greeting and the name of a login plugin.
constexpr std::size_t kHeardMax = 2048;
constexpr std::size_t kNoPacketLimit = SIZE_MAX;  ///< Rows are handed out one by one: their bytes count.

/// What ends the waits of the library call that this thread is in.
struct Wait {
  Wait(Deadline given, const Interruption& from_outside, const std::function<bool()>& ended_by_owner = {})
      : deadline(given), interruption(from_outside), ended(ended_by_owner) {
    current = this;
  }
  ~Wait() { current = nullptr; }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  [[nodiscard]] bool over() {
    interrupted = interrupted || interruption.raised() || (ended && ended());
    timed_out = timed_out || steady_clock::now() >= deadline;
    return interrupted || timed_out;
  }
  /// Why it is over.
  [[nodiscard]] ErrorCode code() const { return interrupted ? ErrorCode::Unavailable : ErrorCode::DeadlineExceeded; }
  [[nodiscard]] std::string reason(const char* timeout) const { return interrupted ? "interrupted" : timeout; }
  /// How long to wait before looking again.
  [[nodiscard]] milliseconds slice() const {
    constexpr milliseconds kOwnerLook{250};                  // the owner's word is asked for, not announced
    constexpr milliseconds kLongest(std::chrono::hours(1));  // poll() counts in int
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    return std::clamp(left, milliseconds(1), ended ? kOwnerLook : kLongest);
  }

  AnswerMeter* meter = nullptr;  ///< What arrives is counted by it.
  std::string heard{};           ///< The first bytes of a login that follow the greeting.
  const Deadline deadline;
  const Interruption& interruption;
  const std::function<bool()> ended;
  bool interrupted = false;
  bool timed_out = false;

  static thread_local Wait* current;
};
thread_local Wait* Wait::current = nullptr;

/// Called by the library on the thread of the call. Like poll(): 1 ready, 0 timed out, -1 failed.
int wait_for_socket(my_socket socket, my_bool for_reading, int /*timeout: the deadline decides*/) {
  for (;;) {
    if (Wait::current == nullptr || Wait::current->over()) {  // Closing a session waits for nothing.
      errno = ETIMEDOUT;
      return 0;
    }
    std::array waiting{pollfd{socket, static_cast<short>(for_reading != 0 ? POLLIN : POLLOUT), 0},
                       pollfd{Wait::current->interruption.event(), POLLIN, 0}};
    const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(Wait::current->slice().count()));
    if (ready < 0 && errno != EINTR) return ready;
    if (ready > 0 && waiting[0].revents != 0 && waiting[1].revents == 0) return 1;
  }
}

/// Called by the library on the thread of the call with what it has read (mode 0) or written. `size` is negative in
/// disguise when it failed.
void on_traffic(int mode, MYSQL* mysql, const unsigned char* bytes, std::size_t size) {
  Wait* wait = Wait::current;
  if (mode != 0 || wait == nullptr || wait->meter == nullptr || static_cast<std::ptrdiff_t>(size) <= 0) return;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  if (wait->heard.size() < kHeardMax) wait->heard.append(text.substr(0, kHeardMax - wait->heard.size()));
  if (wait->meter->count(text)) return;
  // Cut at once, what has arrived with it: shutdown() alone would let the library read on.
  const sockaddr nobody{AF_UNSPEC, {}};
  if (::connect(mysql_get_socket(mysql), &nobody, sizeof(nobody)) != 0) {
    ::shutdown(mysql_get_socket(mysql), SHUT_RDWR);
  }
}

void prepare_thread() {
  struct Registration {
    Registration() { mysql_thread_init(); }
    ~Registration() { mysql_thread_end(); }
  };
  thread_local const Registration registration;
}

// ---- Errors ----

constexpr std::array<unsigned, 12> kLoginRefused = {
    ER_ACCESS_DENIED_ERROR,
    ER_DBACCESS_DENIED_ERROR,
    ER_HOST_NOT_PRIVILEGED,
    ER_MUST_CHANGE_PASSWORD_LOGIN,
    ER_ACCESS_DENIED_NO_PASSWORD_ERROR,
    CR_AUTH_PLUGIN_CANNOT_LOAD,
    CR_PLUGIN_NOT_ALLOWED,
    5203,  // StarRocks: access denied
    5205,  // StarRocks: insecure transport prohibited
    5206,  // StarRocks: group not allowed
    5207,  // StarRocks: OAuth2 needed
    5208,  // StarRocks: no authenticator of the chain agreed
};

/// Errors after which the server closes the connection.
constexpr std::array<unsigned, 4> kSessionEnded = {ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED, ER_NEW_ABORTING_CONNECTION,
                                                   ER_ABORTING_CONNECTION};

template <std::size_t Size>
bool contains(const std::array<unsigned, Size>& codes, unsigned code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

/// The library's own errors, after which the state of the connection is unknown. It numbers newer ones from 5000, where
/// StarRocks has its own; of those, only these two can come from a statement.
bool is_client_error(unsigned code) {
  return (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) || code == CR_ERR_NET_READ || code == CR_ERR_NET_WRITE;
}

/// StarRocks sends nearly everything as 1064, and what befell it on the way to another FE in Java's words.
bool is_transport_failure(std::string_view text) {
  constexpr std::string_view kWrapper = "Unexpected exception: ";  // before 3.0
  if (text.starts_with(kWrapper)) text.remove_prefix(kWrapper.size());
  constexpr auto kBeginnings = std::to_array<std::string_view>({
      "java.net.",
      "java.io.",
      "java.nio.",
      "java.util.concurrent.TimeoutException",
      "org.apache.thrift",
      "com.sleepycat.",  // the database that elects the leader
      "Socket is closed",
      "Read timed out",
      "Connect timed out",
      "connect timed out",
      "Connection refused",
      "Connection reset",
      "Broken pipe",
      "No route to host",
      "Network is unreachable",
      "Cannot open null host",
      "Call thrift rpc failed",
      "Timeout waiting for idle object",
      "Cannot invoke \"com.starrocks.system.Frontend.",                   // a leader that nobody knows
      "Execute timeout, the command may be succeed, you'd better retry",  // the leader's journal came too late
      "Interrupted exception happens, the command may be succeed",
  });
  return std::any_of(kBeginnings.begin(), kBeginnings.end(),
                     [&](std::string_view beginning) { return text.starts_with(beginning); });
}

/// FEs that each take another one for the leader hand a statement round.
constexpr unsigned kForwardedTooOften = 5401;

std::string describe(MYSQL& mysql) {
  return "ERROR " + std::to_string(mysql_errno(&mysql)) + " (" + clean_text(mysql_sqlstate(&mysql)) +
         "): " + clean_text(mysql_error(&mysql));
}

struct CloseMysql {
  void operator()(MYSQL* mysql) const { mysql_close(mysql); }
};
using Handle = std::unique_ptr<MYSQL, CloseMysql>;

struct FreeResult {
  void operator()(MYSQL_RES* result) const { mysql_free_result(result); }
};
using Rows = std::unique_ptr<MYSQL_RES, FreeResult>;

// ---- Session ----

class MysqlFrontendSession final : public FrontendSession {
 public:
  MysqlFrontendSession(Handle handle, std::string peer, std::shared_ptr<const Interruption> interruption)
      : mysql_(std::move(handle)), peer_(std::move(peer)), interruption_(std::move(interruption)) {}

  Result<QueryResult> execute(std::string_view sql, Deadline deadline) override {
    std::vector<QueryResult> results;
    if (auto error = run(sql, deadline, results)) return *std::move(error);
    return results.empty() ? QueryResult{} : std::move(results.back());
  }

  /// StarRocks runs what is separated by semicolons up to the first error, whatever the client says that it can do.
  std::vector<Result<QueryResult>> execute_all(const std::vector<std::string>& statements, Deadline deadline) override {
    std::vector<Result<QueryResult>> out;
    while (out.size() < statements.size()) {
      const std::vector<std::string> left(statements.begin() + static_cast<std::ptrdiff_t>(out.size()),
                                          statements.end());
      if (left.size() == 1 || one_at_a_time_) {
        auto rest = FrontendSession::execute_all(left, deadline);
        std::move(rest.begin(), rest.end(), std::back_inserter(out));
        break;
      }
      std::string chain;
      for (const auto& sql : left) chain += (chain.empty() ? "" : "; ") + sql;
      std::vector<QueryResult> results;
      auto error = run(chain, deadline, results);
      const bool rejected = error && error->code == ErrorCode::Rejected;
      // A server that takes no chain, or answers less or more of it than was asked.
      one_at_a_time_ =
          rejected ? results.empty() || results.size() >= left.size() : !error && results.size() != left.size();
      if (one_at_a_time_) continue;
      std::move(results.begin(), results.end(), std::back_inserter(out));
      if (error) out.emplace_back(*error);
      if (error && !rejected) out.resize(statements.size(), *error);
    }
    return out;
  }

  void end_when(const std::function<bool()>& ended) override { ended_ = ended; }

 private:
  /// Adds each result set with columns to `results`, those before an error, too.
  std::optional<Error> run(std::string_view sql, Deadline deadline, std::vector<QueryResult>& results) {
    prepare_thread();
    if (dead_) return Error{ErrorCode::Unavailable, "the session with " + peer_ + " is over", 0};
    AnswerMeter meter;
    meter.allow(kResultBytesMax, kHeaderPacketsMax);
    Wait wait(deadline, *interruption_, ended_);
    wait.meter = &meter;
    if (wait.over()) return give_up(wait.code(), wait.reason("no time was left for the statement"));
    if (mysql_real_query(mysql_.get(), sql.data(), sql.size()) != 0) return failure(wait);
    for (std::size_t bytes = 0;;) {
      meter.allow_packets(kNoPacketLimit);
      if (auto error = read_result(wait, results, bytes)) return error;
      meter.allow_packets(kHeaderPacketsMax);
      const int next = mysql_next_result(mysql_.get());
      if (next < 0) return std::nullopt;
      if (next > 0) return failure(wait);
    }
  }

  /// Reads the current result set, if the statement has one, and adds it to `results`.
  std::optional<Error> read_result(Wait& wait, std::vector<QueryResult>& results, std::size_t& bytes) {
    // Row by row, so that neither the size nor the duration of an answer is in the server's hands.
    const Rows rows(mysql_use_result(mysql_.get()));
    if (!rows) {
      if (mysql_field_count(mysql_.get()) != 0) return failure(wait);
      return wait.over() ? std::optional(give_up(wait.code(), wait.reason("the answer was not read in time")))
                         : std::nullopt;
    }
    QueryResult out;
    const unsigned columns = mysql_num_fields(rows.get());
    if (columns > kColumnsMax)
      return give_up(ErrorCode::Unavailable, "the answer has more than " + std::to_string(kColumnsMax) + " columns");
    for (unsigned i = 0; i < columns; ++i) {
      const MYSQL_FIELD* field = mysql_fetch_field_direct(rows.get(), i);
      out.columns.emplace_back(field->name, field->name_length);
      bytes += field->name_length;
    }
    while (MYSQL_ROW values = mysql_fetch_row(rows.get())) {
      const unsigned long* lengths = mysql_fetch_lengths(rows.get());
      std::vector<std::optional<std::string>> row(columns);
      for (unsigned i = 0; i < columns; ++i) {
        if (values[i] == nullptr) continue;
        row[i].emplace(values[i], lengths[i]);
        bytes += lengths[i];
      }
      bytes += columns * sizeof(std::optional<std::string>) + sizeof(std::vector<std::optional<std::string>>);
      out.rows.push_back(std::move(row));
      if (bytes > kResultBytesMax)
        return give_up(ErrorCode::Unavailable,
                       "the answer has more than " + std::to_string(kResultBytesMax) + " bytes");
      if (wait.over()) return give_up(wait.code(), wait.reason("the answer was not read in time"));
    }
    if (mysql_errno(mysql_.get()) != 0) return failure(wait);
    results.push_back(std::move(out));
    return std::nullopt;
  }

  /// Names the library's error, and ends the session unless it is the statement's own.
  Error failure(Wait& wait) {
    const unsigned code = mysql_errno(mysql_.get());
    const std::string text = describe(*mysql_);
    const int peer_code = static_cast<int>(code);
    if (wait.meter->spent())
      return give_up(ErrorCode::Unavailable, "the answer has more than " + std::to_string(kResultBytesMax) +
                                                 " bytes or " + std::to_string(kColumnsMax) + " columns");
    if (code == kForwardedTooOften || (code == ER_PARSE_ERROR && is_transport_failure(mysql_error(mysql_.get())))) {
      auto out = give_up(ErrorCode::Unavailable, text);
      out.peer_code = peer_code;
      return out;
    }
    if (!is_client_error(code) && !contains(kSessionEnded, code) && code != 0)
      return Error{ErrorCode::Rejected, text, peer_code};
    Error out = wait.interrupted || wait.timed_out ? give_up(wait.code(), wait.reason("no answer in time"))
                                                   : give_up(ErrorCode::Unavailable, text);
    out.peer_code = peer_code;
    return out;
  }

  /// Ends the session. The socket is shut at once: what the library still sends or reads on closing cannot block.
  Error give_up(ErrorCode code, const std::string& reason) {
    dead_ = true;
    ::shutdown(mysql_get_socket(mysql_.get()), SHUT_RDWR);
    return Error{code, peer_ + ": " + reason, 0};
  }

  Handle mysql_;
  std::string peer_;
  std::shared_ptr<const Interruption> interruption_;
  std::function<bool()> ended_;
  bool dead_ = false;
  bool one_at_a_time_ = false;  // this server takes no statements together
};

// ---- Login ----

/// What may be wrong with a password that was refused, without saying anything of it.
std::string password_hint(const std::string& password) {
  if (password.empty()) return " (no password is configured for it)";
  constexpr std::string_view kSpace = " \t\r\n";
  if (kSpace.find(password.back()) != std::string_view::npos || kSpace.find(password.front()) != std::string_view::npos)
    return " (the configured password begins or ends with white space: want it without, if that is not meant)";
  return " (with the configured password, whatever the server says about using one)";
}

Error login_failure(MYSQL& mysql, const Wait& wait, const LoginGuard& guard, const FrontendAccess& access,
                    const std::string& who) {
  if (!guard.refusal().empty()) return {ErrorCode::PermissionDenied, who + ": " + guard.refusal(), 0};
  const unsigned code = mysql_errno(&mysql);
  const int peer_code = static_cast<int>(code);
  if (wait.meter->spent())
    return {ErrorCode::Unavailable,
            who + ": the login has more than " + std::to_string(kLoginBytesMax) + " bytes or " +
                std::to_string(kLoginPacketsMax) + " packets",
            0};
  if (wait.interrupted || wait.timed_out)
    return {wait.code(), who + ": " + wait.reason("no answer to the login in time"), peer_code};
  if ((code == CR_PLUGIN_NOT_ALLOWED || code == CR_AUTH_PLUGIN_CANNOT_LOAD) && guard.passed()) {
    return {ErrorCode::PermissionDenied, who + ": " + guard.why_refused(wanted_login_plugin(wait.heard)), peer_code};
  }
  std::string text = who + ": " + describe(mysql);
  if (code == ER_ACCESS_DENIED_ERROR) text += password_hint(access.password);
  // Everything else is worth another try, connection limits ("Reach user-level ... connection limit", sent as 1064)
  // included.
  return {contains(kLoginRefused, code) ? ErrorCode::PermissionDenied : ErrorCode::Unavailable, text, peer_code};
}

Result<std::unique_ptr<FrontendSession>> log_in(const FrontendAccess& access, const std::string& address,
                                                const FrontendClientOptions& options, Deadline deadline,
                                                const std::shared_ptr<const Interruption>& interruption) {
  const std::string peer = clean_text(access.address.host) + ":" + std::to_string(access.address.port);
  const std::string who = clean_text(access.username) + "@" + peer;
  Handle mysql(mysql_init(nullptr));
  if (!mysql) return Error{ErrorCode::Internal, "out of memory for a MySQL session", 0};

  const unsigned protocol = MYSQL_PROTOCOL_TCP;  // "localhost" would mean a Unix socket.
  const my_bool off = 0;
  const unsigned no_files = 0;
  const unsigned long packet_bytes_max = kResultBytesMax;
  mysql_optionsv(mysql.get(), MYSQL_OPT_PROTOCOL, &protocol);
  mysql_optionsv(mysql.get(), MYSQL_OPT_RECONNECT, &off);
  mysql_optionsv(mysql.get(), MYSQL_OPT_LOCAL_INFILE, &no_files);
  mysql_optionsv(mysql.get(), MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_bytes_max);
  mysql_optionsv(mysql.get(), MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_optionsv(mysql.get(), MARIADB_OPT_IO_WAIT, reinterpret_cast<void*>(&wait_for_socket));
  LoginGuard guard(access, options.password_to_unverified);
  guard.prepare(*mysql);

  AnswerMeter meter;
  meter.allow(kLoginBytesMax, kLoginPacketsMax);
  Wait wait(deadline, *interruption);
  wait.meter = &meter;
  const MYSQL* connected =
      mysql_real_connect(mysql.get(), address.c_str(), access.username.c_str(), access.password.c_str(), nullptr,
                         access.address.port, nullptr, CLIENT_MULTI_RESULTS);
  if (connected == nullptr) return login_failure(*mysql, wait, guard, access, who);
  if (!guard.passed()) return Error{ErrorCode::PermissionDenied, who + ": the server let the login pass unchecked", 0};
  return std::unique_ptr<FrontendSession>(std::make_unique<MysqlFrontendSession>(std::move(mysql), peer, interruption));
}

/// Once, by the first to connect: a gate that has no upgrade to prepare spends neither the time nor the memory.
const Status& client_library() {
  static const Status started = [] {
    if (mysql_library_init(0, nullptr, nullptr) != 0)
      return Status(Error{ErrorCode::Internal, "the MySQL client library does not start", 0});
    ma_pvio_register_callback(1, &on_traffic);
    return LoginGuard::register_plugin();
  }();
  return started;
}

/// What the rest of a name after its first label is: the namespace's Services, for a Service.
std::string_view domain_of(std::string_view host) {
  const auto dot = host.find('.');
  return dot == std::string_view::npos ? std::string_view{} : host.substr(dot);
}

/// An address that the database names: a number, or a name among the Services that it was reached by.
Status judge_name(const FrontendAccess& access) {
  if (!access.named_by || access.address == *access.named_by || is_ip_address(access.address.host)) return Ok{};
  const auto domain = domain_of(access.named_by->host);
  if (!is_ip_address(access.named_by->host) && !domain.empty() && access.address.host.ends_with(domain)) return Ok{};
  return Error{ErrorCode::PermissionDenied,
               "SHOW FRONTENDS names an invalid host " + clean_text(access.address.host, 253) + ": want " +
                   (domain.empty() || is_ip_address(access.named_by->host)
                        ? std::string("an IP address")
                        : "an IP address or a name that ends in " + clean_text(domain, 253)),
               0};
}

/// Loopback is meant only where the owner wrote it: a tenant's Service may lead anywhere.
Status judge_resolved(const FrontendAccess& access, const std::vector<std::string>& addresses) {
  const auto& configured = access.named_by ? access.named_by->host : access.address.host;
  const bool localhost = configured == "localhost";
  const bool written = localhost || is_ip_address(configured);
  if (!access.named_by && written) return Ok{};
  const AddressRules rules{localhost || (written && why_never_called(configured, {}) == "a loopback address")};
  return judge_addresses(access.address.host, addresses, rules);
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace

MysqlFrontendConnector::MysqlFrontendConnector(const FrontendClientOptions& options)
    : options_(options), interruption_(std::make_shared<Interruption>()) {}

Result<std::unique_ptr<FrontendSession>> MysqlFrontendConnector::connect(const FrontendAccess& access,
                                                                         Deadline deadline) {
  if (const Status& started = client_library(); !started) return started.error();
  prepare_thread();
  if (access.address.host.empty() || access.username.empty())
    return Error{ErrorCode::InvalidInput, "the FE's host and the user must not be empty", 0};
  if (has_nul(access.address.host) || has_nul(access.username) || has_nul(access.password))
    return Error{ErrorCode::InvalidInput, "a NUL character in the FE's host, user or password", 0};
  if (auto named = judge_name(access); !named) return named.error();

  const auto addresses = resolver_.resolve(access.address.host, deadline);
  if (!addresses) return addresses.error();
  if (auto judged = judge_resolved(access, *addresses); !judged) return judged.error();
  if (access.named_by && access.judge_named && access.address != *access.named_by) {
    if (auto judged = access.judge_named(*addresses, deadline); !judged) return judged.error();
  }
  for (std::size_t i = 0;; ++i) {
    // An address that swallows packets must leave time for the next one.
    const auto now = steady_clock::now();
    const auto share = (deadline - now) / static_cast<int>(addresses->size() - i);
    auto session = log_in(access, (*addresses)[i], options_, now + share, interruption_);
    const bool try_next =
        !session && i + 1 < addresses->size() &&
        (session.error().code == ErrorCode::Unavailable || session.error().code == ErrorCode::DeadlineExceeded);
    if (try_next) continue;
    // Where a database led to somewhere, what is there is told to nobody: only a server that spoke as an FE is quoted.
    const bool by_peer = session || (session.error().peer_code != 0 &&
                                     !is_client_error(static_cast<unsigned>(session.error().peer_code)));
    if (access.named_by && !by_peer && session.error().code != ErrorCode::PermissionDenied && !interruption_->raised())
      return Error{ErrorCode::Unavailable, "no FE answered the login there", 0};
    return session;
  }
}

void MysqlFrontendConnector::interrupt() {
  interruption_->raise();
  resolver_.interrupt();
}

}  // namespace gate
