// Goal: what kubectl accepts, `plan` reads; what `plan` refuses, it refuses aloud.
// Method: every shape of shapes.hpp is given to a real kubectl and API server as a dry run, and to `plan`.

#include <doctest/doctest.h>

#include <sstream>

#include "server/plan/plan.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/plan/shapes.hpp"

namespace gate {

TEST_CASE("kubectl is the yardstick of what a manifest may look like") {
  const std::string name_space = test::make_namespace();
  for (const test::Shape& shape : test::shapes()) {
    INFO(shape.name);
    // Without the API server's own opinion of keys that come twice: the question is what is read.
    const auto applied = test::api_server().kubectl(
        {"apply", "-n", name_space, "--dry-run=server", "--validate=false", "-o", "json", "-f", "-"},
        {.input = shape.text});
    INFO(applied.err);
    CHECK((applied.exit_code == 0) == shape.kubectl_reads_it);
    std::istringstream input(shape.text);
    PlanOptions options;
    options.files = {"-"};
    options.set_images = {"fe=fe:3.5.8"};
    const PlanResult planned = plan(options, input);
    INFO(planned.error);
    CHECK((planned.exit_code == 0) == shape.said.empty());
    if (applied.exit_code == 0 && shape.said.empty()) {
      CHECK(applied.out.find("\"image\": \"fe:3.5.7\"") != std::string::npos);
    }
  }
}

}  // namespace gate
