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
           Row{"dashes", "a--b/be---x:3.5.8", ""},
           Row{"a registry by its address", "192.0.2.1:5000/be:3.5.8", ""},
           Row{"a registry by its IPv6 address", "[2001:db8::1]:5000/be:3.5.8", ""},
           Row{"the highest port", "registry.example:65535/be:3.5.8", ""},
           Row{"a longer digest", "be@sha512:" + std::string(128, '0'), ""},
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
           Row{"a template that nobody rendered", "${REGISTRY}/be:3.5.8", "the character '$' in its registry"},
           Row{"a slash at the end", "registry.example/be/:3.5.8", "an empty part in its repository"},
           Row{"two slashes", "registry.example//be:3.5.8", "an empty part in its repository"},
           Row{"a tag alone", ":3.5.8", "an empty part in its repository"},
           Row{"a blank inside", "be :3.5.8", "white space"},
           Row{"a tab before it", "\tbe:3.5.8", "white space"},
           Row{"an invisible letter", "be:3.5.8\u115F", "U+115F (invisible character)"},
           Row{"a bell", "be:3.5.8\a", "U+0007 (control character)"},
           Row{"a NUL", std::string("be:3.5.8\0", 9), "U+0000 (control character)"},
           Row{"a letter of another script", "b\u0435:3.5.8", "U+0435 (not an ASCII character) in its repository"},
           Row{"a letter of another script in the tag", "be:3.5.8-\u0430",
               "U+0430 (not an ASCII character) in its tag"},
           Row{"no byte of UTF-8", "be\xE4:3.5.8", "the character '\xE4' in its repository"},
           Row{"a tag for a digest", "be@3.5.8", "a digest that does not begin with sha256:, sha384: or sha512:"},
           Row{"a digest without its digits", "be:3.5.8@sha256",
               "a digest that does not begin with sha256:, sha384: or sha512:"},
           Row{"two '@'", "be@" + digest, "a digest that does not begin with sha256:, sha384: or sha512:"},
           Row{"a digest's name in capitals", "be@SHA256:" + std::string(64, 'a'),
               "a digest that does not begin with sha256:, sha384: or sha512:"},
           Row{"a digest that is cut", "be@sha256:abc", "a digest without the 64 digits (0-9, a-f) of sha256"},
           Row{"a digest that is too long", "be" + digest + "a", "a digest without the 64 digits (0-9, a-f) of sha256"},
           Row{"a digest in capitals", "be@sha256:" + std::string(64, 'A'),
               "a digest without the 64 digits (0-9, a-f) of sha256"},
           Row{"a port of letters", "registry:abc/be:3.5.8", "a registry whose port is no number up to 65535"},
           Row{"a port too high", "registry:65536/be:3.5.8", "a registry whose port is no number up to 65535"},
           Row{"an empty port", "registry:/be:3.5.8", "a registry whose port is no number up to 65535"},
           Row{"a port of a hundred digits", "registry:" + std::string(100, '9') + "/be:3.5.8",
               "a registry whose port is no number up to 65535"},
           Row{"an underscore in the registry", "my_registry.example/be:3.5.8", "the character '_' in its registry"},
           Row{"a registry with two dots", "registry..example/be:3.5.8",
               "a registry with a part that begins or ends with '.' or '-'"},
           Row{"a registry that ends in a dash", "registry-:5000/be:3.5.8",
               "a registry with a part that begins or ends with '.' or '-'"},
           Row{"a registry that is a port", ":5000/be:3.5.8", "an empty registry"},
           Row{"a bracket that is left open", "[::1/be:3.5.8", "'[' without ']' in its registry"},
           Row{"no address in the brackets", "[]:5000/be:3.5.8", "a registry that is no IPv6 address in brackets"},
           Row{"a name in the brackets", "[registry]:5000/be:3.5.8", "a registry that is no IPv6 address in brackets"},
           Row{"something behind the bracket", "[::1]x:5000/be:3.5.8",
               "a registry that is no IPv6 address in brackets"},
           Row{"a dash at the beginning", "-be:3.5.8", "a part that begins or ends with '-' in its repository"},
           Row{"an underscore at a part's end", "a_/be:3.5.8", "a part that begins or ends with '_' in its repository"},
           Row{"two dots", "a/b..c:3.5.8", "'..' in its repository"},
           Row{"three underscores", "a___b:3.5.8", "'___' in its repository"},
           Row{"a long repository", "a/" + std::string(254, 'b') + ":3.5.8",
               "a repository of more than 255 characters"},
       }) {
    INFO(row.name);
    CHECK(gate::image_fault(row.image) == row.fault);
  }
}
