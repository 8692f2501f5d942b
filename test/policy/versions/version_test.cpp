#include "policy/versions/version.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace gate;

TEST_CASE("an image's tag is read as numbers") {
  struct Row {
    const char* name;
    const char* image;
    const char* version;  ///< "" when it is not known.
  };
  const std::vector<Row> rows{
      {"plain tag", "starrocks/fe-ubuntu:3.5.7", "3.5.7"},
      {"two-digit patch", "starrocks/fe-ubuntu:3.4.10", "3.4.10"},
      {"registry with a port", "registry.local:5000/starrocks/fe:3.3.1", "3.3.1"},
      {"registry with a port, no tag", "registry.local:5000/starrocks/fe", ""},
      {"leading v", "fe:v3.5.7", "3.5.7"},
      {"release candidate", "fe:4.0.2-rc01", "4.0.2-rc01"},
      {"release candidate in capitals", "fe:4.0.2-RC1", "4.0.2-rc1"},
      {"candidate and distribution", "fe:4.0.2-rc01-ubuntu", "4.0.2-rc01"},
      {"distribution", "fe:3.3.1-ubuntu", "3.3.1"},
      {"commit", "fe:4.0.2-1f1aa9c", "4.0.2"},
      {"newest of a minor", "fe:3.5-latest", "3.5"},
      {"minor alone", "fe:3.5", "3.5"},
      {"four numbers", "fe:3.5.7.2", "3.5.7"},
      {"tag and digest", "fe:3.5.7@sha256:0123456789abcdef", "3.5.7"},
      {"digest alone", "starrocks/fe-ubuntu@sha256:0123456789abcdef", ""},
      {"latest", "fe:latest", ""},
      {"branch", "fe:main-latest", ""},
      {"branch and date", "fe:branch-3.5-20240101", ""},
      {"date", "fe:20240101", ""},
      {"major alone", "fe:3", ""},
      {"major and a dot", "fe:3.", ""},
      {"a date with dots", "harbor.example.com:8443/bi/be:2024.01.15", ""},
      {"a date without leading zeros", "be:2024.1.15", ""},
      {"a date that ends in the year", "be:15.1.2024", ""},
      {"a year as the patch", "be:3.5.2024", ""},
      {"a year as the minor", "be:3.2024", ""},
      {"a short date", "be:24.01.15", ""},
      {"a release of a distribution", "be:24.10", ""},
      {"a leading zero in the major", "be:03.5.7", ""},
      {"a leading zero in the minor", "be:3.05.7", ""},
      {"a leading zero in the patch", "be:3.5.07", ""},
      {"a zero alone", "be:3.0.0", "3.0.0"},
      {"three digits", "be:3.5.123", "3.5.123"},
      {"a version and the build's date", "be:3.5.7-20240302", "3.5.7"},
      {"a version and the build's date after a dot", "be:3.5.7.20240302", "3.5.7"},
      {"the build's date before the version", "be:20240302-3.5.7", ""},
      {"a candidate numbered by its date", "be:3.5.7-rc20240302", "3.5.7-rc20240302"},
      {"a later major", "be:19.9.9", "19.9.9"},
      {"letters after the minor", "fe:3.5x", ""},
      {"letters after the patch", "fe:3.5.7beast", ""},
      {"number too large", "fe:3.5.99999999999999999999", ""},
      {"negative", "fe:3.-5", ""},
      {"v alone", "fe:v", ""},
      {"no tag", "fe", ""},
      {"empty tag", "fe:", ""},
      {"empty", "", ""},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const auto version = version_of_image(row.image);
    CHECK((version ? to_string(*version) : "") == row.version);
  }
}

TEST_CASE("a change of images is a change of versions") {
  struct Row {
    const char* name;
    const char* from;
    const char* to;
    VersionChange change;
  };
  const std::vector<Row> rows{
      {"patch", "fe:3.5.7", "fe:3.5.10", VersionChange::Patch},
      {"minor", "fe:3.3.9", "fe:3.4.0", VersionChange::Minor},
      {"minor skipped", "fe:3.2.1", "fe:3.5.1", VersionChange::Minor},
      {"major", "fe:3.5.7", "fe:4.0.0", VersionChange::Major},
      {"major from a higher minor", "fe:2.5.22", "fe:3.0.1", VersionChange::Major},
      {"patch down", "fe:3.5.10", "fe:3.5.7", VersionChange::Downgrade},
      {"minor down to a higher patch", "fe:3.4.0", "fe:3.3.22", VersionChange::Downgrade},
      {"major down", "fe:4.0.1", "fe:3.5.9", VersionChange::Downgrade},
      {"another registry", "a/fe:3.5.7", "b:5000/fe:3.5.7", VersionChange::Same},
      {"another distribution", "fe:3.5.7-ubuntu", "fe:3.5.7-centos", VersionChange::Same},
      {"candidate to candidate", "fe:4.0.0-rc02", "fe:4.0.0-rc10", VersionChange::Patch},
      {"candidate to release", "fe:4.0.0-rc02", "fe:4.0.0", VersionChange::Patch},
      {"release to candidate", "fe:4.0.0", "fe:4.0.0-rc02", VersionChange::Downgrade},
      {"beta to candidate", "fe:4.0.0-beta2", "fe:4.0.0-rc1", VersionChange::Patch},
      {"to the newest of a higher minor", "fe:3.3.1", "fe:3.5-latest", VersionChange::Minor},
      {"to the newest of the same minor", "fe:3.5.7", "fe:3.5-latest", VersionChange::Unknown},
      {"from latest", "fe:latest", "fe:3.5.7", VersionChange::Unknown},
      {"to a digest", "fe:3.5.7", "fe@sha256:0123456789abcdef", VersionChange::Unknown},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(version_change(row.from, row.to) == row.change);
  }
}
