// A log that nobody reads: lines are lost and counted, and nobody waits.

#include "server/base/line_writer.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <string>

using namespace gate;

namespace {

struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    stop_reading();
    ::close(ends[1]);
  }
  void stop_reading() {
    if (ends[0] >= 0) ::close(ends[0]);
    ends[0] = -1;
  }
  [[nodiscard]] int in() const { return ends[1]; }
  /// Blocks until the line has come.
  std::string line() {
    std::string text;
    for (char next = 0; ::read(ends[0], &next, 1) == 1 && next != '\n';) text += next;
    return text;
  }
};

std::string tell(std::uint64_t lost) { return "lost " + std::to_string(lost); }

}  // namespace

TEST_CASE("lines come out in their order, those longer than a pipe too, and the last ones at the end") {
  Pipe pipe;
  {
    LineWriter writer(pipe.in(), tell);
    writer.write("first");
    CHECK(pipe.line() == "first");
    const std::string large(200'000, 'x');
    writer.write(large);
    writer.write("last");
    CHECK(pipe.line() == large);
    CHECK(writer.lost() == 0);
  }
  CHECK(pipe.line() == "last");
}

TEST_CASE("with a full pipe lines are lost and counted; a reader who comes back is told, and gets the next ones") {
  Pipe pipe;
  LineWriter writer(pipe.in(), tell, 10'000);
  const std::string line(99, 'x');
  constexpr int kLines = 5'000;  // 500 KB: more than any pipe and the queue together.
  for (int i = 0; i < kLines; ++i) writer.write(line);
  const auto lost = writer.lost();
  REQUIRE(lost > 0);
  // A writer that is slow to begin may tell of the first losses before the pipe is full.
  const std::string words = tell(0).substr(0, tell(0).size() - 1);
  std::uint64_t came = 0;
  std::uint64_t told = 0;
  while (came + told < kLines) {
    const auto next = pipe.line();
    if (next == line) {
      ++came;
      continue;
    }
    REQUIRE(next.starts_with(words));
    told += std::stoull(next.substr(words.size()));
  }
  CHECK(told == lost);
  writer.write("next");
  CHECK(pipe.line() == "next");
  CHECK(writer.lost() == lost);
}

TEST_CASE("the end does not wait for a reader for ever") {
  Pipe pipe;
  LineWriter writer(pipe.in(), tell);
  writer.write(std::string(500'000, 'x'));
}

TEST_CASE("a descriptor that is broken loses its lines") {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  pipe.stop_reading();
  {
    LineWriter writer(pipe.in(), tell);
    writer.write("nobody reads this");
  }
  LineWriter closed(-1, tell);
  closed.write("nor this");
}

TEST_CASE("files, too, are written to") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    LineWriter writer(::fileno(file), tell);
    writer.write("a line");
  }
  std::array<char, 32> text{};
  std::rewind(file);
  REQUIRE(std::fgets(text.data(), text.size(), file) != nullptr);
  CHECK(std::string(text.data()) == "a line\n");
  std::fclose(file);
}
