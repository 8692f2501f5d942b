#include "policy/text/object_name.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace gate;

TEST_CASE("names of objects are those that the API server takes") {
  struct Row {
    std::string name;
    bool good;
  };
  const std::string longest(253, 'a');
  for (const Row& row : {Row{"a", true},       Row{"0", true},     Row{"sr-hooks", true},     Row{"a--b", true},
                         Row{"a.b-c.9", true}, Row{longest, true}, Row{longest + "a", false}, Row{"", false},
                         Row{"-a", false},     Row{"a-", false},   Row{".a", false},          Row{"a.", false},
                         Row{"a..b", false},   Row{"a-.b", false}, Row{"a.-b", false},        Row{"A", false},
                         Row{"a_b", false},    Row{"a/b", false},  Row{"a b", false},         Row{"\xc3\xa4", false}}) {
    CAPTURE(row.name);
    CHECK(is_object_name(row.name) == row.good);
  }
}

TEST_CASE("keys of ConfigMaps and Secrets are those that the API server takes") {
  struct Row {
    std::string key;
    bool good;
  };
  const std::string longest(253, 'a');
  for (const Row& row : {Row{"ca.crt", true}, Row{"TOKEN_1", true}, Row{".dockerconfigjson", true}, Row{"-", true},
                         Row{longest, true}, Row{longest + "a", false}, Row{"", false}, Row{".", false},
                         Row{"..", false}, Row{"..a", false}, Row{"a/b", false}, Row{"a b", false}}) {
    CAPTURE(row.key);
    CHECK(is_data_key(row.key) == row.good);
  }
}
