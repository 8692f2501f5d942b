// Goal: where a password is configured, the gate finds it or says why it cannot; it never takes what it does not
// understand for "no password".

#include "server/kubernetes/frontend_credentials.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace gate {
namespace {

using nlohmann::json;
using Source = FrontendCredentials::Source;

json cluster_with(const char* variables) {
  return {{"spec", {{"starRocksFeSpec", {{"feEnvVars", json::parse(variables)}}}}}};
}

/// "secret a/b, config-map? c/d, literal x": in the order of looking, '?' for what is optional.
std::string shown(const FrontendCredentials& credentials) {
  if (credentials.source == Source::None) return "none";
  if (credentials.source == Source::LoginSecret) return "login " + credentials.login_secret;
  std::string out;
  for (const auto& reference : credentials.references) {
    out += reference.kind == KeyReference::Kind::Secret ? "secret" : "config-map";
    out += (reference.optional ? "? " : " ") + reference.name + "/" + reference.key + ", ";
  }
  return out + "literal " + credentials.literal_password;
}

TEST_CASE("the password of root is what the kubelet would put into MYSQL_PWD") {
  struct Row {
    const char* name;
    const char* variables;
    const char* found;
  };
  for (const Row& row : {
           Row{"no variables", "[]", "none"},
           Row{"null", "null", "none"},
           Row{"others", R"([{"name": "TZ", "value": "UTC"}])", "none"},
           Row{"a value", R"([{"name": "MYSQL_PWD", "value": "p"}])", "literal p"},
           Row{"an empty value", R"([{"name": "MYSQL_PWD", "value": ""}])", "literal "},
           Row{"a name alone", R"([{"name": "MYSQL_PWD"}])", "literal "},
           Row{"valueFrom null", R"([{"name": "MYSQL_PWD", "value": "p", "valueFrom": null}])", "literal p"},
           Row{"a Secret", R"([{"name": "MYSQL_PWD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}])",
               "secret a/b, literal "},
           Row{"a Secret beside nulls",
               R"([{"name": "MYSQL_PWD", "value": "",
                    "valueFrom": {"fieldRef": null, "secretKeyRef": {"name": "a", "key": "b"}}}])",
               "secret a/b, literal "},
           Row{"a ConfigMap", R"([{"name": "MYSQL_PWD", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}])",
               "config-map a/b, literal "},
           Row{"an optional Secret",
               R"([{"name": "MYSQL_PWD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b", "optional": true}}}])",
               "secret? a/b, literal "},
           Row{"the last of several", R"([{"name": "MYSQL_PWD", "value": "p"}, {"name": "MYSQL_PWD", "value": "q"}])",
               "literal q"},
           Row{"a last one that is fixed hides what cannot be read",
               R"([{"name": "MYSQL_PWD", "valueFrom": {"fieldRef": {"fieldPath": "x"}}},
                   {"name": "MYSQL_PWD", "value": "q"}])",
               "literal q"},
           Row{"a last one that is optional does not hide the value",
               R"([{"name": "MYSQL_PWD", "value": "p"},
                   {"name": "MYSQL_PWD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b", "optional": true}}}])",
               "secret? a/b, literal p"},
           Row{"a name that is nearly the right one beside it",
               R"([{"name": "mysql_pwd", "value": "p"}, {"name": "MYSQL_PWD", "value": "q"}])", "literal q"},
           Row{"another variable", R"([{"name": "MYSQL_PWD_FILE", "value": "p"}])", "none"},
           Row{"dollars before a bracket", R"j([{"name": "MYSQL_PWD", "value": "$$$$(b)"}])j", "literal $$(b)"},
           Row{"two dollars are one", R"([{"name": "MYSQL_PWD", "value": "a$$(b)$c$"}])", "literal a$(b)$c$"},
           Row{"a bracket that is not closed", R"([{"name": "MYSQL_PWD", "value": "a$(b"}])", "literal a$(b"},
       }) {
    INFO(row.name);
    const auto found = frontend_credentials(cluster_with(row.variables));
    REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
    CHECK(shown(*found) == row.found);
  }
}

