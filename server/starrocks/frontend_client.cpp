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
#include "server/starrocks/login_guard.hpp"

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
    prepare_thread();
    if (dead_) return Error{ErrorCode::Unavailable, "the session with " + peer_ + " is over", 0};
    Wait wait(deadline, *interruption_, ended_);
    if (wait.over()) return give_up(wait.code(), wait.reason("no time was left for the statement"));
    if (mysql_real_query(mysql_.get(), sql.data(), sql.size()) != 0) return failure(wait);
    QueryResult last;
    for (std::size_t bytes = 0;;) {
      if (auto error = read_result(wait, last, bytes)) return *error;
      const int next = mysql_next_result(mysql_.get());
      if (next < 0) return last;
      if (next > 0) return failure(wait);
    }
  }

  void end_when(const std::function<bool()>& ended) override { ended_ = ended; }

 private:
  /// Reads the current result set, if the statement has one, into `out`.
  std::optional<Error> read_result(Wait& wait, QueryResult& out, std::size_t& bytes) {
    // Row by row, so that neither the size nor the duration of an answer is in the server's hands.
    const Rows rows(mysql_use_result(mysql_.get()));
    if (!rows) {
      if (mysql_field_count(mysql_.get()) != 0) return failure(wait);
      return wait.over() ? std::optional(give_up(wait.code(), wait.reason("the answer was not read in time")))
                         : std::nullopt;
    }
    out = {};
    const unsigned columns = mysql_num_fields(rows.get());
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
      bytes += columns * sizeof(row[0]);
      out.rows.push_back(std::move(row));
      if (bytes > kResultBytesMax)
        return give_up(ErrorCode::Unavailable,
                       "the answer has more than " + std::to_string(kResultBytesMax) + " bytes");
      if (wait.over()) return give_up(wait.code(), wait.reason("the answer was not read in time"));
    }
    if (mysql_errno(mysql_.get()) != 0) return failure(wait);
    return std::nullopt;
  }

  /// Names the library's error, and ends the session unless it is the statement's own.
  Error failure(Wait& wait) {
    const unsigned code = mysql_errno(mysql_.get());
    const std::string text = describe(*mysql_);
    const int peer_code = static_cast<int>(code);
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
};

// ---- Login ----

Error login_failure(MYSQL& mysql, const Wait& wait, const LoginGuard& guard, const std::string& who) {
  if (!guard.refusal().empty()) return {ErrorCode::PermissionDenied, who + ": " + guard.refusal(), 0};
  const unsigned code = mysql_errno(&mysql);
  const int peer_code = static_cast<int>(code);
  if (wait.interrupted || wait.timed_out)
    return {wait.code(), who + ": " + wait.reason("no answer to the login in time"), peer_code};
  const std::string text = who + ": " + describe(mysql);
  if (code == CR_PLUGIN_NOT_ALLOWED && guard.passed())
    return {ErrorCode::PermissionDenied, text + " (a password in clear text is sent over TLS only)", peer_code};
  // Everything else is worth another try, connection limits ("Reach user-level ... connection limit", sent as 1064)
  // included.
  return {contains(kLoginRefused, code) ? ErrorCode::PermissionDenied : ErrorCode::Unavailable, text, peer_code};
}

Result<std::unique_ptr<FrontendSession>> log_in(const FrontendAccess& access, const std::string& address,
                                                Deadline deadline,
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
  LoginGuard guard(access);
  guard.prepare(*mysql);

  Wait wait(deadline, *interruption);
  const MYSQL* connected =
      mysql_real_connect(mysql.get(), address.c_str(), access.username.c_str(), access.password.c_str(), nullptr,
                         access.address.port, nullptr, CLIENT_MULTI_RESULTS);
  if (connected == nullptr) return login_failure(*mysql, wait, guard, who);
  if (!guard.passed()) return Error{ErrorCode::PermissionDenied, who + ": the server let the login pass unchecked", 0};
  return std::unique_ptr<FrontendSession>(std::make_unique<MysqlFrontendSession>(std::move(mysql), peer, interruption));
}

/// Once, by the first to connect: a gate that has no upgrade to prepare pays neither the time nor the memory.
const Status& client_library() {
  static const Status started = [] {
    if (mysql_library_init(0, nullptr, nullptr) != 0)
      return Status(Error{ErrorCode::Internal, "the MySQL client library does not start", 0});
    return LoginGuard::register_plugin();
  }();
  return started;
}

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace

MysqlFrontendConnector::MysqlFrontendConnector() : interruption_(std::make_shared<Interruption>()) {}

Result<std::unique_ptr<FrontendSession>> MysqlFrontendConnector::connect(const FrontendAccess& access,
                                                                         Deadline deadline) {
  if (const Status& started = client_library(); !started) return started.error();
  prepare_thread();
  if (access.address.host.empty() || access.username.empty())
    return Error{ErrorCode::InvalidInput, "the FE's host and the user must not be empty", 0};
  if (has_nul(access.address.host) || has_nul(access.username) || has_nul(access.password))
    return Error{ErrorCode::InvalidInput, "a NUL character in the FE's host, user or password", 0};

  const auto addresses = resolver_.resolve(access.address.host, deadline);
  if (!addresses) return addresses.error();
  for (std::size_t i = 0;; ++i) {
    // An address that swallows packets must leave time for the next one.
    const auto now = steady_clock::now();
    const auto share = (deadline - now) / static_cast<int>(addresses->size() - i);
    auto session = log_in(access, (*addresses)[i], now + share, interruption_);
    const bool try_next =
        !session && i + 1 < addresses->size() &&
        (session.error().code == ErrorCode::Unavailable || session.error().code == ErrorCode::DeadlineExceeded);
    if (!try_next) return session;
  }
}

void MysqlFrontendConnector::interrupt() {
  interruption_->raise();
  resolver_.interrupt();
}

}  // namespace gate
