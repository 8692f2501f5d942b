#pragma once
// Tracing as the OTEL_* variables of the process ask for it.

#include <memory>
#include <string>

#include "policy/text/result.hpp"
#include "server/base/log.hpp"
#include "server/outbound/otlp_exporter.hpp"

namespace gate {

/// Null: tracing is off. Logs what is not understood, and that tracing is on. InvalidInput names the variable.
[[nodiscard]] Result<std::unique_ptr<OtlpExporter>> start_tracing(const std::string& identity, Logger& log);

}  // namespace gate
