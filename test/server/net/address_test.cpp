#include "server/net/address.hpp"

#include <doctest/doctest.h>

namespace gate {
namespace {

TEST_CASE("addresses that are never called, in every form") {
  struct Row {
    const char* address;
    const char* why;  // "" = may be called
  };
  for (const Row& row : {
           Row{"10.1.2.3", ""},
           Row{"172.16.0.1", ""},
           Row{"192.168.1.1", ""},
           Row{"100.64.0.1", ""},
           Row{"8.8.8.8", ""},
           Row{"126.255.255.255", ""},
           Row{"128.0.0.1", ""},
           Row{"169.253.255.255", ""},
           Row{"169.255.0.1", ""},
           Row{"223.255.255.255", ""},
           Row{"1.0.0.0", ""},
           Row{"127.0.0.1", "loopback"},
           Row{"127.255.255.255", "loopback"},
           Row{"0.0.0.0", "unspecified"},
           Row{"0.1.2.3", "unspecified"},
           Row{"169.254.169.254", "link-local"},
           Row{"169.254.0.1", "link-local"},
           Row{"224.0.0.1", "multicast"},
           Row{"239.255.255.255", "multicast"},
           Row{"240.0.0.1", "reserved"},
           Row{"255.255.255.255", "reserved"},
           Row{"100.100.100.200", "metadata"},
           Row{"100.100.100.201", ""},
           Row{"168.63.129.16", "metadata"},
           Row{"192.0.0.192", "metadata"},
           Row{"192.0.0.191", ""},
           Row{"64:ff9b::192.0.0.192", "metadata"},
           Row{"::ffff:192.0.0.192", "metadata"},
           Row{"2001:db8::1", ""},
           Row{"fd12:3456::1", ""},
           Row{"::1", "loopback"},
           Row{"::", "unspecified"},
           Row{"fe80::1", "link-local"},
           Row{"fe80::1%eth0", "link-local"},
           Row{"febf::1", "link-local"},
           Row{"fec0::1", ""},
           Row{"ff02::1", "multicast"},
           Row{"fd00:ec2::254", "metadata"},
           Row{"fd20:ce::254", "metadata"},
           Row{"fd00:ec2::23", "metadata"},
           Row{"fd00:ec2::253", "metadata"},
           Row{"fd00:ec3::23", ""},
           Row{"fd00:c1::a9fe:a9fe", "metadata"},
           Row{"fd00:c2::a9fe:a9fe", ""},
           Row{"2001:db8::1%eth0", "zone"},
           Row{"::ffff:127.0.0.1", "loopback"},
           Row{"::ffff:a9fe:a9fe", "link-local"},
           Row{"::ffff:10.1.2.3", ""},
           Row{"::ffff:0:127.0.0.1", "loopback"},
           Row{"::127.0.0.1", "loopback"},
           Row{"::2", "unspecified"},
           Row{"64:ff9b::127.0.0.1", "loopback"},
           Row{"64:ff9b::a9fe:a9fe", "link-local"},
           Row{"64:ff9b::10.1.2.3", ""},
           Row{"64:ff9b:1::1", "tunnel"},
           Row{"2002:7f00:1::1", "loopback"},
           Row{"2002:a9fe:a9fe::1", "link-local"},
           Row{"2002:a01:203::1", ""},
           Row{"2001:0:53aa:64c::1", "tunnel"},
           Row{"2001:db8::5efe:127.0.0.1", "loopback"},
           Row{"2001:db8::200:5efe:169.254.169.254", "link-local"},
           Row{"2001:db8::5efe:10.1.2.3", ""},
           Row{"localhost", "not an IP address"},
           Row{"127.1", "not an IP address"},
           Row{"", "not an IP address"},
       }) {
    INFO(std::string(row.address));
    const std::string why = why_never_called(row.address, {});
    CHECK(why.empty() == (*row.why == '\0'));
    CHECK_MESSAGE(why.find(row.why) != std::string::npos, why);
  }
}

TEST_CASE("loopback may be allowed, and nothing else is then") {
  struct Row {
    const char* address;
    bool allowed;
  };
  for (const Row& row : {
           Row{"127.0.0.1", true},
           Row{"127.8.8.8", true},
           Row{"::1", true},
           Row{"::ffff:127.0.0.1", true},
           Row{"10.1.2.3", true},
           Row{"169.254.169.254", false},
           Row{"0.0.0.0", false},
           Row{"::", false},
           Row{"fe80::1", false},
           Row{"224.0.0.1", false},
           Row{"64:ff9b::a9fe:a9fe", false},
       }) {
    INFO(std::string(row.address));
    CHECK(why_never_called(row.address, {.allow_loopback = true}).empty() == row.allowed);
  }
}

TEST_CASE("a name with one address that is never called is not called") {
  CHECK(judge_addresses("a.example", {"10.0.0.1", "2001:db8::1"}, {}).ok());
  const auto refused = judge_addresses("a.example", {"10.0.0.1", "169.254.169.254"}, {});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::PermissionDenied);
  CHECK(refused.error().message == "a.example is 169.254.169.254, a link-local address: never called");
  CHECK(judge_addresses("127.0.0.1", {"127.0.0.1"}, {}).error().message ==
        "127.0.0.1 is a loopback address: never called");
}

}  // namespace
}  // namespace gate
