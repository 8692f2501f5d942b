// What the simulator sends, byte by byte: logins that StarRocks refuses, states and columns.

#include "test/fakes/frontend_wire.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "test/fakes/frontend_simulator.hpp"

namespace gate::fake_frontend {
namespace {

constexpr int kClient = 0x00088200;  // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH

std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < count; ++i)
    out |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes.at(at + i))) << (8 * i);
  return out;
}

/// A client that speaks packets.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), wire_(socket_) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    greeting = packet();
  }
  ~RawClient() { ::close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  std::string packet() { return wire_.read_packet().value_or("(end)"); }
  void send(const std::string& payload) { REQUIRE(wire_.write_packet(payload)); }
  /// Its answer to a login with that first response.
  std::string log_in(const std::string& username, const std::string& response = {},
                     const std::string& plugin = "mysql_native_password") {
    send(little(kClient, 4) + little(1 << 24, 4) + little(33, 1) + std::string(23, '\0') + username + '\0' +
         little(response.size(), 1) + response + plugin + '\0');
    return packet();
  }
  void query(const std::string& sql) { REQUIRE(wire_.write(little(sql.size() + 1, 3) + little(0, 1) + "\x03" + sql)); }

  std::string greeting;

 private:
  int socket_;
  Wire wire_;
};

/// "1045 28000 Access denied ..."; "OK"; "switch to PLUGIN, N bytes of data".
std::string read(const std::string& packet) {
  if (packet.starts_with('\0')) return "OK";
  if (packet.starts_with('\xfe')) {
    const auto end = packet.find('\0');
    return "switch to " + packet.substr(1, end - 1) + ", " + std::to_string(packet.size() - end - 1) + " bytes";
  }
  return std::to_string(number(packet, 1, 2)) + " " + packet.substr(4);
}

TEST_CASE("logins: what is answered first, and with what") {
  struct Row {
    const char* name;
    FrontendSimulatorOptions options;
    const char* username;
    const char* plugin;
    const char* answer;
    const char* response;  ///< To a switch of the plugin; nullptr: none is asked for.
    const char* end;
  };
  const std::string clear = "mysql_clear_password";
  const std::vector<Row> rows = {
      {"no password", {}, "root", "mysql_native_password", "OK", nullptr, nullptr},
      {"unknown user: no switch, and nothing of a password",
       {.password = "pw"},
       "nobody",
       "guard",
       "1045 28000Access denied for user 'nobody' (using password: NO)",
       nullptr,
       nullptr},
      {"no name", {}, "", "guard", "1045 28000Access denied for user '' (using password: NO)", nullptr, nullptr},
      {"forced TLS comes before any switch",
       {.password = "pw", .force_tls = true},
       "root",
       "guard",
       "5205 HY000Connections using insecure transport are prohibited",
       nullptr,
       nullptr},
      {"a password: 20 bytes and a NUL to scramble it with",
       {.password = "pw"},
       "root",
       "guard",
       "switch to mysql_native_password, 21 bytes",
       "",
       "1045 28000Access denied for user 'root' (using password: NO)"},
      {"LDAP: one NUL",
       {.password = "pw", .account_plugin = clear},
       "root",
       "guard",
       "switch to mysql_clear_password, 1 bytes",
       "pw",
       "OK"},
      {"LDAP unreachable",
       {.password = "pw", .account_plugin = clear, .ldap_out_of_reach = true},
       "root",
       "guard",
       "switch to mysql_clear_password, 1 bytes",
       "pw",
       "1045 28000localhost:389"},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    FrontendSimulator simulator(row.options);
    RawClient client(simulator.frontend(0).port());
    CHECK(read(client.log_in(row.username, "", row.plugin)) == row.answer);
    if (row.response == nullptr) continue;
    client.send(row.response);
    CHECK(read(client.packet()) == row.end);
  }
}

