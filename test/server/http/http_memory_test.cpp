// Goal: memory that is not to be had costs a connection, at whatever place it is asked for, and never the process.

#include <doctest/doctest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <new>
#include <string>

#include "server/http/elastic_threads.hpp"
#include "test/server/http/client.hpp"

namespace {

/// How many more allocations of the server's threads succeed before one fails; negative: all.
std::atomic<long> left{-1};
std::atomic<bool> failed{false};
/// The test's own thread has all the memory that it wants.
thread_local bool is_test = false;

void* take(std::size_t size) {
  if (!is_test && left.load() >= 0 && left.fetch_sub(1) == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  void* const block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void operator delete(void* pointer) noexcept { std::free(pointer); }
void operator delete[](void* pointer) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { std::free(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { std::free(pointer); }

namespace gate {
namespace {

using namespace test;

/// What one client does to whom, until the server has answered or closed.
struct Visit {
  const char* name;
  bool hasty;  ///< Of a server that does not wait long, so that the test does not.
  std::function<void(std::uint16_t port)> make;
};

/// On connections of its own, since a hasty server may end one that a slow machine is late with.
bool is_served(std::uint16_t port) {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  do {
    Client client(port);
    if (!client.connected()) continue;
    const auto answer = client.ask(post("/validate", "still here"));
    if (answer && answer->status == 200 && answer->body == "/validate still here") return true;
  } while (std::chrono::steady_clock::now() < give_up);
  return false;
}

const std::vector<Visit>& visits() {
  static const std::vector<Visit> kVisits{
      {"a request", false,
       [](std::uint16_t port) {
         Client client(port);
         if (client.connected()) static_cast<void>(client.ask(post("/validate", "{}")));
       }},
      {"two requests at once", false,
       [](std::uint16_t port) {
         Client client(port);
         if (!client.connected() || !client.send(post("/validate", "1") + post("/mutate", "2"))) return;
         static_cast<void>(client.receive());
         static_cast<void>(client.receive());
       }},
      {"a large body", false,
       [](std::uint16_t port) {
         Client client(port);
         if (client.connected()) static_cast<void>(client.ask(post("/validate", std::string(200'000, 'x'))));
       }},
      {"no TLS", false,
       [](std::uint16_t port) {
         Client client(port, {.tls = false});
         if (client.send("GET / HTTP/1.1\r\n\r\n")) static_cast<void>(client.receive());
       }},
      {"a request that stops in the middle", true,
       [](std::uint16_t port) {
         Client client(port);
         if (client.connected() && client.send("POST /validate HTTP/1.1\r\nHost: gate\r\n")) {
           static_cast<void>(client.receive());
         }
       }},
      {"silence", true, [](std::uint16_t port) { static_cast<void>(Client(port, {.tls = false}).sees_close()); }},
  };
  return kVisits;
}

TEST_CASE("whichever allocation of the server's fails, others are served") {
  is_test = true;
  HttpLimits hasty{.body_bytes_max = 1u << 20};
  hasty.handshake_max = hasty.request_max = std::chrono::milliseconds(30);
  const TestServer patient_server{HttpHandlers(echo)};
  const TestServer hasty_server{HttpHandlers(echo), hasty};
  for (const auto& visit : visits()) {
    INFO(visit.name);
    const auto port = visit.hasty ? hasty_server.port() : patient_server.port();
    // Until a visit has been made without a failure: every allocation of it has failed once.
    constexpr long kEnough = 2'000;
    long place = 0;
    for (bool hit = true; hit && place < kEnough; ++place) {
      INFO("allocation " << place);
      failed = false;
      left = place;
      visit.make(port);
      left = -1;
      hit = failed;
      REQUIRE(is_served(port));
    }
    CHECK(place > 1);
    CHECK(place < kEnough);
  }
}

/// Threads that have ended since the last job are joined by the next one, whatever becomes of that.
TEST_CASE("a job that there is no memory for leaves the threads that have ended joined") {
  is_test = true;
  constexpr auto kNoLinger = std::chrono::milliseconds(0);
  http::ElasticThreads threads(4, kNoLinger);
  constexpr int kJobs = 200;  // The queue asks for memory at some of them only.
  int refused = 0;
  for (int i = 0; i < kJobs; ++i) {
    INFO("job " << i);
    std::promise<pid_t> ran;
    REQUIRE(threads.run([&ran] { ran.set_value(::gettid()); }));
    const std::string own = "/proc/self/task/" + std::to_string(ran.get_future().get());
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (::access(own.c_str(), F_OK) == 0 && std::chrono::steady_clock::now() < give_up) ::sched_yield();
    REQUIRE(::access(own.c_str(), F_OK) != 0);  // It has nothing to do, and ends.
    is_test = false;
    left = 0;
    try {
      refused += threads.run([] {}) ? 0 : 1;
    } catch (const std::bad_alloc&) {
      ++refused;
    }
    left = -1;
    is_test = true;
  }
  CHECK(refused == kJobs);
}

}  // namespace
}  // namespace gate
