// Goal: an image that no pod can start with is told by what is wrong with it, and no good one is called wrong.

#include "policy/versions/image_reference.hpp"

#include <doctest/doctest.h>

TEST_CASE("what no container runtime takes for an image is named") {
  struct Row {
    const char* name;
    std::string image;
    const char* fault;  ///< "" = a good reference.
  };
  const std::string digest = "@sha256:" + std::string(64, 'a');
  for (const Row& row : {
           Row{"a tag", "starrocks/be-ubuntu:3.5.7", ""},
           Row{"no tag", "be", ""},
           Row{"a digest", "be" + digest, ""},
           Row{"a tag and a digest", "registry.example:5000/a/be:3.5.7" + digest, ""},
           Row{"a registry with a port and no tag", "localhost:5000/be", ""},
           Row{"a registry's name in capitals", "Registry.Example/be:3.5.7", ""},
           Row{"a tag in capitals", "be:V3.5.8-RC01", ""},
           Row{"a tag that ends in a dot", "be:3.5.8.", ""},
           Row{"underscores", "a_b/be__x:_1", ""},
           Row{"a blank at the end", "be:3.5.8 ", "white space"},
           Row{"a line's end of Windows", "be:3.5.8\r", "white space"},
           Row{"a character nobody sees", "be:3.5.8\u200B", "U+200B (zero width space)"},
           Row{"a full-width dot", "be:3\uFF0E5", "U+FF0E (full-width form of an ASCII character)"},
           Row{"an empty tag", "be:", "an empty tag"},
           Row{"an empty tag before a digest", "be:" + digest, "an empty tag"},
           Row{"an empty digest", "be:3.5.8@", "an empty digest"},
           Row{"a URL", "https://registry.example/be:3.5.8", "a scheme (https://)"},
           Row{"a scheme of tools", "docker://registry.example/be:3.5.8", "a scheme (docker://)"},
           Row{"build metadata", "be:3.5.8+build.7", "the character '+' in its tag"},
           Row{"commas", "be:3,5,8", "the character ',' in its tag"},
           Row{"two tags", "be:3.5.7:3.5.8", "the character ':' in its tag"},
           Row{"a tag that begins with a dash", "be:-3.5", "a tag that begins with '-'"},
           Row{"a long tag", "be:" + std::string(129, '1'), "a tag of more than 128 characters"},
           Row{"a repository in capitals", "registry.example/StarRocks/be:3.5.8", "capital letters in its repository"},
           Row{"a plain name in capitals", "BE:3.5.8", "capital letters in its repository"},
           Row{"a template that nobody rendered", "${REGISTRY}/be:3.5.8", "the character '$' in its repository"},
           Row{"a slash at the end", "registry.example/be/:3.5.8", "an empty part in its repository"},
           Row{"two slashes", "registry.example//be:3.5.8", "an empty part in its repository"},
           Row{"a tag alone", ":3.5.8", "an empty part in its repository"},
       }) {
    INFO(row.name);
    CHECK(gate::image_fault(row.image) == row.fault);
  }
}
