// Goal: numbers are compared as numbers, and only numbers.

#include "policy/hooks/comparison.hpp"

#include <doctest/doctest.h>

using namespace gate;

TEST_CASE("both sides are numbers: compared as numbers; otherwise as text") {
  struct Row {
    const char* name;
    const char* observed;
    Comparison comparison;
    const char* wanted;
    bool holds;
  };
  for (const Row& row : {
           Row{"nine is less than ten", "9", Comparison::Less, "10", true},
           Row{"as text it would not be", "9", Comparison::Less, "10x", false},
           Row{"written otherwise, the same number", "10.0", Comparison::Equal, "10", true},
           Row{"a sign", "+3", Comparison::Equal, "3", true},
           Row{"negative", "-1", Comparison::GreaterOrEqual, "0", false},
           Row{"an exponent", "1e3", Comparison::Equal, "1000", true},
           Row{"ids that a double cannot tell apart", "9007199254740993", Comparison::Equal, "9007199254740992", false},
           Row{"not equal", "9007199254740993", Comparison::NotEqual, "9007199254740992", true},
           Row{"greater", "0.11", Comparison::Greater, "0.1", true},
           Row{"at most, when equal", "5", Comparison::LessOrEqual, "5", true},
           Row{"words", "NORMAL", Comparison::Equal, "NORMAL", true},
           Row{"words have a case", "normal", Comparison::Equal, "NORMAL", false},
           Row{"nothing is not zero", "", Comparison::Equal, "0", false},
           Row{"nothing is less than something, as text", "", Comparison::Less, "0", true},
           Row{"nan is a word, and equals itself", "nan", Comparison::Equal, "nan", true},
           Row{"infinity is a word", "inf", Comparison::Greater, "999", true},
           Row{"hexadecimal is text", "0x10", Comparison::Equal, "16", false},
           Row{"too large for 64 bits", "99999999999999999999", Comparison::Greater, "1", true},
       }) {
    INFO(row.name);
    CHECK(satisfies(row.observed, row.comparison, row.wanted) == row.holds);
  }
}
