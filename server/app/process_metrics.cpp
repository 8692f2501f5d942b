#include "server/app/process_metrics.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>

#include "server/base/file.hpp"

namespace gate {
namespace {

/// /proc/stat has a line for each processor and interrupt before the one that is wanted.
constexpr std::size_t kProcBytesMax = 1u << 20;

std::string read_proc(const char* path) {
  auto text = read_file(path, kProcBytesMax);
  return text ? *std::move(text) : std::string();
}

std::optional<double> number(std::string_view word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kSpace = " \n";
  std::vector<std::string_view> words;
  for (auto begin = text.find_first_not_of(kSpace); begin != std::string_view::npos;) {
    const auto end = std::min(text.find_first_of(kSpace, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(kSpace, end);
  }
  return words;
}

/// When the machine was started, Unix time.
std::optional<double> boot_time(std::string_view stat) {
  constexpr std::string_view kLine = "\nbtime ";
  const auto found = stat.find(kLine);
  if (found == std::string_view::npos) return std::nullopt;
  stat.remove_prefix(found + kLine.size());
  return number(stat.substr(0, stat.find('\n')));
}

/// Not with a std::filesystem iterator: its increment(), which must not throw, asks for memory all the same, and ends
/// the process where there is none.
std::optional<double> count_open_fds() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
  if (!folder) return std::nullopt;
  double count = 0;
  while (const dirent* const entry = ::readdir(folder.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  if (count == 0) return std::nullopt;
  return count - 1;  // the one that reads the directory
}

std::optional<double> fd_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<double>::infinity()
                                         : static_cast<double>(limit.rlim_cur);
}

}  // namespace

ProcessFacts process_facts(std::string_view self_stat, std::string_view stat, const ProcUnits& units) {
  ProcessFacts facts;
  // The second field is the program's name in parentheses, which may have any characters in it.
  const auto name_end = self_stat.rfind(')');
  if (name_end == std::string_view::npos) return facts;
  const auto words = words_of(self_stat.substr(name_end + 1));
  // By the numbers of proc(5); the first word after the name is the third field.
  const auto field = [&](std::size_t index) -> std::optional<double> {
    constexpr std::size_t kFirst = 3;
    return index - kFirst < words.size() ? number(words[index - kFirst]) : std::nullopt;
  };
  const auto user = field(14);
  const auto system = field(15);
  if (user && system) facts.cpu_seconds = (*user + *system) / units.ticks_per_second;
  const auto started = field(22);
  const auto boot = boot_time(stat);
  if (started && boot) facts.start_time = *boot + *started / units.ticks_per_second;
  facts.virtual_bytes = field(23);
  if (const auto pages = field(24)) facts.resident_bytes = *pages * units.page_bytes;
  return facts;
}

ProcessFacts read_process_facts() {
  auto facts =
      process_facts(read_proc("/proc/self/stat"), read_proc("/proc/stat"),
                    {static_cast<double>(::sysconf(_SC_CLK_TCK)), static_cast<double>(::sysconf(_SC_PAGESIZE))});
  facts.open_fds = count_open_fds();
  facts.max_fds = fd_limit();
  return facts;
}

MetricFamilies process_families(const ProcessFacts& facts) {
  using prometheus::MetricType;
  MetricFamilies families;
  const auto add = [&](const char* name, const char* help, MetricType type, const std::optional<double>& value) {
    if (!value) return;
    families.push_back(metric_family(name, help, type));
    add_value(families.back(), *value);
  };
  add("process_cpu_seconds_total", "User and system CPU time of the process", MetricType::Counter, facts.cpu_seconds);
  add("process_start_time_seconds", "Start of the process, Unix time", MetricType::Gauge, facts.start_time);
  add("process_resident_memory_bytes", "Resident memory of the process", MetricType::Gauge, facts.resident_bytes);
  add("process_virtual_memory_bytes", "Virtual memory of the process", MetricType::Gauge, facts.virtual_bytes);
  add("process_open_fds", "Open file descriptors", MetricType::Gauge, facts.open_fds);
  add("process_max_fds", "File descriptors that may be open", MetricType::Gauge, facts.max_fds);
  return families;
}

}  // namespace gate
