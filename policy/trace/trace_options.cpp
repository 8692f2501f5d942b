#include "policy/trace/trace_options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

#include "policy/text/text.hpp"

namespace gate {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kDefaultService = "upgrade-gate";
constexpr std::size_t kShownMax = 59;
// What a gate could fill its memory with, or send, at once.
constexpr std::uint64_t kQueueMax = 100'000;
constexpr std::uint64_t kBatchMax = 4'096;
constexpr std::uint64_t kMillisecondsMax = 24ULL * 3600 * 1000;
constexpr std::size_t kPairsMax = 64;

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// nothing for a '%' that two digits do not follow.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return word || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_header_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

/// What a request is made of, which is ours to say.
bool is_own_header(const std::string& name) {
  constexpr std::array<std::string_view, 9> kOwn{"host",       "content-length",   "content-type",
                                                 "accept",     "accept-encoding",  "transfer-encoding",
                                                 "connection", "content-encoding", "user-agent"};
  return std::find(kOwn.begin(), kOwn.end(), lower(name)) != kOwn.end();
}

class Reader {
 public:
  Reader(const VariableLookup& variable, std::vector<SpanAttribute> resource) : variable_(variable) {
    options_.resource = std::move(resource);
  }

  Result<TraceSettings> read() && {
    if (is_off()) return std::move(settings_);
    auto endpoint = read_endpoint();
    if (!endpoint) return endpoint.error();
    options_.endpoint = std::move(endpoint).value();
    judge_what_is_not_supported();
    read_headers();
    options_.ca_file = one_of("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE").second;
    read_sampler();
    read_resource();
    const auto timeout_name = one_of("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT").first;
    read_duration(timeout_name, options_.timeout);
    read_duration("OTEL_BSP_SCHEDULE_DELAY", options_.schedule_delay);
    read_duration("OTEL_BSP_EXPORT_TIMEOUT", options_.export_timeout);
    read_number("OTEL_BSP_MAX_QUEUE_SIZE", options_.queue_max, kQueueMax);
    read_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", options_.batch_max, kBatchMax);
    options_.batch_max = std::min(options_.batch_max, options_.queue_max);
    settings_.options = std::move(options_);
    return std::move(settings_);
  }

 private:
  [[nodiscard]] std::string value_of(const std::string& name) const {
    return std::string(trimmed(variable_(name).value_or("")));
  }

  /// Name and value of the first that is set.
  [[nodiscard]] std::pair<std::string, std::string> one_of(const std::string& first, const std::string& second) const {
    if (auto value = value_of(first); !value.empty()) return {first, std::move(value)};
    return {second, value_of(second)};
  }

  void warn(const std::string& name, const std::string& what) { settings_.warnings.push_back(name + ": " + what); }
  void not_understood(const std::string& name, std::string_view value, const std::string& wanted) {
    warn(name, "invalid value \"" + clean_text(value, kShownMax) + "\": want " + wanted);
  }

