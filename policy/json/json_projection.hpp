#pragma once
// The few members of a foreign JSON text that are of interest, as a small tree. Everything else is validated and passed
// over while it is read, so that memory follows what is kept and not what somebody stored.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "policy/text/result.hpp"

namespace gate {

class JsonTokens;

/// What is kept of one value. Values of another type than the projection expects are kept without their content: a
/// text, number, bool or null as it is, a list or an object empty.
struct Projection {
  enum class Keep : std::uint8_t {
    Nothing,  ///< An object or a list becomes an empty one.
    Everything,
    Members,   ///< Of an object: those named in `members`; a name that ends in '*' covers all that begin so.
    Elements,  ///< Of a list: each element, by members.front(); where that has a name, null stands for each element
               ///< that is no object whose member "name" has this text in it for whoever reads it (look_of()).
  };
  std::string name{};
  Keep keep = Keep::Everything;
  std::vector<Projection> members{};
  /// The members of this object that are not kept themselves are compared: see JsonProjector::digests.
  bool digest = false;
  /// Of a list with Keep::Elements: what comes after so many is not kept. 0: everything counts, see ProjectionLimits.
  std::size_t elements_max = 0;
};

/// The value and all below it.
[[nodiscard]] Projection keep_all(std::string name = {});
/// An object with these members.
[[nodiscard]] Projection keep_members(std::string name, std::vector<Projection> members);
/// Like it, and digests of all members but those that are objects with members of interest.
[[nodiscard]] Projection keep_and_digest(std::string name, std::vector<Projection> members);
/// A list, each element by `element`.
[[nodiscard]] Projection keep_elements(std::string name, Projection element);
/// A list of which the first `elements_max` are kept whole.
[[nodiscard]] Projection keep_first(std::string name, std::size_t elements_max);

/// What one projection may keep: a node is a value or a key's member. A hostile text fills its bytes with nodes, each a
/// hundred times as large as its bytes.
struct ProjectionLimits {
  std::size_t nodes_max = 16384;
  std::size_t depth_max = 64;
  std::size_t digests_max = 4096;
};

/// Reads one text, perhaps by several projections. Not thread safe. The text must outlive this.
class JsonProjector {
 public:
  explicit JsonProjector(std::string_view text);
  ~JsonProjector();
  JsonProjector(const JsonProjector&) = delete;
  JsonProjector& operator=(const JsonProjector&) = delete;

  /// The whole text is validated as RFC 8259 has it; of repeated keys the last counts. InvalidInput says where the text
  /// is wrong ("not JSON: see byte 7") or which limit what is to be kept exceeds, never what it says.
  [[nodiscard]] Result<nlohmann::json> project(const Projection& projection, const ProjectionLimits& limits = {});

  /// Of the last projection, by "/path/of/member": equal texts have equal digests. Comparable within one projector
  /// only.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& digests() const { return digests_; }

 private:
  std::string_view text_;
  std::unique_ptr<JsonTokens> tokens_;  ///< Null where the text needs the slow reader.
  std::map<std::string, std::uint64_t> digests_;
};

/// One text, one projection.
[[nodiscard]] Result<nlohmann::json> project_json(std::string_view text, const Projection& projection,
                                                  const ProjectionLimits& limits = {});

}  // namespace gate
