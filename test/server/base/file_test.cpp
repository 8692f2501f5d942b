#include "server/base/file.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace gate;

TEST_CASE("a file is read whole, or it is said why not") {
  const auto folder = std::filesystem::temp_directory_path() / ("file-test-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const auto file = folder / "a";
  const std::string bytes("a\0b\r\n", 5);
  std::ofstream(file, std::ios::binary) << bytes;
  CHECK(read_file(file, 5).value() == bytes);
  const auto large = read_file(file, 4);
  REQUIRE(!large);
  CHECK(large.error().code == ErrorCode::InvalidInput);
  for (const auto& other : {folder / "missing", folder, std::filesystem::path()}) {
    CAPTURE(other);
    const auto read = read_file(other, 5);
    REQUIRE(!read);
    CHECK(read.error().code == ErrorCode::NotFound);
  }
  CHECK(!read_file("/proc/self/stat", 1u << 20).value().empty());  // of no known size
  std::filesystem::remove_all(folder);
}