TEST_CASE("the limit of an account's connections is told behind the password, for each FE") {
  FrontendSimulator simulator({.frontends = 2, .max_user_connections = 1});
  const RawClient waiting(simulator.frontend(0).port());  // has not logged in
  RawClient first(simulator.frontend(0).port());
  CHECK(read(first.log_in("root")) == "OK");
  RawClient second(simulator.frontend(0).port());
  CHECK(read(second.log_in("root"))
            .starts_with("1064 HY000Reach user-level(qualifiedUser: root) connection limit, currentUserMaxConn=1"));
  RawClient elsewhere(simulator.frontend(1).port());
  CHECK(read(elsewhere.log_in("root")) == "OK");
}

TEST_CASE("greetings tell connections of the FEs apart, and what the FE can do") {
  FrontendSimulator simulator({.frontends = 2});
  for (const std::size_t i : {0U, 1U}) {
    const RawClient client(simulator.frontend(i).port());
    const auto id_at = client.greeting.find('\0') + 1;
    const auto frontend = number(client.greeting, id_at, 4) >> 24U;
    CHECK(frontend == i + 1);
    const auto low = id_at + 4 + 8 + 1;
    const auto capabilities = number(client.greeting, low, 2) | number(client.greeting, low + 5, 2) << 16U;
    CHECK(capabilities == 0x38820c);
  }
}

TEST_CASE("no status but that more results follow; columns are text of a width, or a number's own type") {
  FrontendSimulator simulator({.frontends = 2});
  RawClient client(simulator.frontend(1).port());
  REQUIRE(read(client.log_in("root")) == "OK");
  const auto status_of_ok = [](const std::string& ok) { return number(ok, 3, 2); };
  client.query("SET @a = 1; SET @b = 2");
  CHECK(status_of_ok(client.packet()) == 0x0008);
  CHECK(status_of_ok(client.packet()) == 0);

  struct Row {
    const char* sql;
    std::uint64_t type, charset, width;
  };
  for (const Row& row : {Row{"SELECT 'a'", 0xfd, 33, 90}, Row{"ADMIN SHOW FRONTEND CONFIG", 0xfd, 33, 90},
                         Row{"SHOW FRONTENDS", 0xfd, 33, 192}, Row{"SHOW PROC '/routine_loads'", 0xfd, 33, 192},
                         Row{"SHOW PROC '/statistic'", 0xfd, 33, 90}, Row{"SELECT 7", 0x01, 63, 20},
                         Row{"SELECT CONNECTION_ID()", 0x08, 63, 20}}) {
    INFO(row.sql);
    client.query(row.sql);
    const auto columns = number(client.packet(), 0, 1);
    for (std::uint64_t i = 0; i < columns; ++i) {
      const auto column = client.packet();
      const auto fixed = column.size() - 12;  // charset, width, type, flags, decimals, filler
      CHECK(number(column, fixed, 2) == row.charset);
      CHECK(number(column, fixed + 2, 4) == row.width);
      CHECK(number(column, fixed + 6, 1) == row.type);
    }
    for (int ends = 0; ends < 2;) {
      const auto packet = client.packet();
      REQUIRE(packet != "(end)");
      if (packet.starts_with('\xfe') && packet.size() == 5) {
        CHECK(number(packet, 3, 2) == 0);
        ++ends;
      }
    }
  }
}

TEST_CASE("what a broadcast that failed says: the host, doubled for every FE that it goes through from there on") {
  struct Row {
    const char* name;
    std::size_t broken;
    int times;
  };
  for (const Row& row : {Row{"the last of three", 2, 2}, Row{"the middle one", 1, 4}}) {
    INFO(row.name);
    FrontendSimulator simulator({.frontends = 3});
    simulator.break_broadcast_to(row.broken);
    RawClient client(simulator.frontend(0).port());
    REQUIRE(read(client.log_in("root")) == "OK");
    client.query("ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\")");
    std::string said = "5101 F0000Set config failed: ";
    for (int i = 0; i < row.times; ++i)
      said += "set config for fe[127.0.0.1] failed: java.net.ConnectException: Connection refused";
    CHECK(read(client.packet()) == said);
  }
}

}  // namespace
}  // namespace gate::fake_frontend
