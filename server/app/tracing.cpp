#include "server/app/tracing.hpp"

#include <cstdlib>
#include <optional>
#include <utility>

#include "policy/trace/trace_options.hpp"
#include "server/app/version.hpp"

namespace gate {

Result<std::unique_ptr<OtlpExporter>> start_tracing(const std::string& identity, Logger& log) {
  auto settings = read_trace_settings(
      [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      },
      {{"service.version", std::string(kVersion)}, {"service.instance.id", identity}});
  if (!settings) return settings.error();
  for (const auto& warning : settings->warnings) log_warning(log, "tracing", {{"error", warning}});
  if (!settings->options) return std::unique_ptr<OtlpExporter>();
  log_info(log, "tracing", {{"endpoint", settings->options->endpoint.shown()}});
  OtlpExporterOptions options;
  options.trace = *std::move(settings->options);
  options.version = std::string(kVersion);
  return std::make_unique<OtlpExporter>(std::move(options), log);
}

}  // namespace gate
