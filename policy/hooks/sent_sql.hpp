#pragma once
// A record's SQL, judged once more when it is sent. It was judged before it came into the record, but a record is only
// as good as who wrote it: by hand, or a gate of an older version.

#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/text/result.hpp"

namespace gate {

/// One statement of a kind that is allowed here, as validate_sql() has it. InvalidInput says that it is not sent, and
/// why; it repeats nothing that is quoted.
[[nodiscard]] Status judge_sent_sql(std::string_view sql, const std::vector<SqlKind>& further);

/// All that the hook would send, its undo statement included: a setting is the one of its statement, and a check only
/// reads. Ok for what sends no SQL. Errors as above.
[[nodiscard]] Status judge_sent_sql(const Hook& hook, const std::vector<SqlKind>& further);

/// The statement asks for something that is called like a secret ("... LIKE '%password%'"): its answer is not shown.
[[nodiscard]] bool asks_for_secret(std::string_view sql);

/// One cell of an answer is the name of a secret, so that another may be its value. Text of several words is none.
[[nodiscard]] bool is_name_of_secret(std::string_view cell);

}  // namespace gate
