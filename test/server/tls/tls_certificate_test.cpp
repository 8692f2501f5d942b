// The serving certificate follows its files, and only ever to something that works.

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <atomic>
#include <memory>

#include "server/tls/certificate_source.hpp"
#include "test/server/tls/certificates.hpp"

using namespace gate;
using namespace gate::test;

namespace {

class ManualClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override { return steady_; }
  [[nodiscard]] WallTime wall_now() const override { return WallTime(std::chrono::seconds(seconds_)); }
  void advance(std::chrono::seconds by) {
    seconds_ += by.count();
    steady_ += by;
  }

 private:
  SteadyTime steady_{};
  std::atomic<std::int64_t> seconds_ = SystemClock().wall_now().time_since_epoch().count();
};

constexpr std::chrono::hours kNever{1000};

struct Fixture {
  TemporaryFolder folder;
  ManualClock clock;
  CertificateFiles files{folder.path() + "/tls.crt", folder.path() + "/tls.key", ""};

  [[nodiscard]] Result<std::unique_ptr<CertificateWatcher>> start(std::chrono::milliseconds poll = kNever) const {
    return CertificateWatcher::start(files, clock, poll);
  }
  void write(const DevCertificate& certificate) const { REQUIRE(write_dev_certificate(certificate, folder.path())); }
};

std::unique_ptr<X509, decltype(&X509_free)> parse(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                          BIO_free_all);
  return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
}

}  // namespace

TEST_CASE("files that cannot serve are refused at start, and the message names the file but never shows the key") {
  const auto good = certificate_for_tests();
  const auto other = certificate_for_tests();
  const auto expired = certificate_for_tests(std::chrono::seconds(-1));
  struct Row {
    std::string name;
    std::string certificate;
    std::string key;
    std::string client_ca;
    const char* said;
  };
  const Row rows[] = {
      {"empty certificate", "", good.key, good.ca, "no PEM certificate in"},
      {"text for a certificate", "hello", good.key, good.ca, "tls.crt"},
      {"cut certificate", good.certificate.substr(0, 200), good.key, good.ca, "tls.crt"},
      {"broken chain", good.certificate + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.key,
       good.ca, "broken chain"},
      {"no key", good.certificate, "", good.ca, "private key in"},
      {"certificate for a key", good.certificate, good.certificate, good.ca, "tls.key"},
      {"another's key", good.certificate, other.key, good.ca, "does not belong"},
      {"expired", expired.certificate, expired.key, good.ca, "expired at"},
      {"no client CA", good.certificate, good.key, "", "ca.crt"},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    Fixture fixture;
    fixture.files.client_ca = fixture.folder.path() + "/ca.crt";
    write_file(fixture.files.certificate, row.certificate);
    write_file(fixture.files.key, row.key);
    write_file(fixture.files.client_ca, row.client_ca);
    const auto watcher = fixture.start();
    REQUIRE_FALSE(watcher);
    CHECK(watcher.error().message.find(row.said) != std::string::npos);
    CHECK(watcher.error().message.find("PRIVATE KEY--") == std::string::npos);
  }
}

TEST_CASE("missing files are an error that says which") {
  Fixture fixture;
  const auto watcher = fixture.start();
  REQUIRE_FALSE(watcher);
  CHECK(watcher.error().message == fixture.files.certificate + " cannot be opened");
}

TEST_CASE("new files are taken into use, unchanged ones are not counted again") {
  Fixture fixture;
  fixture.write(certificate_for_tests());
  const auto watcher = fixture.start().value();
  const auto first = watcher->current();
  CHECK(watcher->reload_now());
  CHECK(watcher->counters().loaded == 1);

  fixture.write(certificate_for_tests(std::chrono::hours(5)));
  CHECK(watcher->reload_now());
  CHECK(watcher->counters().loaded == 2);
  CHECK(watcher->current().fingerprint != first.fingerprint);
  CHECK(watcher->not_after() == first.not_after + std::chrono::hours(4));
}

TEST_CASE("a broken new certificate leaves the old one in use until the files are right") {
  Fixture fixture;
  const auto old = certificate_for_tests();
  const auto renewed = certificate_for_tests();
  fixture.write(old);
  const auto watcher = fixture.start().value();
  const auto fingerprint = watcher->current().fingerprint;

  // What a reader sees between the two writes of somebody who copies files by hand.
  write_file(fixture.files.certificate, renewed.certificate);
  CHECK_FALSE(watcher->reload_now());
  CHECK_FALSE(watcher->reload_now());
  CHECK(watcher->current().fingerprint == fingerprint);
  CHECK(watcher->healthy());
  CHECK(watcher->counters().failed == 2);
  CHECK(watcher->last_error().find("does not belong") != std::string::npos);

  write_file(fixture.files.key, renewed.key);
  CHECK(watcher->reload_now());
  CHECK(watcher->current().fingerprint != fingerprint);
  CHECK(watcher->last_error().empty());
}

