#include "policy/versions/upgrade_path.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "policy/text/text.hpp"
#include "policy/versions/image_reference.hpp"

namespace gate {
namespace {

// --- The rules, with where StarRocks says so ---------------------------------------------------------------------

namespace source {
constexpr std::string_view kUpgradePaths = "docs/en/deployment/upgrade.md, Upgrade paths";
constexpr std::string_view kUpgradeOrder = "docs/en/deployment/upgrade.md, Upgrade procedure";
constexpr std::string_view kDowngradePaths = "docs/en/deployment/downgrade.md, Downgrade paths";
constexpr std::string_view kDowngradeOrder = "docs/en/deployment/downgrade.md, Downgrade procedure";
constexpr std::string_view kRelease33 = "docs/en/release_notes/release-3.3.md, warning at its head";
constexpr std::string_view kRelease34 = "docs/en/release_notes/release-3.4.md, Downgrade Notes";
constexpr std::string_view kRelease35Up = "docs/en/release_notes/release-3.5.md, Upgrade Notes";
constexpr std::string_view kRelease35 = "docs/en/release_notes/release-3.5.md, Downgrade Notes";
constexpr std::string_view kRelease40 = "docs/en/release_notes/release-4.0.md, Downgrade Notes";
constexpr std::string_view kRelease41 = "docs/en/release_notes/release-4.1.md, Downgrade Notes";
constexpr std::string_view kRelease331 = "docs/en/release_notes/release-3.3.md, 3.3.1";
constexpr std::string_view kRelease410 = "docs/en/release_notes/release-4.1.md, Container Image Issue (v4.1.0)";
}  // namespace source

/// The last minor of a major line: its neighbour is x.0 of the next one. The line of 4 goes on.
struct LastMinor {
  int major;
  int minor;
};
constexpr std::array kLastMinors{
    LastMinor{1, 19},  // docs/en/release_notes: release-1.19.md is followed by release-2.0.md
    LastMinor{2, 5},   // docs/en/deployment/upgrade.md: "to v3.0, you must first upgrade it to v2.5"
    LastMinor{3, 5},   // docs/en/release_notes: release-3.5.md is followed by release-4.0.md
};

constexpr int kAnyPatch = std::numeric_limits<int>::max();

/// Patches of one minor, both ends included. Pre-releases count as their release.
struct Patches {
  int major;
  int minor;
  int first;
  int last;
};

struct PathRule {
  std::string_view name;
  PathSeverity severity;
  std::optional<Patches> from;  ///< Absent: from anywhere.
  Patches to;
  std::string_view why;  ///< May be empty.
  std::string_view accepted;
  std::string_view source;
};

constexpr auto kForbidden = PathSeverity::Forbidden;
constexpr auto kAdvice = PathSeverity::Advice;

constexpr std::array kPathRules{
    PathRule{"downgrade-floor", kForbidden, Patches{3, 0, 0, kAnyPatch}, Patches{2, 5, 0, 2}, "below the floor for 3.0",
             "2.5.3 or later", source::kDowngradePaths},
    PathRule{"downgrade-floor", kForbidden, Patches{3, 3, 0, 8}, Patches{3, 2, 0, 2}, "metadata would be lost",
             "3.2.3 or later", source::kRelease33},
    PathRule{"downgrade-floor", kForbidden, Patches{3, 3, 9, kAnyPatch}, Patches{3, 2, 0, 10},
             "below the floor for 3.3.9 and later", "3.2.11 or later", source::kRelease33},
    PathRule{"downgrade-floor", kForbidden, Patches{3, 4, 0, kAnyPatch}, Patches{3, 3, 0, 8}, "below the floor for 3.4",
             "3.3.9 or later", source::kRelease34},
    PathRule{"downgrade-floor", kForbidden, Patches{3, 5, 0, kAnyPatch}, Patches{3, 4, 0, 5},
             "metadata would not be compatible", "3.4.6 or later", source::kRelease35},
    PathRule{"downgrade-floor", kForbidden, Patches{3, 5, 2, kAnyPatch}, Patches{3, 5, 0, 1}, "the FE would crash",
             "3.5.2 or later", source::kRelease35},
    PathRule{"downgrade-floor", kForbidden, Patches{4, 0, 0, kAnyPatch}, Patches{3, 5, 0, 1}, "the FE would crash",
             "3.5.2 or later", source::kRelease40},
    PathRule{"downgrade-floor", kForbidden, Patches{4, 1, 0, kAnyPatch}, Patches{4, 0, 0, 5},
             "the tablets' layout would not be understood", "4.0.6 or later", source::kRelease41},
    PathRule{"bad-version", kForbidden, std::nullopt, Patches{3, 3, 1, 1}, "was withdrawn", "3.3.2 or later",
             source::kRelease331},
    PathRule{"bad-version", kForbidden, std::nullopt, Patches{4, 1, 0, 0}, "its container image is broken",
             "4.1.1 or later", source::kRelease410},
    PathRule{"upgrade-from", kAdvice, Patches{3, 4, 0, 9}, Patches{3, 5, 0, kAnyPatch}, "",
             "from 3.4.10, or SET GLOBAL cbo_enable_low_cardinality_optimize=false", source::kRelease35Up},
    PathRule{"downgrade-preparation", kAdvice, Patches{4, 0, 2, kAnyPatch}, Patches{4, 0, 0, 1}, "",
             "after SET GLOBAL enable_rewrite_simple_agg_to_meta_scan=false", source::kRelease40},
    PathRule{"downgrade-preparation", kAdvice, Patches{4, 0, 2, kAnyPatch}, Patches{3, 5, 2, 10}, "",
             "after SET GLOBAL enable_rewrite_simple_agg_to_meta_scan=false", source::kRelease40},
};

// --- Judging -----------------------------------------------------------------------------------------------------

/// Longest tag or digest shown: real tags have under 30 characters.
constexpr std::size_t kTagMax = 24;

struct Range {
  Version lowest;
  Version highest;
};

/// One component of the object, or of the database alone.
struct Part {
  Component component = Component::Frontend;
  std::string image;         ///< As it is; empty when only the database knows the component.
  std::string wanted_image;  ///< Empty: it stays.
  std::optional<Range> is;   ///< What runs, else what the tag says.
  bool observed = false;     ///< `is` comes from the database.
  std::optional<Version> wanted;
};

/// Before the components of equal findings are put together.
struct Raw {
  std::string_view rule;
  PathSeverity severity;
  Component component;
  std::string text;
  std::string_view source;
};

int series_order(const Version& left, const Version& right) {
  if (left.major != right.major) return left.major < right.major ? -1 : 1;
  return left.minor == right.minor ? 0 : (left.minor < right.minor ? -1 : 1);
}

std::string series(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::string show(const Range& range) {
  const std::string lowest = to_string(range.lowest);
  const std::string highest = to_string(range.highest);
  return lowest == highest ? lowest : lowest + " to " + highest;
}

std::string show_tag(const std::string& image) { return clean_text(image_version(image), kTagMax); }

std::optional<int> last_minor(int major) {
  for (const auto& last : kLastMinors) {
    if (last.major == major) return last.minor;
  }
  return std::nullopt;
}

/// The neighbour of `from` on the way to `to`, another series; absent where the end of a major line is not known.
std::optional<Version> next_series(const Version& from, const Version& to) {
  const int step = series_order(from, to) < 0 ? 1 : -1;
  if (from.major == to.major) return Version{from.major, from.minor + step, {}, {}};
  if (step > 0) {
    const auto last = last_minor(from.major);
    if (!last) return std::nullopt;
    return from.minor < *last ? Version{from.major, from.minor + 1, {}, {}} : Version{from.major + 1, 0, {}, {}};
  }
  if (from.minor > 0) return Version{from.major, from.minor - 1, {}, {}};
  const auto last = last_minor(from.major - 1);
  if (!last) return std::nullopt;
  return Version{from.major - 1, *last, {}, {}};
}

enum class Inside { No, Perhaps, Yes };

Inside inside(const Version& version, const Patches& patches) {
  if (version.major != patches.major || version.minor != patches.minor) return Inside::No;
  const bool whole = patches.first == 0 && patches.last == kAnyPatch;
  if (!version.patch) return whole ? Inside::Yes : Inside::Perhaps;
  return *version.patch >= patches.first && *version.patch <= patches.last ? Inside::Yes : Inside::No;
}

class Judge {
 public:
  explicit Judge(const UpgradePath& path) : path_(path) {
    for (const auto& change : path.changes) add(change.component, change.from, change.to);
    for (const auto& kept : path.unchanged) add(kept.component, kept.image, "");
    // What the object does not have may run all the same: a cluster's warehouses, or the FE of a warehouse.
    for (const auto component :
         {Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse}) {
      if (find(component) == nullptr && running(component)) add(component, "", "");
    }
  }

  std::vector<PathFinding> judge() {
    for (const auto& part : parts_) {
      if (!part.wanted_image.empty()) judge_change(part);
    }
    judge_order();
    return collect();
  }

 private:
  /// What the database says of a component.
  [[nodiscard]] std::optional<Range> running(Component component) const {
    std::optional<Range> range;
    for (const auto& node : path_.running) {
      if (!belongs(node, component)) continue;
      if (!range) {
        range = Range{node.version, node.version};
      } else if (node.version < range->lowest) {
        range->lowest = node.version;
      } else if (range->highest < node.version) {
        range->highest = node.version;
      }
    }
    return range;
  }

  [[nodiscard]] bool belongs(const RunningNode& node, Component component) const {
    if (component == Component::Frontend || component == Component::Backend) return node.component == component;
    if (node.component != Component::ComputeNode) return false;
    const bool of_cluster = node.warehouse.empty() || node.warehouse == "default_warehouse";
    if (component == Component::ComputeNode) return of_cluster;
    if (path_.object_kind != kWarehouseKind) return !of_cluster;
    // The FE calls a warehouse as its object is called, with '_' for '-'.
    std::string name = path_.object_name;
    std::replace(name.begin(), name.end(), '-', '_');
    return node.warehouse == name;
  }

  void add(Component component, const std::string& image, const std::string& wanted_image) {
    Part part;
    part.component = component;
    part.image = image;
    part.wanted_image = wanted_image;
    part.is = running(component);
    part.observed = part.is.has_value();
    if (const auto tag = version_of_image(image); !part.is && tag) part.is = Range{*tag, *tag};
    part.wanted = version_of_image(wanted_image);
    parts_.push_back(std::move(part));
  }

  [[nodiscard]] const Part* find(Component component) const {
    const auto found =
        std::find_if(parts_.begin(), parts_.end(), [&](const Part& part) { return part.component == component; });
    return found == parts_.end() ? nullptr : &*found;
  }

  void find_fault(std::string_view rule, PathSeverity severity, Component component, std::string text,
                  std::string_view page) {
    raw_.push_back({rule, severity, component, std::move(text), page});
  }

  void judge_change(const Part& part) {
    if (const std::string fault = image_fault(part.wanted_image); !fault.empty()) {
      find_fault("image-reference", kForbidden, part.component, "image has " + fault + ": no pod can start with it",
                 {});
      return;
    }
    if (part.observed) compare_with_tag(part);
    if (!part.wanted) {
      find_fault("unknown-version", kAdvice, part.component,
                 show_tag(part.wanted_image) + " names no version: not judged; accepted: a tag like 3.5.7", {});
      return;
    }
    if (!part.is) {
      find_fault("unknown-version", kAdvice, part.component,
                 show_tag(part.image) + " names no version" +
                     (path_.asked ? ", and no node told one: " : ": by tags alone ") + "the step from it is not judged",
                 {});
      judge_rules(part.component, nullptr, *part.wanted);
      return;
    }
    judge_pair(part.component, part.is->lowest, *part.wanted);
    if (part.is->highest != part.is->lowest) judge_pair(part.component, part.is->highest, *part.wanted);
  }

  void compare_with_tag(const Part& part) {
    const auto tag = version_of_image(part.image);
    const auto same = [&](const Version& runs) {
      return tag && series_order(*tag, runs) == 0 && (!tag->patch || tag->patch == runs.patch);
    };
    if (same(part.is->lowest) && same(part.is->highest)) return;
    find_fault("running-version", kAdvice, part.component,
               "runs " + show(*part.is) + ", its image says " + show_tag(part.image) + "; judged by what runs", {});
  }

  void judge_pair(Component component, const Version& from, const Version& to) {
    if (from == to) return;  // another build of it, or another registry
    judge_series(component, from, to);
    judge_rules(component, &from, to);
  }

  void judge_series(Component component, const Version& from, const Version& to) {
    const int order = series_order(from, to);
    if (order == 0) return;
    const std::string_view page = order < 0 ? source::kUpgradePaths : source::kDowngradePaths;
    const std::string subject = to_string(from) + " -> " + to_string(to);
    const auto next = next_series(from, to);
    if (!next) {
      find_fault("skipped-minor", kAdvice, component,
                 subject + " is not judged: the last minor of " + std::to_string(std::min(from.major, to.major)) +
                     " is not known to this gate",
                 page);
    } else if (series_order(*next, to) != 0) {
      find_fault("skipped-minor", kForbidden, component,
                 subject + " skips minor versions; accepted: " + series(*next) + " next", page);
    }
  }

  /// `from` is null when it is not known: rules that hold from anywhere still hold.
  void judge_rules(Component component, const Version* from, const Version& to) {
    for (const auto& rule : kPathRules) {
      const Inside left = !rule.from ? Inside::Yes : (from == nullptr ? Inside::No : inside(*from, *rule.from));
      const Inside right = inside(to, rule.to);
      // "3.5-latest" after 3.5.7: whoever follows the newest patch does not go below the one that runs.
      if (from != nullptr && !to.patch && series_order(*from, to) == 0) continue;
      if (left == Inside::No || right == Inside::No) continue;
      const std::string subject = rule.from ? to_string(*from) + " -> " + to_string(to) : "-> " + to_string(to);
      const bool certain = left == Inside::Yes && right == Inside::Yes;
      const std::string_view why = certain || rule.why.empty() ? rule.why : "a tag without a patch is not judged";
      const std::string text =
          subject + (why.empty() ? "" : ": ") + std::string(why) + "; accepted: " + std::string(rule.accepted);
      find_fault(rule.name, certain ? rule.severity : kAdvice, component, text, rule.source);
    }
  }

  /// BE and CN never older than the FE: they go first on the way up, last on the way down.
  void judge_order() {
    const Part* frontend = find(Component::Frontend);
    const bool up =
        frontend != nullptr && frontend->wanted && (!frontend->is || frontend->is->lowest < *frontend->wanted);
    const bool stays = frontend == nullptr || frontend->wanted_image.empty();
    for (const auto& part : parts_) {
      if (part.component == Component::Frontend) continue;
      if (up) judge_up(*frontend, part);
      if (stays && part.wanted) judge_down(frontend, part);
    }
  }

  void judge_up(const Part& frontend, const Part& part) {
    const std::string target = to_string(*frontend.wanted);
    const auto after =
        part.wanted_image.empty() ? (part.is ? std::optional(part.is->lowest) : std::nullopt) : part.wanted;
    if (!after) {
      if (part.wanted_image.empty()) {
        find_fault("component-order", kAdvice, part.component,
                   show_tag(part.image) + " names no version: not judged whether it goes before fe",
                   source::kUpgradeOrder);
      }
      return;
    }
    if (*after < *frontend.wanted) {
      // FE patches alone are common, and within one minor nodes of both patches understand each other.
      const bool minor = frontend.is && series_order(*after, *frontend.wanted) != 0;
      find_fault("component-order", minor ? kForbidden : kAdvice, part.component,
                 to_string(*after) + " would be older than fe " + target + "; accepted: this component first, fe after",
                 source::kUpgradeOrder);
    } else if (!part.wanted_image.empty() && part.is && part.is->lowest < *frontend.wanted) {
      find_fault("component-order", kAdvice, part.component,
                 "and fe to " + target + " in one change: the operator rolls fe first; safer: fe in a later change",
                 source::kUpgradeOrder);
    }
  }

  void judge_down(const Part* frontend, const Part& part) {
    if (part.is && !(*part.wanted < part.is->highest)) return;
    const std::string subject = "-> " + to_string(*part.wanted);
    if (frontend == nullptr || !frontend->is) {
      // A component whose own version is not known was named already.
      if (part.is) {
        find_fault("component-order", kAdvice, part.component,
                   subject + ": the version of fe is not known, the order is not judged", source::kDowngradeOrder);
      }
      return;
    }
    const Version& highest = frontend->is->highest;
    if (!(*part.wanted < highest)) return;
    // A component whose own version is not known may be on its way up.
    const bool minor = part.is && series_order(*part.wanted, highest) != 0;
    find_fault("component-order", minor ? kForbidden : kAdvice, part.component,
               subject + " while fe is " + to_string(highest) + "; accepted: fe down first, this component after",
               source::kDowngradeOrder);
  }

  std::vector<PathFinding> collect() {
    std::vector<PathFinding> findings;
    for (const auto severity : {kForbidden, kAdvice}) {
      for (std::size_t i = 0; i < raw_.size(); ++i) {
        const Raw& first = raw_[i];
        const auto equal = [&](const Raw& other) {
          return other.rule == first.rule && other.severity == first.severity && other.text == first.text;
        };
        if (first.severity != severity || std::any_of(raw_.begin(), raw_.begin() + static_cast<long>(i), equal))
          continue;
        std::string components;
        for (const Raw& other : raw_) {
          const std::string name(to_string(other.component));
          if (!equal(other) || components.find(name) != std::string::npos) continue;
          components += (components.empty() ? "" : ", ") + name;
        }
        findings.push_back(
            {first.rule, severity, clean_text(components + " " + first.text, kPathTextMax), first.source});
      }
    }
    return findings;
  }

  const UpgradePath& path_;
  std::vector<Part> parts_;
  std::vector<Raw> raw_;
};

}  // namespace

std::string_view name_of(VersionPolicy policy) {
  switch (policy) {
    case VersionPolicy::Off:
      return "off";
    case VersionPolicy::Warn:
      return "warn";
    case VersionPolicy::Enforce:
      return "enforce";
  }
  return "";
}

std::string_view to_string(PathSeverity severity) {
  switch (severity) {
    case PathSeverity::Forbidden:
      return "forbidden";
    case PathSeverity::Advice:
      return "advice";
  }
  return "";
}

std::vector<PathFinding> judge_path(const UpgradePath& path) { return Judge(path).judge(); }

}  // namespace gate