  [[nodiscard]] bool is_off() {
    const auto disabled = value_of("OTEL_SDK_DISABLED");
    if (lower(disabled) == "true") return true;
    if (!disabled.empty() && lower(disabled) != "false") {
      not_understood("OTEL_SDK_DISABLED", disabled, "true or false; treated as false");
    }
    if (one_of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT").second.empty()) return true;
    const auto exporter = lower(value_of("OTEL_TRACES_EXPORTER"));
    if (exporter == "none") return true;
    if (!exporter.empty() && exporter != "otlp") {
      not_understood("OTEL_TRACES_EXPORTER", exporter, "otlp or none; treated as otlp");
    }
    return false;
  }

  [[nodiscard]] Result<HttpUrl> read_endpoint() const {
    const auto [name, value] = one_of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    auto url = parse_http_url(value);
    if (!url) return Error{ErrorCode::InvalidInput, name + ": " + url.error().message};
    if (name == "OTEL_EXPORTER_OTLP_ENDPOINT") {
      if (!url->path.ends_with('/')) url->path += '/';
      url->path += "v1/traces";
    }
    return url;
  }

  void judge_what_is_not_supported() {
    const auto [protocol_name, protocol] = one_of("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
    if (lower(protocol) == "http/protobuf") {
      warn(protocol_name, "JSON is sent instead; collectors take both at the same endpoint");
    } else if (!protocol.empty() && lower(protocol) != "http/json") {
      not_understood(protocol_name, protocol, "http/json, which is used; collectors have it at port 4318");
    }
    const auto [compression_name, compression] =
        one_of("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION");
    if (!compression.empty() && lower(compression) != "none") {
      not_understood(compression_name, compression, "none; nothing is compressed");
    }
    for (const auto& [traces, all] :
         {std::pair{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
          {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"}}) {
      if (const auto& [name, value] = one_of(traces, all); !value.empty()) {
        warn(name, "not supported: no client certificate is shown");
      }
    }
  }

  /// Calls `use(key, value)` for each member of "KEY=VALUE,KEY=VALUE". What is wrong is told by its number: the value
  /// may be a credential.
  template <class Use>
  void read_pairs(const std::string& name, std::string_view list, const Use& use) {
    for (std::size_t number = 1; !list.empty(); ++number) {
      if (number > kPairsMax)
        return warn(name, "more than " + std::to_string(kPairsMax) + " members: the rest is left out");
      const auto end = std::min(list.find(','), list.size());
      const auto pair = trimmed(list.substr(0, end));
      list.remove_prefix(std::min(end + 1, list.size()));
      if (pair.empty()) continue;
      const auto equals = pair.find('=');
      const auto key = trimmed(pair.substr(0, equals));
      const auto value =
          equals == std::string_view::npos ? std::nullopt : percent_decoded(trimmed(pair.substr(equals + 1)));
      if (key.empty() || !value || !use(std::string(key), *value)) {
        warn(name, "member " + std::to_string(number) + " is left out: want KEY=VALUE, the value percent-encoded");
      }
    }
  }

  void read_headers() {
    const auto [name, list] = one_of("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
    read_pairs(name, list, [this](const std::string& key, const std::string& value) {
      if (!is_token(key) || !is_header_value(value) || is_own_header(key)) return false;
      options_.headers.emplace_back(key, value);
      return true;
    });
    if (!options_.headers.empty() && !options_.endpoint.tls) {
      warn(name, "sent in clear, since the endpoint is not https");
    }
  }

  void read_sampler() {
    const std::string name = "OTEL_TRACES_SAMPLER";
    const auto value = lower(value_of(name));
    constexpr std::string_view kParent = "parentbased_";
    const bool parent = value.starts_with(kParent);
    const auto root = parent ? value.substr(kParent.size()) : value;
    const bool by_ratio = root == "traceidratio";
    if (value.empty() || (root != "always_on" && root != "always_off" && !by_ratio)) {
      if (!value.empty()) {
        not_understood(name, value,
                       "always_on, always_off, traceidratio, or one of them behind parentbased_; treated as "
                       "parentbased_always_on");
      }
      return;
    }
    options_.sampler.parent_based = parent;
    options_.sampler.ratio = root == "always_off" ? 0.0 : 1.0;
    if (by_ratio) read_ratio();
  }

  void read_ratio() {
    const std::string name = "OTEL_TRACES_SAMPLER_ARG";
    const auto text = value_of(name);
    if (text.empty()) return;
    double ratio = -1;
    const char* const end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, ratio);
    if (failure == std::errc{} && at == end && ratio >= 0 && ratio <= 1) {
      options_.sampler.ratio = ratio;
    } else {
      not_understood(name, text, "a number from 0 to 1; treated as 1");
    }
  }

  void set_resource(const std::string& key, const std::string& value) {
    auto& resource = options_.resource;
    const auto known =
        std::find_if(resource.begin(), resource.end(), [&](const SpanAttribute& one) { return one.key == key; });
    if (known != resource.end()) {
      known->value = value;
    } else {
      resource.push_back({key, value});
    }
  }

  void read_resource() {
    auto& resource = options_.resource;
    resource.insert(resource.begin(), {"service.name", std::string(kDefaultService)});
    const std::string name = "OTEL_RESOURCE_ATTRIBUTES";
    read_pairs(name, value_of(name), [this](const std::string& key, const std::string& value) {
      set_resource(clean_text(key), clean_text(value));
      return true;
    });
    if (const auto service = value_of("OTEL_SERVICE_NAME"); !service.empty()) {
      set_resource("service.name", clean_text(service));
    }
  }

  /// `value` stays where the variable says nothing that makes sense.
  bool read_whole(const std::string& name, std::uint64_t& value, std::uint64_t most, const std::string& unit) {
    const auto text = value_of(name);
    if (text.empty()) return false;
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [at, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{} || at != end || number == 0 || number > most) {
      not_understood(
          name, text,
          "a whole number" + unit + " from 1 to " + std::to_string(most) + "; treated as " + std::to_string(value));
      return false;
    }
    value = number;
    return true;
  }

  void read_duration(const std::string& name, milliseconds& value) {
    auto number = static_cast<std::uint64_t>(value.count());
    if (read_whole(name, number, kMillisecondsMax, " of milliseconds")) {
      value = milliseconds(static_cast<std::int64_t>(number));
    }
  }

  void read_number(const std::string& name, std::size_t& value, std::uint64_t most) {
    std::uint64_t number = value;
    if (read_whole(name, number, most, "")) value = static_cast<std::size_t>(number);
  }

  const VariableLookup& variable_;
  TraceOptions options_;
  TraceSettings settings_;
};

}  // namespace

Result<TraceSettings> read_trace_settings(const VariableLookup& variable, std::vector<SpanAttribute> resource) {
  return Reader(variable, std::move(resource)).read();
}

}  // namespace gate
