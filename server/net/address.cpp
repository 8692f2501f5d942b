#include "server/net/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace gate {
namespace {

/// One block of addresses, in network byte order.
struct Block {
  std::array<std::uint8_t, 16> first;
  int bits;
  std::string_view what;
};

constexpr std::string_view kLoopback = "a loopback address";
constexpr std::string_view kLinkLocal = "a link-local address";
constexpr std::string_view kUnspecified = "an unspecified address";
constexpr std::string_view kMulticast = "a multicast address";
constexpr std::string_view kReserved = "a reserved address";
constexpr std::string_view kMetadata = "the address of a cloud's metadata service";
constexpr std::string_view kTunnel = "an address of a tunnel, which may lead anywhere";

constexpr Block kIpv4[] = {
    {{0}, 8, kUnspecified},  // "this network": Linux connects 0.0.0.0 to itself
    {{127}, 8, kLoopback},
    {{169, 254}, 16, kLinkLocal},  // with the metadata service of most clouds, 169.254.169.254
    {{224}, 4, kMulticast},
    {{240}, 4, kReserved},  // with the broadcast address
    // Metadata services elsewhere; both answer to whoever runs in the cloud.
    {{100, 100, 100, 200}, 32, kMetadata},  // Alibaba Cloud
    {{168, 63, 129, 16}, 32, kMetadata},    // Azure
    {{192, 0, 0, 192}, 32, kMetadata},      // Oracle Cloud
};

constexpr Block kIpv6[] = {
    {{}, 128, kUnspecified},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, kLoopback},
    {{0xfe, 0x80}, 10, kLinkLocal},
    {{0xff}, 8, kMulticast},
    // Whole blocks: clouds hand out one service after the other from theirs, and no pod has an address in them.
    {{0xfd, 0x00, 0x0e, 0xc2}, 32, kMetadata},  // Amazon: fd00:ec2::254, ::253 (DNS), ::23 (pod identity)
    {{0xfd, 0x20, 0x00, 0xce}, 32, kMetadata},  // Google: fd20:ce::254
    {{0xfd, 0x00, 0x00, 0xc1}, 32, kMetadata},  // Oracle: fd00:c1::a9fe:a9fe
    {{0x20, 0x01, 0, 0}, 32, kTunnel},          // Teredo
    // NAT64 of local use (RFC 8215): where in it the IPv4 address stands is the network's secret.
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, kTunnel},
};

/// Blocks of IPv6 that stand for IPv4 addresses, and the byte at which these begin.
struct Embedding {
  std::array<std::uint8_t, 16> first;
  int bits;
  std::size_t offset;
};
constexpr Embedding kEmbeddings[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},        // mapped, ::ffff:0:0/96
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 96, 12},        // translated, ::ffff:0:0:0/96
    {{}, 96, 12},                                                // compatible, ::/96
    {{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 96, 12},  // NAT64, 64:ff9b::/96
    {{0x20, 0x02}, 16, 2},                                       // 6to4
};

bool is_in(const std::uint8_t* address, const std::array<std::uint8_t, 16>& first, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(address, address + whole, first.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || (address[whole] >> (8 - rest)) == (first[whole] >> (8 - rest));
}

std::string_view judge_in(const std::uint8_t* address, const Block* begin, const Block* end,
                          const AddressRules& rules) {
  const auto* block = std::find_if(begin, end, [&](const Block& b) { return is_in(address, b.first, b.bits); });
  if (block == end || (block->what == kLoopback && rules.allow_loopback)) return {};
  return block->what;
}

std::string_view judge_ipv4(const std::uint8_t* address, const AddressRules& rules) {
  return judge_in(address, std::begin(kIpv4), std::end(kIpv4), rules);
}

/// ISATAP: whatever the prefix, the interface identifier is 0:5efe or 200:5efe and the IPv4 address.
bool is_isatap(const std::uint8_t* address) {
  return (address[8] & 0xfd) == 0 && address[9] == 0 && address[10] == 0x5e && address[11] == 0xfe;
}

std::string_view judge_ipv6(const std::uint8_t* address, const AddressRules& rules) {
  const auto own = judge_in(address, std::begin(kIpv6), std::end(kIpv6), rules);
  if (!own.empty()) return own;
  constexpr std::array<std::uint8_t, 16> kOne{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (is_in(address, kOne, 128)) return {};  // allowed above; not the IPv4 address 0.0.0.1
  for (const Embedding& embedding : kEmbeddings) {
    if (is_in(address, embedding.first, embedding.bits)) return judge_ipv4(address + embedding.offset, rules);
  }
  return is_isatap(address) ? judge_ipv4(address + 12, rules) : std::string_view();
}

}  // namespace

bool is_ip_address(const std::string& host) {
  std::array<std::uint8_t, 16> bytes{};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 || inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

std::string why_never_called(const std::string& address, const AddressRules& rules) {
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return std::string(judge_ipv4(bytes.data(), rules));
  // A zone ("fe80::1%eth0") belongs to link-local addresses alone.
  const std::string without_zone = address.substr(0, address.find('%'));
  if (inet_pton(AF_INET6, without_zone.c_str(), bytes.data()) != 1) return "not an IP address";
  const auto why = judge_ipv6(bytes.data(), rules);
  if (why.empty() && without_zone != address) return "an address with a zone";
  return std::string(why);
}

Status judge_addresses(const std::string& host, const std::vector<std::string>& addresses, const AddressRules& rules) {
  for (const std::string& address : addresses) {
    const std::string why = why_never_called(address, rules);
    if (why.empty()) continue;
    const std::string where = address == host ? host : host + " is " + address;
    return Error{ErrorCode::PermissionDenied, where + (address == host ? " is " : ", ") + why + ": never called"};
  }
  return Ok{};
}

}  // namespace gate
