#pragma once
// Throw-away certificates for tests, made in memory: ECDSA P-256, valid for a day around now.

#include <string>
#include <vector>

namespace gate {

struct TestCertificate {
  std::string certificate_pem;
  std::string private_key_pem;
};

[[nodiscard]] TestCertificate make_test_authority(const std::string& common_name);
/// A server certificate; `names` are DNS names or IP addresses for the subjectAltName.
[[nodiscard]] TestCertificate make_test_certificate(const TestCertificate& authority,
                                                    const std::vector<std::string>& names);

}  // namespace gate
