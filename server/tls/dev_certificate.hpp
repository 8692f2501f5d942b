#pragma once
// A throw-away CA and serving certificate, for trying the gate out and for tests. In a cluster use cert-manager.

#include <string>
#include <vector>

#include "policy/text/result.hpp"
#include "policy/text/time.hpp"

namespace gate {

struct DevCertificateOptions {
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  WallTime not_before;
  WallTime not_after;
};

/// PEM texts; ECDSA P-256, the cheapest to sign with for every new connection. The CA's own key is gone.
struct DevCertificate {
  std::string ca;
  std::string certificate;
  std::string key;
};

/// InvalidInput for a name or an address that cannot stand in a certificate.
[[nodiscard]] Result<DevCertificate> make_dev_certificate(const DevCertificateOptions& options);

/// Writes tls.crt, tls.key (readable by the owner only) and ca.crt into an existing folder.
[[nodiscard]] Status write_dev_certificate(const DevCertificate& certificate, const std::string& folder);

}  // namespace gate
