#pragma once
// Metrics that are made anew for each scrape, without the registry: what is gone leaves no series behind.

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace gate {

using MetricFamilies = std::vector<prometheus::MetricFamily>;
using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

[[nodiscard]] inline prometheus::MetricFamily metric_family(std::string name, std::string help,
                                                            prometheus::MetricType type) {
  return {std::move(name), std::move(help), type, {}};
}

/// To a family of gauges or counters.
inline void add_value(prometheus::MetricFamily& family, double value, MetricLabels labels = {}) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  (family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

}  // namespace gate