TEST_CASE("a reload that fails is logged with its reason, once until the reason changes or some minutes have passed") {
  Fixture fixture;
  fixture.write(certificate_for_tests());
  std::vector<std::string> lines;
  const auto log = make_json_logger("info", [&lines](std::string line) { lines.push_back(std::move(line)); });
  const auto watcher =
      CertificateWatcher::start(fixture.files, fixture.clock, std::chrono::hours(1), log.get()).value();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("certificate in use") != std::string::npos);
  fixture.write(certificate_for_tests(std::chrono::hours(-1)));
  for (int i = 0; i < 5; ++i) CHECK_FALSE(watcher->reload_now());
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].find("\"level\":\"error\"") != std::string::npos);
  CHECK(lines[1].find("expired at ") != std::string::npos);
  write_file(fixture.files.certificate, "no certificate");
  CHECK_FALSE(watcher->reload_now());
  REQUIRE(lines.size() == 3);
  CHECK(lines[2].find("no PEM certificate") != std::string::npos);
  fixture.clock.advance(kCertificateLogInterval);
  CHECK_FALSE(watcher->reload_now());
  CHECK(lines.size() == 4);
  fixture.write(certificate_for_tests());
  CHECK(watcher->reload_now());
  CHECK(lines.size() == 5);
}

TEST_CASE("a certificate that expires in use makes the watcher unhealthy, a new one heals it") {
  Fixture fixture;
  fixture.write(certificate_for_tests(std::chrono::minutes(10)));
  const auto watcher = fixture.start().value();
  CHECK(watcher->healthy());
  fixture.clock.advance(std::chrono::minutes(11));
  CHECK_FALSE(watcher->healthy());
  fixture.write(certificate_for_tests(std::chrono::hours(1)));
  CHECK(watcher->reload_now());
  CHECK(watcher->healthy());
}

TEST_CASE("the swap of a Secret volume's symlink is noticed by polling, each time") {
  Fixture fixture;
  const std::string folder = fixture.folder.path();
  const auto publish = [&folder](const std::string& version) {
    const std::string data = folder + "/..data-" + version;
    std::filesystem::create_directory(data);
    REQUIRE(write_dev_certificate(certificate_for_tests(), data));
    // The kubelet's way: a new link beside the old, then rename over it.
    std::filesystem::create_directory_symlink(data, folder + "/..data_tmp");
    std::filesystem::rename(folder + "/..data_tmp", folder + "/..data");
  };
  publish("1");
  std::filesystem::create_symlink("..data/tls.crt", folder + "/tls.crt");
  std::filesystem::create_symlink("..data/tls.key", folder + "/tls.key");
  const auto watcher = fixture.start(std::chrono::milliseconds(1)).value();
  for (std::uint64_t swap = 2; swap <= 4; ++swap) {
    publish(std::to_string(swap));
    CHECK(eventually([&] { return watcher->counters().loaded == swap; }));
  }
}

TEST_CASE("a throw-away certificate is for exactly its names, and its key is for its owner's eyes") {
  const WallTime now = SystemClock().wall_now();
  const auto made =
      make_dev_certificate({{"gate.svc", "localhost"}, {"127.0.0.1", "::1"}, now, now + std::chrono::hours(1)});
  REQUIRE(made);
  const auto leaf = parse(made->certificate);
  const auto ca = parse(made->ca);
  REQUIRE(leaf);
  REQUIRE(ca);
  for (const char* name : {"gate.svc", "localhost"}) CHECK(X509_check_host(leaf.get(), name, 0, 0, nullptr) == 1);
  CHECK(X509_check_host(leaf.get(), "other.svc", 0, 0, nullptr) == 0);
  for (const char* address : {"127.0.0.1", "::1"}) CHECK(X509_check_ip_asc(leaf.get(), address, 0) == 1);
  CHECK(X509_check_issued(ca.get(), leaf.get()) == X509_V_OK);

  TemporaryFolder folder;
  REQUIRE(write_dev_certificate(*made, folder.path()));
  struct stat status {};
  REQUIRE(::stat((folder.path() + "/tls.key").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("names that cannot stand in a certificate are refused") {
  const WallTime now = SystemClock().wall_now();
  const auto make = [now](std::vector<std::string> names, std::vector<std::string> addresses) {
    return make_dev_certificate({std::move(names), std::move(addresses), now, now + std::chrono::hours(1)}).ok();
  };
  CHECK_FALSE(make({}, {}));
  CHECK_FALSE(make({""}, {}));
  CHECK_FALSE(make({"a,DNS:b"}, {}));
  CHECK_FALSE(make({}, {"not an address"}));
  CHECK(make({"a"}, {}));
}

TEST_CASE("a folder that cannot be written is an error") {
  CHECK_FALSE(write_dev_certificate(certificate_for_tests(), "/nonexistent/folder"));
}
