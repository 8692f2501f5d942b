// Any bytes as the entry of a ConfigMap: no crash, no endless work, and what is accepted is what a record can hold.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/record/preparation_codec.hpp"
#include "policy/text/yaml.hpp"
#include "test/fuzz/require.hpp"

namespace {

using namespace gate;

void require_bounded(const nlohmann::json& value, std::size_t depth) {
  FUZZ_REQUIRE(depth <= kYamlDepthMax);
  if (!value.is_structured()) return;
  for (const auto& element : value) require_bounded(element, depth + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr const char* kKeys[] = {"a.yaml", "a.json", "a.sql", "a.sh"};
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);

  const auto documents = yaml_documents(text);
  if (documents) {
    for (const auto& document : *documents) require_bounded(document, 0);
  } else {
    FUZZ_REQUIRE(documents.error().code == ErrorCode::InvalidInput);
  }

  const HookRules rules{{"https://hooks.example.com/gate"}, true, {SqlKind::AlterSystem, SqlKind::CancelJob}};
  const HookConfiguration configuration = validate_config_map({{kKeys[data[0] % 4], text}}, rules);
  FUZZ_REQUIRE(!configuration.faults.empty() || !configuration.hooks.empty());
  for (const ConfigurationFault& fault : configuration.faults) {
    FUZZ_REQUIRE(!fault.field.empty() && !fault.accepted.empty());
  }
  Preparation record;
  record.name = record.name_space = record.spec.cluster = "a";
  record.spec.object = {"StarRocksCluster", "a", "uid"};
  record.spec.hooks = configuration.hooks;
  const auto read = preparation_from_json(to_json(record));
  FUZZ_REQUIRE(read.ok() && read->spec.hooks == configuration.hooks);
  for (const Hook& hook : configuration.hooks) {
    FUZZ_REQUIRE(!hook.name.empty() && hook.timeout >= kHookTimeoutMin && hook.timeout <= kHookTimeoutMax);
    if (const auto* sql = std::get_if<SqlAction>(&hook.action))
      FUZZ_REQUIRE(validate_sql(sql->sql, rules.more_sql).ok());
    if (const auto* query = std::get_if<QueryAction>(&hook.action)) FUZZ_REQUIRE(validate_sql(query->sql).ok());
    if (hook.restore == RestoreMode::Statement) FUZZ_REQUIRE(validate_sql(hook.restore_sql, rules.more_sql).ok());
  }
  return 0;
}
