// Values of FE settings, as the FE understands them and as it shows them.

#include "policy/hooks/frontend_setting.hpp"

#include <doctest/doctest.h>

namespace gate {
namespace {

TEST_CASE("values are the same when the FE would keep the same") {
  struct Row {
    const char* type;
    const char* left;
    const char* right;
    bool same;
  };
  for (const Row& row : {
           Row{"int", "7", "+7", true},
           Row{"int", "0100", "100", true},
           Row{"int", " 8 ", "8", true},
           Row{"int", "8", "80", false},
           Row{"int", "x", "x", true},
           Row{"long", "-1", "-01", true},
           Row{"double", "0.30", "0.3", true},
           Row{"double", "1", "1.0", true},
           Row{"double", "1e-1", "0.1", true},
           Row{"double", "0.1", "0.11", false},
           Row{"boolean", " TRUE ", "true", true},
           Row{"boolean", "yes", "false", true},
           Row{"boolean", "true", "false", false},
           Row{"String", "Abc", "abc", false},
           Row{"String", "0.30", "0.3", false},
           Row{"String[]", "a,b", "[a, b]", true},
           Row{"String[]", "", "[]", true},
           Row{"String[]", "a", "[a, b]", false},
           Row{"long[]", "1,+2", "[1, 2]", true},
           Row{"", "TRUE", "true", true},
           Row{"", "0.30", "0.3", false},
       }) {
    INFO(row.type, " ", row.left, " ", row.right);
    CHECK(same_setting(row.type, row.left, row.right) == row.same);
    CHECK(same_setting(row.type, row.right, row.left) == row.same);
  }
}

TEST_CASE("what an FE shows is given back in the form that it accepts") {
  CHECK(settable("long[]", "[11001, 11002]") == "11001,11002");
  CHECK(settable("String[]", "[]").empty());
  CHECK(settable("String", "[x]") == "[x]");
  CHECK(settable("int", "7") == "7");
}

TEST_CASE("stars stand for a value that is not shown") {
  CHECK(is_masked("******"));
  CHECK_FALSE(is_masked("**"));
  CHECK_FALSE(is_masked("a***"));
  CHECK_FALSE(is_masked(""));
}

}  // namespace
}  // namespace gate
