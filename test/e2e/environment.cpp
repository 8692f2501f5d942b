#include "test/e2e/environment.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

namespace gate::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

/// A cold start takes about 8 s on two idle cores; sanitizer builds of many tests share them.
constexpr seconds kReadyTimeout{180};
/// A port that was free a moment ago may be taken by another test meanwhile.
constexpr int kStartAttempts = 3;
constexpr int kSkipped = 77;
constexpr milliseconds kPollInterval{100};
constexpr std::size_t kLogTailBytes = 4000;

Error fault(std::string message) { return {ErrorCode::Internal, std::move(message)}; }

/// argv or envp: pointers into `strings`, ended by null.
std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// Forks and executes; the child dies with the calling thread. -1 when it cannot fork. Between fork and exec only
/// async-signal-safe calls: other threads may hold any lock.
pid_t spawn(const fs::path& program, const std::vector<std::string>& arguments, std::vector<std::string> environment,
            int in, int out, int err) {
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  std::vector<char*> argv = pointers(words);
  std::vector<char*> envp = pointers(environment);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execve(argv[0], argv.data(), envp.data());
  _exit(127);
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }
  void reset() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

 private:
  int descriptor_;
};

bool has_ended(pid_t& child) {
  if (child <= 0) return true;
  if (waitpid(child, nullptr, WNOHANG) != child) return false;
  child = -1;
  return true;
}

/// Binds to `port` for a moment, or to any with 0: the one it was, or 0 where that is taken.
std::uint16_t bound_port(std::uint16_t port) {
  union {
    sockaddr generic;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address{};
  const bool v6 = loopback() == "::1";
  address.generic.sa_family = v6 ? AF_INET6 : AF_INET;
  if (v6) {
    address.v6.sin6_addr = in6addr_loopback;
    address.v6.sin6_port = htons(port);
  } else {
    address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.v4.sin_port = htons(port);
  }
  socklen_t size = v6 ? sizeof address.v6 : sizeof address.v4;
  const Descriptor socket(::socket(address.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (bind(socket.get(), &address.generic, size) != 0 || getsockname(socket.get(), &address.generic, &size) != 0) {
    return 0;
  }
  return ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port);
}

std::string random_token() {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device random;
  std::string out;
  for (int i = 0; i < 32; ++i) out += kDigits[random() % kDigits.size()];
  return out;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path in_path(const char* program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((fs::path(folder) / program).c_str(), X_OK) == 0) return fs::path(folder) / program;
  }
  return {};
}

}  // namespace

std::uint16_t free_port() {
  // Below the range from which connections get theirs (net.ipv4.ip_local_port_range): nobody takes it by chance between
  // two servers on it.
  std::random_device random;
  std::uniform_int_distribution<int> ports(12'000, 31'999);
  for (int i = 0; i < 1000; ++i) {
    const auto port = static_cast<std::uint16_t>(ports(random));
    if (bound_port(port) == port) return port;
  }
  return bound_port(0);
}

void kill_and_reap(pid_t& child) {
  if (child <= 0) return;
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  child = -1;
}

