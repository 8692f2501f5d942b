#pragma once
// Plain scalars as kubectl reads them (go-yaml, and then JSON), as seen; plan_kubectl_test asks a real kubectl again.

#include <array>

namespace gate::test {

struct KubectlScalar {
  const char* written;
  const char* json;  ///< "": kubectl refuses the document.
};

inline constexpr std::array kKubectlScalars{
    KubectlScalar{"yes", "true"},
    KubectlScalar{"No", "false"},
    KubectlScalar{"on", "true"},
    KubectlScalar{"OFF", "false"},
    KubectlScalar{"y", "true"},
    KubectlScalar{"N", "false"},
    KubectlScalar{"yES", R"("yES")"},
    KubectlScalar{"TRUE", "true"},
    KubectlScalar{"\"yes\"", R"("yes")"},
    KubectlScalar{"'on'", R"("on")"},
    KubectlScalar{"!!str yes", R"("yes")"},
    KubectlScalar{"!!bool on", "true"},
    KubectlScalar{"~", "null"},
    KubectlScalar{"Null", "null"},
    KubectlScalar{"nULL", R"("nULL")"},
    KubectlScalar{"\"\"", R"("")"},
    KubectlScalar{"010", "8"},
    KubectlScalar{"-010", "-8"},
    KubectlScalar{"08", "8"},
    KubectlScalar{"0o7", "7"},
    KubectlScalar{"0O7", "7"},
    KubectlScalar{"0o8", R"("0o8")"},
    KubectlScalar{"0x10", "16"},
    KubectlScalar{"+0x10", "16"},
    KubectlScalar{"0x", R"("0x")"},
    KubectlScalar{"0b11", "3"},
    KubectlScalar{"0b2", R"("0b2")"},
    KubectlScalar{"1_000", "1000"},
    KubectlScalar{"+1_000", "1000"},
    KubectlScalar{"1_", "1"},
    KubectlScalar{"_1", R"("_1")"},
    KubectlScalar{"1_0.5", "10.5"},
    KubectlScalar{"60:00", R"("60:00")"},
    KubectlScalar{"+12", "12"},
    KubectlScalar{"00", "0"},
    KubectlScalar{"-0", "0"},
    KubectlScalar{"60.0", "60"},
    KubectlScalar{"1.", "1"},
    KubectlScalar{".5", "0.5"},
    KubectlScalar{"1.50", "1.5"},
    KubectlScalar{"1e3", "1000"},
    KubectlScalar{"1E3", "1000"},
    KubectlScalar{"1.0e+3", "1000"},
    KubectlScalar{"0.1e", R"("0.1e")"},
    KubectlScalar{"1e400", R"("1e400")"},
    KubectlScalar{"2001-01-01", R"("2001-01-01")"},
    KubectlScalar{"3.5.7", R"("3.5.7")"},
    KubectlScalar{".", R"(".")"},
    KubectlScalar{"=", R"("=")"},
    KubectlScalar{"inf", R"("inf")"},
    KubectlScalar{".inf", ""},
    KubectlScalar{"-.INF", ""},
    KubectlScalar{".nan", ""},
    KubectlScalar{"9223372036854775807", "9223372036854775807"},
    KubectlScalar{"-9223372036854775808", "-9223372036854775808"},
};

}  // namespace gate::test
