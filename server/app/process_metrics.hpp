#pragma once
// What every Prometheus client says of its process, by the usual names (process_resident_memory_bytes and its kin).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "server/app/metric_families.hpp"

namespace gate {

/// What could not be found out is absent, and so is its metric.
struct ProcessFacts {
  std::optional<double> cpu_seconds;  ///< User and system.
  std::optional<double> start_time;   ///< Unix time, seconds.
  std::optional<double> resident_bytes;
  std::optional<double> virtual_bytes;
  std::optional<double> open_fds;
  std::optional<double> max_fds;  ///< The soft limit; infinite where there is none.
};

/// The kernel's units in the texts of /proc.
struct ProcUnits {
  double ticks_per_second = 100;
  double page_bytes = 4096;
};

/// From the texts of /proc/self/stat and /proc/stat; of a text that is cut or no such text, nothing.
[[nodiscard]] ProcessFacts process_facts(std::string_view self_stat, std::string_view stat, const ProcUnits& units);

/// Of this process, now. Reads a few small files of /proc; thread safe.
[[nodiscard]] ProcessFacts read_process_facts();

[[nodiscard]] MetricFamilies process_families(const ProcessFacts& facts);

}  // namespace gate