pid_t start_process(const fs::path& program, const std::vector<std::string>& arguments, const fs::path& log) {
  const Descriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor file(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  return spawn(program, arguments, {}, nothing.get(), file.get(), file.get());
}

std::string loopback() {
  const char* given = std::getenv("GATE_TEST_LOOPBACK");
  return given != nullptr && *given != '\0' ? given : "127.0.0.1";
}

std::string at_loopback(std::uint16_t port) {
  const std::string host = loopback();
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

ProcessResult run_process(const fs::path& program, const std::vector<std::string>& arguments,
                          const RunOptions& options) {
  ProcessResult result;
  // Input from an unlinked file: no pipe that could fill up while we read the output.
  std::string name = (fs::temp_directory_path() / "upgrade-gate-input-XXXXXX").string();
  const Descriptor input(mkostemp(name.data(), O_CLOEXEC));
  unlink(name.c_str());
  if (write(input.get(), options.input.data(), options.input.size()) != static_cast<ssize_t>(options.input.size()) ||
      lseek(input.get(), 0, SEEK_SET) != 0) {
    result.err = "cannot write the input of " + program.string();
    return result;
  }
  std::array<int, 2> out_pipe{};
  std::array<int, 2> err_pipe{};
  if (pipe2(out_pipe.data(), O_CLOEXEC) != 0 || pipe2(err_pipe.data(), O_CLOEXEC) != 0) {
    result.err = "cannot make a pipe";
    return result;
  }
  Descriptor out_read(out_pipe[0]);
  Descriptor out_write(out_pipe[1]);
  Descriptor err_read(err_pipe[0]);
  Descriptor err_write(err_pipe[1]);
  pid_t child = spawn(program, arguments, options.environment, input.get(), out_write.get(), err_write.get());
  out_write.reset();
  err_write.reset();
  if (child < 0) {
    result.err = "cannot fork";
    return result;
  }

  const auto deadline = steady_clock::now() + options.timeout;
  std::array<pollfd, 2> sources{pollfd{out_read.get(), POLLIN, 0}, pollfd{err_read.get(), POLLIN, 0}};
  const std::array<std::string*, 2> sinks{&result.out, &result.err};
  while (sources[0].fd >= 0 || sources[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) {
      result.timed_out = true;
      kill(child, SIGKILL);
      break;
    }
    if (poll(sources.data(), sources.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) break;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sources[i].fd < 0 || sources[i].revents == 0) continue;
      std::array<char, 8192> buffer{};
      const ssize_t size = read(sources[i].fd, buffer.data(), buffer.size());
      if (size > 0) {
        sinks[i]->append(buffer.data(), static_cast<std::size_t>(size));
      } else if (size == 0 || errno != EINTR) {
        sources[i].fd = -1;
      }
    }
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

void skip_test(const std::string& reason) {
  std::cout << "skipped: " << reason << std::endl;
  // Not exit(): static objects of other tests may not expect to be destroyed in the middle of one.
  std::_Exit(kSkipped);
}

KubernetesEnvironment::KubernetesEnvironment(Binaries binaries, fs::path directory, std::vector<TestUser> users)
    : binaries_(std::move(binaries)), directory_(std::move(directory)) {
  users_.push_back({{"admin", {"system:masters"}}, random_token(), "admin.kubeconfig"});
  for (auto& user : users) {
    const std::string file = "user-" + std::to_string(users_.size()) + ".kubeconfig";
    users_.push_back({std::move(user), random_token(), file});
  }
}

KubernetesEnvironment::~KubernetesEnvironment() {
  kill_and_reap(controller_manager_);
  kill_and_reap(api_server_);
  kill_and_reap(etcd_);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

Result<KubernetesEnvironment::Binaries> KubernetesEnvironment::find_binaries() {
  std::vector<fs::path> folders;
  if (const char* assets = std::getenv("KUBEBUILDER_ASSETS"); assets != nullptr && *assets != '\0') {
    folders.emplace_back(assets);
  } else {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const fs::path root =
        cache != nullptr && *cache != '\0' ? fs::path(cache) : fs::path(home == nullptr ? "/root" : home) / ".cache";
    folders.push_back(root / "upgrade-gate" / "kubernetes");
  }
  Binaries out;
  const auto find = [&](const char* name) {
    const fs::path candidate = folders.front() / name;
    return access(candidate.c_str(), X_OK) == 0 ? candidate : fs::path();
  };
  out.etcd = find("etcd");
  if (out.etcd.empty()) out.etcd = in_path("etcd");
  out.api_server = find("kube-apiserver");
  out.kubectl = find("kubectl");
  out.controller_manager = find("kube-controller-manager");
  std::string missing;
  for (const auto& [name, path] : {std::pair{"etcd", &out.etcd}, std::pair{"kube-apiserver", &out.api_server},
                                   std::pair{"kubectl", &out.kubectl}}) {
    if (path->empty()) missing += std::string(missing.empty() ? "" : ", ") + name;
  }
  if (in_path("openssl").empty()) missing += std::string(missing.empty() ? "" : ", ") + "openssl";
  if (!missing.empty()) {
    return Error{ErrorCode::NotFound, "no " + missing + " in " + folders.front().string() +
                                          " (or PATH for etcd and openssl); set KUBEBUILDER_ASSETS or build them with "
                                          "Go from test/e2e/kubernetes"};
  }
  return out;
}

Result<std::unique_ptr<KubernetesEnvironment>> KubernetesEnvironment::start(std::vector<TestUser> users) {
  auto binaries = find_binaries();
  if (!binaries) return binaries.error();
  std::string name = (fs::temp_directory_path() / "upgrade-gate-kubernetes-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return fault("cannot make a temporary directory like " + name);
  std::unique_ptr<KubernetesEnvironment> environment(
      new KubernetesEnvironment(std::move(*binaries), name, std::move(users)));
  Status outcome = fault("not tried");
  for (int attempt = 0; attempt < kStartAttempts && !outcome; ++attempt) outcome = environment->start_processes();
  if (!outcome) return outcome.error();
  return environment;
}

std::unique_ptr<KubernetesEnvironment> KubernetesEnvironment::start_or_skip(std::vector<TestUser> users) {
  auto environment = start(std::move(users));
  if (environment) return std::move(*environment);
  if (environment.error().code == ErrorCode::NotFound) skip_test(environment.error().message);
  std::cerr << "cannot start the API server: " << environment.error().message << std::endl;
  std::_Exit(EXIT_FAILURE);
}

Status KubernetesEnvironment::write_files() {
  // One self-signed certificate is the server's and the root that clients trust; its key signs service-account tokens.
  const auto made = run_process(
      in_path("openssl"), {"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                           "2", "-subj", "/CN=upgrade-gate-test", "-addext",
                           "subjectAltName=IP:" + loopback() + ",DNS:localhost,DNS:kubernetes.default.svc", "-keyout",
                           (directory_ / "server.key").string(), "-out", (directory_ / "server.crt").string()});
  if (made.exit_code != 0) return fault("openssl: " + made.err);
  std::ofstream tokens(directory_ / "tokens.csv");
  for (std::size_t i = 0; i < users_.size(); ++i) {
    const User& user = users_[i];
    std::string groups;
    for (const auto& group : user.user.groups) groups += (groups.empty() ? "" : ",") + group;
    tokens << user.token << "," << user.user.name << ",uid-" << i << ",\"" << groups << "\"\n";
    std::ofstream(directory_ / user.file_name)
        << "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
        << "clusters: [{name: test, cluster: {server: 'https://" << at_loopback(port_)
        << "', certificate-authority: server.crt}}]\n"
        << "users: [{name: test, user: {token: " << user.token << "}}]\n"
        << "contexts: [{name: test, context: {cluster: test, user: test, namespace: default}}]\n";
  }
  tokens.close();
  return tokens ? Status(Ok{}) : Status(fault("cannot write to " + directory_.string()));
}

Status KubernetesEnvironment::start_processes() {
  kill_and_reap(api_server_);
  kill_and_reap(etcd_);
  std::error_code ignored;
  fs::remove_all(directory_ / "etcd", ignored);
  port_ = free_port();
  etcd_port_ = free_port();
  etcd_peer_port_ = free_port();
  if (auto written = write_files(); !written) return written;
  const std::string client_url = "http://" + at_loopback(etcd_port_);
  const std::string peer_url = "http://" + at_loopback(etcd_peer_port_);
  etcd_ = start_process(
      binaries_.etcd,
      {"--data-dir=" + (directory_ / "etcd").string(), "--listen-client-urls=" + client_url,
       "--advertise-client-urls=" + client_url, "--listen-peer-urls=" + peer_url,
       "--initial-advertise-peer-urls=" + peer_url, "--initial-cluster=default=" + peer_url, "--unsafe-no-fsync=true"},
      directory_ / "etcd.log");
  return start_api_server();
}

Status KubernetesEnvironment::start_api_server() {
  const std::string key = (directory_ / "server.key").string();
  const std::string certificate = (directory_ / "server.crt").string();
  api_server_ = start_process(
      binaries_.api_server,
      {"--etcd-servers=http://" + at_loopback(etcd_port_), "--cert-dir=" + directory_.string(),
       "--tls-cert-file=" + certificate, "--tls-private-key-file=" + key, "--bind-address=" + loopback(),
       "--advertise-address=" + loopback(), "--secure-port=" + std::to_string(port_),
       std::string("--service-cluster-ip-range=") + (loopback() == "::1" ? "fd00:10::/112" : "10.0.0.0/24"),
       "--endpoint-reconciler-type=none", "--allow-privileged=true", "--authorization-mode=RBAC",
       "--token-auth-file=" + (directory_ / "tokens.csv").string(), "--disable-admission-plugins=ServiceAccount",
       "--service-account-issuer=https://127.0.0.1/", "--service-account-key-file=" + certificate,
       "--service-account-signing-key-file=" + key, "--profiling=false"},
      directory_ / "kube-apiserver.log");
  return wait_until_ready();
}

Status KubernetesEnvironment::wait_until_ready() {
  const auto deadline = steady_clock::now() + kReadyTimeout;
  std::string last = "no answer";
  while (steady_clock::now() < deadline) {
    if (has_ended(etcd_)) return fault("etcd ended: " + read_file(directory_ / "etcd.log"));
    if (has_ended(api_server_)) return fault("kube-apiserver ended: " + api_server_log());
    const auto ready = kubectl({"get", "--raw", "/readyz"}, {{}, {}, seconds(10)});
    if (ready.exit_code == 0) {
      // Made by the API server itself, shortly after it calls itself ready.
      const auto name_space = kubectl({"get", "namespace", "default"}, {{}, {}, seconds(10)});
      if (name_space.exit_code == 0) return Ok{};
      last = name_space.err;
    } else {
      last = ready.err;
    }
    std::this_thread::sleep_for(kPollInterval);  // sleeps: polls another process
  }
  return fault("kube-apiserver is not ready in time: " + last + "\n" + api_server_log());
}

Status KubernetesEnvironment::start_controller_manager() {
  const std::string controllers =
      "statefulset-controller,job-controller,garbage-collector-controller,namespace-controller,"
      "serviceaccount-controller,endpointslice-controller";
  if (binaries_.controller_manager.empty()) {
    return Error{ErrorCode::NotFound, "no kube-controller-manager beside " + binaries_.api_server.string() +
                                          "; build it with Go from test/e2e/kubernetes"};
  }
  controller_manager_ =
      start_process(binaries_.controller_manager,
                    {"--kubeconfig=" + kubeconfig().string(), "--authentication-kubeconfig=" + kubeconfig().string(),
                     "--authorization-kubeconfig=" + kubeconfig().string(), "--leader-elect=false", "--secure-port=0",
                     "--kube-api-qps=200", "--kube-api-burst=400", "--controllers=" + controllers},
                    directory_ / "kube-controller-manager.log");
  return controller_manager_ > 0 ? Status(Ok{}) : Status(fault("cannot start kube-controller-manager"));
}

Status KubernetesEnvironment::restart_api_server() {
  kill_and_reap(api_server_);
  return start_api_server();
}

fs::path KubernetesEnvironment::kubeconfig_of(const std::string& name) const {
  for (const User& user : users_) {
    if (user.user.name == name) return directory_ / user.file_name;
  }
  std::cerr << "no such test user: " << name << std::endl;
  std::abort();
}

ProcessResult KubernetesEnvironment::kubectl(const std::vector<std::string>& arguments,
                                             const RunOptions& options) const {
  return kubectl_as("admin", arguments, options);
}

ProcessResult KubernetesEnvironment::kubectl_as(const std::string& user, const std::vector<std::string>& arguments,
                                                const RunOptions& options) const {
  std::vector<std::string> words{"--kubeconfig=" + kubeconfig_of(user).string(),
                                 "--cache-dir=" + (directory_ / "kubectl-cache").string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_process(binaries_.kubectl, words, options);
}

std::string KubernetesEnvironment::api_server_log() const {
  const std::string log = read_file(directory_ / "kube-apiserver.log");
  return log.size() <= kLogTailBytes ? log : log.substr(log.size() - kLogTailBytes);
}

}  // namespace gate::test
