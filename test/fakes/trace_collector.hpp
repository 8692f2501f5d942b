#pragma once
// A collector of traces that takes OTLP over HTTP in JSON, and the variables that send a gate's spans to it.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/httplib.hpp"

namespace gate::test {

/// Variables of this process, for as long as it lives.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& variables) {
    for (const auto& [name, value] : variables) {
      names_.push_back(name);
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& name : names_) ::unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::string> names_;
};

inline bool is_hex(const nlohmann::json& value, std::size_t digits) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() != digits) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.find_first_not_of("0123456789abcdef") == std::string::npos && text != std::string(digits, '0');
}

inline bool is_decimal(const nlohmann::json& value) {
  return value.is_string() && !value.get_ref<const std::string&>().empty() &&
         value.get_ref<const std::string&>().find_first_not_of("0123456789") == std::string::npos;
}

/// What a strict reader of proto3's JSON, as OTLP changes it, finds wrong with a span; "" when nothing.
inline std::string fault_of(const nlohmann::json& span) {
  static const std::map<std::string, std::function<bool(const nlohmann::json&)>> kMembers{
      {"traceId", [](const nlohmann::json& value) { return is_hex(value, 32); }},
      {"spanId", [](const nlohmann::json& value) { return is_hex(value, 16); }},
      {"parentSpanId", [](const nlohmann::json& value) { return is_hex(value, 16); }},
      {"name", [](const nlohmann::json& value) { return value.is_string() && !value.empty(); }},
      {"kind", [](const nlohmann::json& value) { return value.is_number_unsigned() && value >= 1 && value <= 5; }},
      {"flags", [](const nlohmann::json& value) { return value.is_number_unsigned() && value <= 0x3ff; }},
      {"startTimeUnixNano", is_decimal},
      {"endTimeUnixNano", is_decimal},
      {"attributes", [](const nlohmann::json& value) { return value.is_array(); }},
      {"events", [](const nlohmann::json& value) { return value.is_array(); }},
      {"links", [](const nlohmann::json& value) { return value.is_array() && is_hex(value.at(0).at("traceId"), 32); }},
      {"status", [](const nlohmann::json& value) { return value.at("code").is_number_unsigned(); }},
  };
  for (const auto& [name, value] : span.items()) {
    const auto known = kMembers.find(name);
    if (known == kMembers.end()) return "unknown member " + name;
    if (!known->second(value)) return name + ": " + value.dump();
  }
  for (const auto* name : {"traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano"}) {
    if (!span.contains(name)) return std::string("no ") + name;
  }
  static const std::set<std::string> kValues{"stringValue", "boolValue", "intValue", "doubleValue", "arrayValue"};
  for (const auto& attribute : span.value("attributes", nlohmann::json::array())) {
    const auto& value = attribute.at("value");
    if (value.size() != 1 || !kValues.contains(value.begin().key())) return "attribute " + attribute.dump();
  }
  return {};
}

/// A collector that refuses what it does not understand.
class StrictCollector {
 public:
  StrictCollector() {
    server_.Post("/v1/traces", [this](const httplib::Request& request, httplib::Response& response) {
      const auto body = nlohmann::json::parse(request.body, nullptr, false);
      const std::lock_guard lock(mutex_);
      bodies_ += request.body + "\n";
      if (!body.contains("resourceSpans")) faults_.push_back("no OTLP: " + request.body);
      for (const auto& resource : body.value("resourceSpans", nlohmann::json::array())) {
        resource_ = resource.at("resource");
        for (const auto& scope : resource.at("scopeSpans")) {
          for (const auto& span : scope.at("spans")) {
            if (auto fault = fault_of(span); !fault.empty()) {
              faults_.push_back(fault);
              response.status = 400;
            }
            spans_.push_back(span);
          }
        }
      }
      came_.notify_all();
      response.set_content("{}", "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~StrictCollector() {
    server_.stop();
    thread_.join();
  }
  StrictCollector(const StrictCollector&) = delete;
  StrictCollector& operator=(const StrictCollector&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<nlohmann::json> named(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    std::vector<nlohmann::json> out;
    std::copy_if(spans_.begin(), spans_.end(), std::back_inserter(out),
                 [&](const nlohmann::json& span) { return span.at("name") == name; });
    return out;
  }
  /// Until there is one of this name; false: not within a time that is ample.
  [[nodiscard]] bool gets(const std::string& name) const {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, std::chrono::seconds(60), [&] {
      return std::any_of(spans_.begin(), spans_.end(), [&](const auto& span) { return span.at("name") == name; });
    });
  }
  [[nodiscard]] std::vector<nlohmann::json> of_trace(const std::string& trace) const {
    const std::lock_guard lock(mutex_);
    std::vector<nlohmann::json> out;
    std::copy_if(spans_.begin(), spans_.end(), std::back_inserter(out),
                 [&](const auto& span) { return span.at("traceId") == trace; });
    return out;
  }
  /// All that was sent, as it came.
  [[nodiscard]] std::string bodies() const {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }
  [[nodiscard]] std::vector<std::string> faults() const {
    const std::lock_guard lock(mutex_);
    return faults_;
  }
  [[nodiscard]] std::string resource() const {
    const std::lock_guard lock(mutex_);
    return resource_.dump();
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable came_;
  std::string bodies_;                 // guarded by mutex_
  std::vector<nlohmann::json> spans_;  // guarded by mutex_
  std::vector<std::string> faults_;    // guarded by mutex_
  nlohmann::json resource_;            // guarded by mutex_
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

/// The string value of a span's attribute; "" where there is none.
inline std::string attribute_of(const nlohmann::json& span, const std::string& key) {
  if (!span.contains("attributes")) return {};
  for (const auto& attribute : span.at("attributes")) {
    if (attribute.at("key") == key) return attribute.at("value").value("stringValue", "");
  }
  return {};
}

}  // namespace gate::test