TEST_CASE("what cannot be read is named, with what would be accepted, and never with the value") {
  struct Row {
    const char* name;
    const char* variables;
    const char* said;
  };
  for (const Row& row : {
           Row{"a field of the pod",
               R"([{"name": "MYSQL_PWD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])",
               "feEnvVars[0].valueFrom.fieldRef: "},
           Row{"a resource of the pod",
               R"([{"name": "A"}, {"name": "MYSQL_PWD", "valueFrom": {"resourceFieldRef": {"resource": "x"}}}])",
               "feEnvVars[1].valueFrom.resourceFieldRef: "},
           Row{"a file of the pod", R"([{"name": "MYSQL_PWD", "valueFrom": {"fileKeyRef": {"key": "x"}}}])",
               "valueFrom.fileKeyRef: "},
           Row{"what is invented later", R"([{"name": "MYSQL_PWD", "valueFrom": {"vaultRef": {"path": "x"}}}])",
               "valueFrom.vaultRef: "},
           Row{"a misspelt reference",
               R"([{"name": "MYSQL_PWD", "valueFrom": {"secretRef": {"name": "a", "key": "b"}}}])",
               "valueFrom.secretRef: "},
           Row{"no source", R"([{"name": "MYSQL_PWD", "valueFrom": {}}])", "names no source"},
           Row{"two sources",
               R"([{"name": "MYSQL_PWD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"},
                                                       "configMapKeyRef": {"name": "a", "key": "b"}}}])",
               "or several"},
           Row{"no object", R"([{"name": "MYSQL_PWD", "valueFrom": "a"}])", "not an object"},
           Row{"no key", R"([{"name": "MYSQL_PWD", "valueFrom": {"secretKeyRef": {"name": "a"}}}])",
               "a name and a key"},
           Row{"both", R"([{"name": "MYSQL_PWD", "value": "hunter2",
                            "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}])",
               "both value and valueFrom"},
           Row{"a number", R"([{"name": "MYSQL_PWD", "value": 12345}])", "put it in quotes"},
           Row{"another variable", R"j([{"name": "MYSQL_PWD", "value": "hunter2$(TOKEN)"}])j", "$(NAME)"},
           Row{"another variable behind a dollar", R"j([{"name": "MYSQL_PWD", "value": "hunter2$$$(TOKEN)"}])j",
               "$(NAME)"},
           Row{"a misspelt valueFrom",
               R"([{"name": "MYSQL_PWD", "valuefrom": {"secretKeyRef": {"name": "a", "key": "b"}}}])",
               "feEnvVars[0]: the gate cannot read root's password: its field valuefrom is not known"},
           Row{"a misspelt value", R"([{"name": "MYSQL_PWD", "Value": "hunter2"}])", "its field Value is not known"},
           Row{"the name with a blank", R"([{"name": "A"}, {"name": "MYSQL_PWD ", "value": "hunter2"}])",
               "feEnvVars[1].name: the gate cannot read root's password: invalid value \"MYSQL_PWD \": want MYSQL_PWD"},
           Row{"the name with a zero width space", R"([{"name": "MYSQL\u200B_PWD", "value": "hunter2"}])",
               "which has U+200B (zero width space): want MYSQL_PWD"},
           Row{"the name in lower case", R"([{"name": "mysql_pwd", "value": "hunter2"}])", "want MYSQL_PWD"},
           Row{"no list", R"({"MYSQL_PWD": "hunter2"})", "not a list"},
       }) {
    INFO(row.name);
    const auto found = frontend_credentials(cluster_with(row.variables));
    REQUIRE_FALSE(found.ok());
    const std::string& message = found.error().message;
    INFO(message);
    CHECK(found.error().code == ErrorCode::Misconfigured);
    CHECK(message.find(row.said) != std::string::npos);
    CHECK(message.find("hunter2") == std::string::npos);
    CHECK(message.find("12345") == std::string::npos);
    CHECK(message.find("starrocks.com/upgrade-credentials-secret") != std::string::npos);
  }
}

TEST_CASE("a Secret of the cluster's own comes before the variable, and must have a name") {
  json cluster = cluster_with(R"([{"name": "MYSQL_PWD", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}])");
  auto& annotation = cluster["metadata"]["annotations"]["starrocks.com/upgrade-credentials-secret"];
  annotation = "upgrader";
  const auto found = frontend_credentials(cluster);
  REQUIRE(found.ok());
  CHECK(shown(*found) == "login upgrader");
  annotation = "";
  const auto unnamed = frontend_credentials(cluster);
  REQUIRE_FALSE(unnamed.ok());
  CHECK(unnamed.error().message.find("want the name of a Secret") != std::string::npos);
}

}  // namespace
}  // namespace gate
