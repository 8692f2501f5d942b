#include "policy/review/caller_token.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace gate {
namespace {

const std::string kKey(kCallerKeyBytes, 'a');
const WallTime kThen{std::chrono::seconds(1'800'000'000)};

TEST_CASE("a token tells when it was made, to whoever has the key") {
  const auto token = make_caller_token(kKey, kThen);
  CHECK(token.starts_with("t1800000000-"));
  CHECK(token.size() == 12 + 64);
  CHECK(caller_token_issued(kKey, token) == kThen);
  // A segment of a path must be a DNS label list: lower case, digits, hyphens, alphanumeric at both ends.
  CHECK(token.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos);
  CHECK(make_caller_token(kKey, kThen + std::chrono::seconds(1)) != token);
}

TEST_CASE("what was not made with the key is no token") {
  const auto token = make_caller_token(kKey, kThen);
  CHECK_FALSE(caller_token_issued(std::string(kCallerKeyBytes, 'b'), token));
  CHECK_FALSE(caller_token_issued("", token));
  CHECK_FALSE(caller_token_issued("", make_caller_token("", kThen)));
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == '0' ? '1' : '0';
    INFO(changed);
    CHECK_FALSE(caller_token_issued(kKey, changed));
  }
  for (const std::string& text :
       std::vector<std::string>{"", "t", "t-", "-", "t1-", "t01800000000-" + token.substr(12), token + "0",
                                token.substr(0, token.size() - 1), "T" + token.substr(1), " " + token,
                                "t-1" + token.substr(11), "t99999999999999999999" + token.substr(11)}) {
    INFO(text);
    CHECK_FALSE(caller_token_issued(kKey, text));
  }
}

}  // namespace
}  // namespace gate
