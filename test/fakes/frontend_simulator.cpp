#include "test/fakes/frontend_simulator.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <list>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "test/fakes/frontend_statements.hpp"
#include "test/fakes/frontend_wire.hpp"

namespace gate {

using namespace std::chrono_literals;

using fake_frontend::Acknowledgement;
using fake_frontend::Answer;
using fake_frontend::Stalled;
using fake_frontend::Wire;

namespace {

constexpr int kBacklog = 64;
constexpr char kQuit = 1;
constexpr char kInitDatabase = 2;
constexpr char kQuery = 3;
constexpr char kPing = 14;

class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

union SocketAddress {
  sockaddr generic;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

Descriptor bound_socket(const std::string& host, std::uint16_t port) {
  SocketAddress address{};
  const bool v6 = ::inet_pton(AF_INET6, host.c_str(), &address.v6.sin6_addr) == 1;
  if (!v6 && ::inet_pton(AF_INET, host.c_str(), &address.v4.sin_addr) != 1)
    throw std::runtime_error("not an address: " + host);
  address.generic.sa_family = v6 ? AF_INET6 : AF_INET;
  (v6 ? address.v6.sin6_port : address.v4.sin_port) = htons(port);
  Descriptor out(::socket(address.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  ::setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  ::setsockopt(out.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (::bind(out.get(), &address.generic, v6 ? sizeof address.v6 : sizeof address.v4) != 0)
    throw std::runtime_error("cannot bind " + host + " port " + std::to_string(port) + ": " + std::strerror(errno));
  return out;
}

std::uint16_t port_of(const Descriptor& socket) {
  SocketAddress address{};
  socklen_t size = sizeof(address);
  ::getsockname(socket.get(), &address.generic, &size);
  return ntohs(address.generic.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

enum class FaultKind { Fail, Delay, Hang, Drop, Answer, FailLogin, HangLogin };

struct Fault {
  FaultKind kind = FaultKind::Fail;
  std::string substring;
  std::optional<std::size_t> frontend;
  std::size_t times = SIZE_MAX;
  SqlError error = {};
  std::chrono::milliseconds duration = {};
  SimulatedResult result = {};
  std::size_t generation = 0;  ///< When it was taken.
};

struct Connection {
  Descriptor socket;
  std::size_t frontend = 0;
  std::uint32_t id = 0;
  bool logged_in = false;
  bool done = false;  ///< The thread is over; the reaper may join it.
  std::jthread thread;
};

}  // namespace

struct FrontendSimulator::Impl {
  // Constant after construction.
  FrontendSimulatorOptions options;
  fake_frontend::SslContext tls;
  Descriptor wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  struct Listener {
    Descriptor reservation;  ///< Bound and never listening: keeps the port ours while the FE is stopped.
    Descriptor socket;       ///< Bound by number, so that ::shutdown stops it from listening and keeps it bound.
  };
  std::vector<Listener> listeners;

  // Guarded by `mutex`; `changed` tells of every change.
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  fake_frontend::Cluster cluster;
  std::vector<Fault> faults;
  std::size_t fault_generation = 0;  ///< Counts clear_faults().
  std::vector<ReceivedStatement> log;
  std::size_t next_order = 0;
  std::vector<ReceivedLogin> logins;
  std::list<Connection> connections;
  std::uint32_t next_connection_id = 1;
  bool stopping = false;
  std::chrono::milliseconds passed{0};  ///< By pass_time().
  const std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();

  std::jthread acceptor;  // Last: started when all of the above is there.

  explicit Impl(FrontendSimulatorOptions given) : options(std::move(given)), cluster(options) {
    if (options.greeting_version.empty())
      options.greeting_version = fake_frontend::parse_version(options.version).at_least(3, 4) ? "8.0.33" : "5.1.0";
    if (!options.certificate_pem.empty())
      tls = fake_frontend::make_tls_context(options.certificate_pem, options.private_key_pem);
    for (std::size_t i = 0; i < options.frontends; ++i) {
      Listener listener{bound_socket(options.address, i < options.ports.size() ? options.ports[i] : std::uint16_t{0}),
                        Descriptor()};
      listener.socket = bound_socket(options.address, port_of(listener.reservation));
      if (::listen(listener.socket.get(), kBacklog) != 0) throw std::runtime_error("cannot listen");
      cluster.frontends[i].port = port_of(listener.reservation);
      listeners.push_back(std::move(listener));
    }
    acceptor = std::jthread([this] { accept_loop(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      for (const Connection& connection : connections) ::shutdown(connection.socket.get(), SHUT_RDWR);
    }
    changed.notify_all();
    wake_acceptor();
    acceptor.join();
    connections.clear();  // joins
  }

  void wake_acceptor() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake.get(), &one, sizeof(one));
  }

  void accept_loop() {
    for (;;) {
      std::vector<pollfd> waiting{{wake.get(), POLLIN, 0}};
      std::vector<std::size_t> frontend_of{0};
      std::list<Connection> finished;
      {
        const std::lock_guard lock(mutex);
        if (stopping) return;
        for (std::size_t i = 0; i < listeners.size(); ++i) {
          if (!cluster.frontends[i].alive) continue;
          waiting.push_back({listeners[i].socket.get(), POLLIN, 0});
          frontend_of.push_back(i);
        }
        for (auto it = connections.begin(); it != connections.end();) {
          const auto next = std::next(it);
          if (it->done) finished.splice(finished.end(), connections, it);
          it = next;
        }
      }
      finished.clear();  // joins and closes, without the lock
      ::poll(waiting.data(), waiting.size(), -1);
      std::uint64_t ignored = 0;
      [[maybe_unused]] const auto got = ::read(wake.get(), &ignored, sizeof(ignored));
      for (std::size_t i = 1; i < waiting.size(); ++i) {
        if (waiting[i].revents == 0) continue;
        Descriptor socket(::accept4(waiting[i].fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (socket.get() >= 0) start_connection(std::move(socket), frontend_of[i]);
      }
    }
  }

  void start_connection(Descriptor socket, std::size_t frontend) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const std::lock_guard lock(mutex);
    if (stopping || !cluster.frontends[frontend].alive) return;
    Connection& connection = connections.emplace_back();
    connection.socket = std::move(socket);
    connection.frontend = frontend;
    constexpr unsigned kFrontendShift = 24;  // ids are told apart by FE
    connection.id = (static_cast<std::uint32_t>(frontend + 1) << kFrontendShift) + next_connection_id++;
    connection.thread = std::jthread([this, &connection] {
      // A client that leaves while OpenSSL writes must not end the process.
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      serve(connection);
      {
        const std::lock_guard done_lock(mutex);
        ::shutdown(connection.socket.get(), SHUT_RDWR);
        connection.done = true;
      }
      changed.notify_all();
      wake_acceptor();
    });
  }

  void serve(Connection& connection) {
    Wire wire(connection.socket.get());
    fake_frontend::ConnectionState state;
    state.id = connection.id;
    {
      const std::lock_guard lock(mutex);
      state.roles = cluster.grants.default_roles;
    }
    if (!log_in(connection, wire)) return;
    while (const auto packet = wire.read_packet()) {
      if (packet->empty()) return;
      const char command = packet->front();
      if (command == kQuit) return;
      bool goes_on = false;
      if (command == kQuery) {
        goes_on = options.infile_attack ? ask_for_file(wire) : run(connection, state, wire, packet->substr(1));
      } else if (command == kPing || command == kInitDatabase) {
        goes_on = wire.write_packet(fake_frontend::ok_payload(0));
      } else {
        goes_on = wire.write_packet(fake_frontend::error_payload({1047, "08S01", "Unknown command"}));
      }
      if (!goes_on) return;
    }
  }

  /// False when the connection is over; the error, if any, has been sent.
  bool log_in(Connection& connection, Wire& wire) {
    const auto refuse = [&](const SqlError& error) {
      [[maybe_unused]] const bool sent = wire.write_packet(fake_frontend::error_payload(error));
      return false;
    };
    fake_frontend::Greeting greeting;
    greeting.version = options.greeting_version;
    greeting.capabilities =
        fake_frontend::server_capabilities(fake_frontend::parse_version(options.version), tls != nullptr);
    if (options.fake_plugin_auth_missing) greeting.capabilities &= ~0x80000U;
    greeting.connection_id = connection.id;
    greeting.scramble = fake_frontend::random_scramble();
    if (!wire.write_packet(encode(greeting))) return false;

    auto packet = wire.read_packet();
    const auto fault = take_fault(connection.frontend, "", true);
    if (fault && !wait_out(*fault)) return false;
    if (packet && fake_frontend::asks_for_tls(*packet)) {
      if (!tls) return refuse({5400, "XX000", "Failed to change to SSL connection"});
      if (!wire.accept_tls(*tls)) return false;
      packet = wire.read_packet();
    }
    if (!packet) return false;
    auto login = fake_frontend::parse_login(*packet, greeting.capabilities);
    if (!login) return refuse({1043, "08S01", "Bad handshake"});
    const auto denied = [&] {
      record_login(connection, *login);
      return refuse({1045, "28000",
                     "Access denied for user '" + login->username +
                         "' (using password: " + (login->auth_response.empty() ? "NO" : "YES") + ")"});
    };
    if (options.force_tls && !wire.encrypted()) {
      record_login(connection, *login);
      return refuse({5205, "HY000", "Connections using insecure transport are prohibited"});
    }
    if (login->username != options.username) return denied();  // before any switch of the plugin
    if (!login->plugin.empty() && login->plugin != options.account_plugin) {
      const bool clear = options.account_plugin == "mysql_clear_password";
      const std::string data = clear ? std::string(1, '\0') : greeting.scramble + '\0';
      if (!wire.write_packet("\xfe" + options.account_plugin + '\0' + data)) return false;
      packet = wire.read_packet();
      if (!packet) return false;
      login->auth_response = *packet;
    }
    if (options.ldap_out_of_reach) {
      record_login(connection, *login);
      return refuse({1045, "28000", "localhost:389"});
    }
    if (!password_matches(*login, greeting.scramble)) return denied();
    record_login(connection, *login);
    if (!admit(connection)) {
      return refuse({1064, "HY000",
                     "Reach user-level(qualifiedUser: " + login->username +
                         ") connection limit, currentUserMaxConn=" + std::to_string(options.max_user_connections)});
    }
    if (fault && fault->kind == FaultKind::FailLogin) return refuse(fault->error);
    return wire.write_packet(fake_frontend::ok_payload(0));
  }

  /// Counts it among the account's connections to this FE; false when there are as many as it may have.
  bool admit(Connection& connection) {
    const std::lock_guard lock(mutex);
    const auto open = std::count_if(connections.begin(), connections.end(), [&](const Connection& other) {
      return other.logged_in && !other.done && other.frontend == connection.frontend;
    });
    if (options.max_user_connections > 0 && static_cast<std::size_t>(open) >= options.max_user_connections)
      return false;
    connection.logged_in = true;
    return true;
  }

  bool password_matches(const fake_frontend::LoginRequest& login, const std::string& scramble) const {
    if (options.account_plugin == "mysql_clear_password")
      return login.auth_response == options.password + '\0' || login.auth_response == options.password;
    return fake_frontend::native_password_matches(options.password, scramble, login.auth_response);
  }

  void record_login(const Connection& connection, const fake_frontend::LoginRequest& login) {
    const std::lock_guard lock(mutex);
    logins.push_back({cluster.frontends[connection.frontend].name, login.username, login.auth_response});
    changed.notify_all();
  }

  bool ask_for_file(Wire& wire) {
    if (!wire.write_packet("\xfb/etc/hostname")) return false;
    const auto file = wire.read_packet();
    if (file && !file->empty()) {
      const std::lock_guard lock(mutex);
      log.push_back({next_order++, "attacker", *file, false});
    }
    return file && wire.write_packet(fake_frontend::ok_payload(0));
  }

  /// The newest fault for this statement (or login), its count taken down.
  std::optional<Fault> take_fault(std::size_t frontend, const std::string& sql, bool login) {
    const std::lock_guard lock(mutex);
    for (auto it = faults.rbegin(); it != faults.rend(); ++it) {
      const bool of_login = it->kind == FaultKind::FailLogin || it->kind == FaultKind::HangLogin;
      const bool fits = of_login == login && it->times > 0 && (!it->frontend || *it->frontend == frontend) &&
                        sql.find(it->substring) != std::string::npos;
      if (!fits) continue;
      if (it->times != SIZE_MAX) --it->times;
      auto taken = *it;
      taken.generation = fault_generation;
      return taken;
    }
    return std::nullopt;
  }

  /// Whether a fault will take the statement's place.
  bool is_faulty(std::size_t frontend, const std::string& sql) const {
    const std::lock_guard lock(mutex);
    return std::any_of(faults.begin(), faults.end(), [&](const Fault& fault) {
      const bool replaces = fault.kind == FaultKind::Fail || fault.kind == FaultKind::Answer;
      return replaces && fault.times > 0 && (!fault.frontend || *fault.frontend == frontend) &&
             sql.find(fault.substring) != std::string::npos;
    });
  }

  /// The chain is parsed as a whole: nothing of it runs when one statement is none.
  std::optional<SqlError> syntax_error_in(std::size_t frontend, const std::vector<std::string>& chain) const {
    if (chain.size() < 2) return std::nullopt;
    for (const auto& sql : chain) {
      auto refused = is_faulty(frontend, sql) ? std::nullopt : fake_frontend::Cluster::syntax_error_in(sql);
      if (refused) return refused;
    }
    return std::nullopt;
  }

  /// Runs a chain as StarRocks does: all statements, up to the first error. False ends the connection.
  bool run(Connection& connection, fake_frontend::ConnectionState& state, Wire& wire, const std::string& text) {
    auto chain = fake_frontend::split_statements(text);
    if (chain.empty()) chain.push_back(text);
    if (const auto refused = syntax_error_in(connection.frontend, chain)) {
      const std::size_t order = record(connection, text);
      mark_acknowledged(order, true);
      return wire.write_packet(fake_frontend::error_payload(*refused));
    }
    for (std::size_t i = 0; i < chain.size(); ++i) {
      const std::uint16_t more = i + 1 < chain.size() ? fake_frontend::kMoreResultsExist : 0;
      const std::size_t order = record(connection, chain[i]);
      const auto fault = take_fault(connection.frontend, chain[i], false);
      if (fault && !wait_out(*fault)) return false;

      Answer answer = Acknowledgement{};
      if (fault && fault->kind == FaultKind::Fail) {
        answer = fault->error;
      } else if (fault && fault->kind == FaultKind::Answer) {
        answer = fault->result;
      } else {
        const auto executed = execute(connection, state, chain[i]);
        if (!executed) return false;
        answer = *executed;
      }
      const auto* error = std::get_if<SqlError>(&answer);
      const std::string bytes = encode_answer(wire, answer, more);
      if (fault && fault->kind == FaultKind::Drop) {
        [[maybe_unused]] const bool sent = wire.write(std::string_view(bytes).substr(0, bytes.size() / 2));
        return false;
      }
      mark_acknowledged(order, true);  // Before the client can know, so that it finds the mark when it looks.
      if (!wire.write(bytes)) {
        mark_acknowledged(order, false);
        return false;
      }
      if (error != nullptr) return true;
    }
    return true;
  }

  static std::string encode_answer(Wire& wire, const Answer& answer, std::uint16_t more) {
    if (const auto* error = std::get_if<SqlError>(&answer)) return wire.frame(fake_frontend::error_payload(*error));
    if (const auto* rows = std::get_if<SimulatedResult>(&answer)) return encode(wire, *rows, more);
    return wire.frame(fake_frontend::ok_payload(more));
  }

  std::size_t record(const Connection& connection, const std::string& sql) {
    ReceivedStatement statement;
    {
      const std::lock_guard lock(mutex);
      statement = {next_order++, cluster.frontends[connection.frontend].name, sql, false};
      log.push_back(statement);
    }
    changed.notify_all();
    if (options.on_statement) options.on_statement(statement);
    return statement.order;
  }

  void mark_acknowledged(std::size_t order, bool acknowledged) {
    {
      const std::lock_guard lock(mutex);
      for (auto& statement : log)
        if (statement.order == order) statement.acknowledged = acknowledged;
    }
    changed.notify_all();
  }

  /// Sits through a delay or hang, unless clear_faults() was called since it was taken; false when the simulator ends
  /// meanwhile.
  bool wait_out(const Fault& fault) {
    const bool hangs = fault.kind == FaultKind::Hang || fault.kind == FaultKind::HangLogin;
    if (fault.kind != FaultKind::Delay && !hangs) return true;
    std::unique_lock lock(mutex);
    const auto released = [&] { return stopping || fault_generation != fault.generation; };
    if (fault.kind == FaultKind::Delay) {
      changed.wait_for(lock, fault.duration, released);
    } else {
      changed.wait(lock, released);
    }
    return !stopping;
  }

  /// nullopt when the connection is over: the simulator ends, or a KILL or restart met this connection.
  std::optional<Answer> execute(const Connection& connection, fake_frontend::ConnectionState& state,
                                const std::string& sql) {
    std::unique_lock lock(mutex);
    // Real time counts, and what pass_time() adds to it.
    const auto now = [&] { return std::chrono::steady_clock::now() + passed; };
    auto since = now();
    bool waits = false;
    for (;;) {
      if (stopping) return std::nullopt;
      cluster.time_passes(cluster_time());
      auto answer = cluster.execute(connection.frontend, state, sql);
      if (cluster.kill_requested) {
        const auto victim = *std::exchange(cluster.kill_requested, std::nullopt);
        const auto found = std::find_if(connections.begin(), connections.end(),
                                        [&](const Connection& other) { return other.id == victim && !other.done; });
        if (found == connections.end()) return SqlError{1094, "HY000", "Unknown thread id: " + std::to_string(victim)};
        ::shutdown(found->socket.get(), SHUT_RDWR);
      }
      if (!std::holds_alternative<Stalled>(answer)) return answer;
      // Whatever it was may let the statement go on; and another FE is not waited for without end.
      if (!std::exchange(waits, true)) since = now();
      const auto patience = options.rpc_grace + (state.waits_to_connect ? 0s : state.query_timeout);
      changed.wait_until(lock, since + patience - passed);
      if (now() < since + patience) continue;
      state.timed_out = true;
      waits = false;
    }
  }

  /// What the leader's heartbeats and elections go by.
  [[nodiscard]] std::chrono::milliseconds cluster_time() const {
    using std::chrono::milliseconds;
    const auto own = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
    return passed + (options.time_runs ? own : milliseconds(0));
  }

  void cut_connections(std::size_t frontend) {
    for (const Connection& connection : connections)
      if (connection.frontend == frontend) ::shutdown(connection.socket.get(), SHUT_RDWR);
  }

  template <class Change>
  void change(Change apply) {
    {
      const std::lock_guard lock(mutex);
      cluster.time_passes(cluster_time());
      apply();
    }
    changed.notify_all();
    wake_acceptor();
  }
  void end_process(std::size_t frontend) {
    cluster.died(frontend);
    ::shutdown(listeners[frontend].socket.get(), SHUT_RDWR);
    cut_connections(frontend);
  }
};

FrontendSimulator::FrontendSimulator(FrontendSimulatorOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
FrontendSimulator::~FrontendSimulator() = default;

FrontendSimulator::Frontend FrontendSimulator::frontend(std::size_t index) {
  if (index >= size()) throw std::out_of_range("no such frontend");
  return {*this, index};
}
std::size_t FrontendSimulator::size() const { return impl_->listeners.size(); }

std::string FrontendSimulator::Frontend::name() const { return "fe-" + std::to_string(index_); }
std::uint16_t FrontendSimulator::Frontend::port() const {
  return port_of(simulator_->impl_->listeners[index_].reservation);
}
std::optional<std::string> FrontendSimulator::Frontend::config(const std::string& key) const {
  const std::lock_guard lock(simulator_->impl_->mutex);
  return simulator_->impl_->cluster.config(index_, key);
}
void FrontendSimulator::Frontend::set_config(const std::string& key, const std::string& value) {
  simulator_->impl_->change([&] { simulator_->impl_->cluster.set_config(index_, key, value); });
}
std::size_t FrontendSimulator::Frontend::connections() const {
  const std::lock_guard lock(simulator_->impl_->mutex);
  const auto& all = simulator_->impl_->connections;
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const Connection& connection) {
    return connection.frontend == index_ && !connection.done;
  }));
}

void FrontendSimulator::fail(const std::string& substring, SqlError error, std::optional<std::size_t> frontend,
                             std::size_t times) {
  impl_->change([&] {
    impl_->faults.push_back({FaultKind::Fail, substring, frontend, times, std::move(error), {}, {}});
  });
}
void FrontendSimulator::delay(const std::string& substring, std::chrono::milliseconds duration,
                              std::optional<std::size_t> frontend) {
  impl_->change([&] { impl_->faults.push_back({FaultKind::Delay, substring, frontend, SIZE_MAX, {}, duration, {}}); });
}
void FrontendSimulator::hang(const std::string& substring, std::optional<std::size_t> frontend) {
  impl_->change([&] { impl_->faults.push_back({FaultKind::Hang, substring, frontend, SIZE_MAX, {}, {}, {}}); });
}
void FrontendSimulator::drop(const std::string& substring, std::optional<std::size_t> frontend, std::size_t times) {
  impl_->change([&] { impl_->faults.push_back({FaultKind::Drop, substring, frontend, times, {}, {}, {}}); });
}
void FrontendSimulator::answer(const std::string& substring, SimulatedResult result) {
  impl_->change([&] {
    impl_->faults.push_back({FaultKind::Answer, substring, {}, SIZE_MAX, {}, {}, std::move(result)});
  });
}
void FrontendSimulator::fail_login(SqlError error, std::optional<std::size_t> frontend) {
  impl_->change([&] {
    impl_->faults.push_back({FaultKind::FailLogin, "", frontend, SIZE_MAX, std::move(error), {}, {}});
  });
}
void FrontendSimulator::hang_login(std::optional<std::size_t> frontend) {
  impl_->change([&] { impl_->faults.push_back({FaultKind::HangLogin, "", frontend, SIZE_MAX, {}, {}, {}}); });
}
void FrontendSimulator::clear_faults() {
  impl_->change([&] {
    impl_->faults.clear();
    ++impl_->fault_generation;
  });
}

void FrontendSimulator::stop(std::size_t frontend) {
  impl_->change([&] { impl_->end_process(frontend); });
}
void FrontendSimulator::start(std::size_t frontend) {
  impl_->change([&] {
    impl_->cluster.started(frontend, true);
    if (::listen(impl_->listeners[frontend].socket.get(), kBacklog) != 0)
      throw std::runtime_error(std::string("cannot listen again: ") + std::strerror(errno));
  });
}
void FrontendSimulator::restart(std::size_t frontend) {
  impl_->change([&] {
    impl_->cluster.started(frontend, true);
    impl_->cut_connections(frontend);
  });
}
void FrontendSimulator::restart_unheard(std::size_t frontend) {
  impl_->change([&] {
    impl_->cluster.started(frontend, false);
    impl_->cut_connections(frontend);
  });
}
void FrontendSimulator::pass_time(std::chrono::milliseconds by) {
  impl_->change([&] {
    impl_->passed += by;
    impl_->cluster.time_passes(impl_->cluster_time());
  });
}
void FrontendSimulator::roll_out(const std::string& version) {
  for (std::size_t i = 0; i < size(); ++i) restart(i);
  impl_->change([&] {
    auto& cluster = impl_->cluster;
    for (auto& frontend : cluster.frontends) {
      if (!version.empty()) frontend.version = version;
    }
    for (auto* nodes : {&cluster.backends, &cluster.compute_nodes}) {
      for (auto& node : *nodes) {
        ++node.starts;
        if (!version.empty()) node.version = version;
      }
    }
  });
}
void FrontendSimulator::break_broadcast_to(std::size_t frontend, bool broken) {
  impl_->change([&] { impl_->cluster.frontends.at(frontend).broadcast_broken = broken; });
}
void FrontendSimulator::add_frontend() {
  impl_->change([&] { ++impl_->cluster.never_started; });
}
void FrontendSimulator::cut_broadcast_to(std::size_t frontend, bool cut) {
  impl_->change([&] { impl_->cluster.frontends.at(frontend).broadcast_cut = cut; });
}
void FrontendSimulator::set_leader(std::optional<std::size_t> frontend) {
  impl_->change([&] { impl_->cluster.leader = frontend; });
}
void FrontendSimulator::hang_frontend(std::size_t frontend, bool hung) {
  impl_->change([&] {
    auto& state = impl_->cluster.frontends.at(frontend);
    if (hung) {
      impl_->cluster.froze(frontend);
      return;
    }
    const bool led = std::exchange(state.led_when_frozen, false);
    state.hung = false;
    state.listed_until.reset();
    if (led && impl_->cluster.leader && *impl_->cluster.leader != frontend) impl_->end_process(frontend);
  });
}
void FrontendSimulator::set_replayed_journal_id(std::size_t frontend, long long id) {
  impl_->change([&] { impl_->cluster.frontends.at(frontend).replayed_journal_id = id; });
}
void FrontendSimulator::drop_config_item(const std::string& key) {
  impl_->change([&] { impl_->cluster.dropped_items.insert(key); });
}
void FrontendSimulator::set_databases(std::vector<SimulatedDatabase> databases) {
  impl_->change([&] { impl_->cluster.databases = std::move(databases); });
}
void FrontendSimulator::notice_deaths() {
  impl_->change([&] { impl_->cluster.notice_deaths(); });
}
void FrontendSimulator::set_routine_loads(int running, int stopped) {
  impl_->change([&] {
    impl_->cluster.routine_loads = running;
    impl_->cluster.stopped_routine_loads = stopped;
  });
}
namespace {

void move_node(std::vector<SimulatedNode>& nodes, const std::string& host, NodeMove move, const std::string& version,
               const std::string& warehouse) {
  const auto known =
      std::find_if(nodes.begin(), nodes.end(), [&](const SimulatedNode& node) { return node.host == host; });
  if (move == NodeMove::Up && known == nodes.end()) {
    nodes.push_back({.host = host, .version = version, .warehouse = warehouse});
  } else if (known == nodes.end()) {
    return;
  } else if (move == NodeMove::Gone) {
    nodes.erase(known);
  } else {
    known->alive = move == NodeMove::Up;
    if (!known->alive) return;
    ++known->starts;
    if (!version.empty()) known->version = version;
    known->warehouse = warehouse;
  }
}

}  // namespace

void FrontendSimulator::set_backends(std::vector<SimulatedNode> nodes) {
  impl_->change([&] { impl_->cluster.backends = std::move(nodes); });
}
void FrontendSimulator::set_compute_nodes(std::vector<SimulatedNode> nodes) {
  impl_->change([&] { impl_->cluster.compute_nodes = std::move(nodes); });
}
void FrontendSimulator::move_backend(const std::string& host, NodeMove move, const std::string& version) {
  impl_->change([&] { move_node(impl_->cluster.backends, host, move, version, {}); });
}
void FrontendSimulator::move_compute_node(const std::string& host, NodeMove move, const std::string& version,
                                          const std::string& warehouse) {
  impl_->change([&] { move_node(impl_->cluster.compute_nodes, host, move, version, warehouse); });
}
void FrontendSimulator::set_frontend_version(std::size_t frontend, const std::string& version) {
  impl_->change([&] { impl_->cluster.frontends.at(frontend).version = version; });
}
void FrontendSimulator::set_cluster_balance(std::vector<SimulatedBalance> answers) {
  if (answers.empty()) throw std::invalid_argument("at least one answer");
  impl_->change([&] {
    impl_->cluster.scheduler.reset();
    impl_->cluster.balance = std::move(answers);
  });
}
void FrontendSimulator::set_scheduler(SimulatedScheduler scheduler) {
  impl_->change([&] {
    impl_->cluster.balance = {{.pending_tablets = scheduler.pending}};
    impl_->cluster.scheduler = scheduler;
  });
}
SimulatedBalance FrontendSimulator::scheduler() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->cluster.balance.front();
}
void FrontendSimulator::set_grants(SimulatedGrants grants) {
  impl_->change([&] { impl_->cluster.grants = std::move(grants); });
}
void FrontendSimulator::set_statistic(SimulatedStatistic statistic) {
  impl_->change([&] { impl_->cluster.statistic = statistic; });
}

std::vector<ReceivedStatement> FrontendSimulator::statements() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->log;
}
std::vector<ReceivedLogin> FrontendSimulator::logins() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->logins;
}
void FrontendSimulator::forget_statements() {
  impl_->change([&] { impl_->log.clear(); });
}
bool FrontendSimulator::wait_for(const std::function<bool(const std::vector<ReceivedStatement>&)>& predicate,
                                 std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_until(lock, deadline, [&] { return predicate(impl_->log); });
}
bool FrontendSimulator::wait_for_statement(const std::string& substring,
                                           std::chrono::steady_clock::time_point deadline) const {
  return wait_for(
      [&](const std::vector<ReceivedStatement>& all) {
        return std::any_of(all.begin(), all.end(),
                           [&](const ReceivedStatement& one) { return one.sql.find(substring) != std::string::npos; });
      },
      deadline);
}

}  // namespace gate
