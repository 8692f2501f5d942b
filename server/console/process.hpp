#pragma once
// Runs another program, without a shell: the plugin leaves credentials, proxies and cloud logins to kubectl.

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// All of one answer. A list of 10,000 records of 5 KB fits; more than this is a mistake.
inline constexpr std::size_t kProgramOutputMax = 64u << 20;

/// What a program may be given on its standard input: it fits into a pipe, so nobody waits for it to be read.
inline constexpr std::size_t kProgramInputMax = 16u << 10;

/// Runs `arguments` (the first is looked for on the PATH) and returns what it wrote to standard output. `input` (at
/// most kProgramInputMax) is its standard input; without one it has that of this process. Blocks until it ends or
/// `deadline`; then it is killed. Rejected with its standard error when it ends with another code than 0, NotFound when
/// there is no such program, DeadlineExceeded, Unavailable when it wrote more than kProgramOutputMax.
[[nodiscard]] Result<std::string> run_program(const std::vector<std::string>& arguments, Deadline deadline,
                                              std::string_view input = {});

/// Runs `arguments` and hands over what it writes as it comes, until it ends, `deadline`, or `take` returns false; then
/// it is killed. Success in the last case and when it ended with 0; errors as above.
[[nodiscard]] Status stream_program(const std::vector<std::string>& arguments, Deadline deadline,
                                    const std::function<bool(std::string_view chunk)>& take,
                                    std::string_view input = {});

}  // namespace gate
