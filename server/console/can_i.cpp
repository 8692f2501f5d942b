#include "server/console/can_i.hpp"

#include "server/console/process.hpp"

namespace gate {

Result<bool> run_can_i(const std::vector<std::string>& arguments, Deadline deadline) {
  std::string answer;
  const auto ran = stream_program(arguments, deadline, [&](std::string_view chunk) {
    answer += chunk;
    return answer.size() <= kProgramOutputMax;
  });
  if (ran) return true;
  // "no", or "no - REASON"; what kept kubectl from asking is on its standard error alone.
  if (ran.error().code == ErrorCode::Rejected && answer.starts_with("no")) return false;
  return ran.error();
}

}  // namespace gate
