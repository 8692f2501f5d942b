#pragma once
// A broken invariant ends the process, which is what libFuzzer records as a find.

#include <cstdio>
#include <cstdlib>

#define FUZZ_REQUIRE(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);    \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
