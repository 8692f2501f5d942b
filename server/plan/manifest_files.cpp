#include "server/plan/manifest_files.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <istream>
#include <system_error>

namespace gate {
namespace {

namespace fs = std::filesystem;

constexpr int kFoldersDeepMax = 32;
/// A rendered chart with its CRDs has 2 MB.
constexpr std::size_t kFileBytesMax = 16u << 20;

Error misuse(std::string text) { return {ErrorCode::InvalidInput, std::move(text)}; }

bool is_manifest(const fs::path& file) {
  const auto ending = file.extension();
  return ending == ".json" || ending == ".yaml" || ending == ".yml";
}

bool is_kustomization(const std::string& name) {
  return name == "kustomization.yaml" || name == "kustomization.yml" || name == "Kustomization";
}

Status collect(const fs::path& folder, bool recursive, int depth, std::vector<std::string>& files) {
  std::error_code failed;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator next(folder, failed), end; !failed && next != end; next.increment(failed)) {
    entries.push_back(*next);
    if (entries.size() > kManifestFilesMax) break;
  }
  if (failed) return misuse("cannot be read: " + failed.message());
  std::sort(entries.begin(), entries.end());
  for (const auto& entry : entries) {
    if (is_kustomization(entry.path().filename().string())) {
      return misuse("is a kustomization: want it rendered, kubectl kustomize " + folder.string() +
                    " | upgrade-gate plan -");
    }
    if (entry.path().filename() == "Chart.yaml") {
      return misuse("is a Helm chart: want it rendered, helm template NAME " + folder.string() +
                    " | upgrade-gate plan -");
    }
    const bool is_folder = entry.is_directory(failed) && !entry.is_symlink(failed);
    if (is_folder && recursive && depth < kFoldersDeepMax) {
      if (auto done = collect(entry.path(), recursive, depth + 1, files); !done) return done;
    } else if (!is_folder && is_manifest(entry.path())) {
      files.push_back(entry.path().string());
    }
    if (files.size() > kManifestFilesMax || entries.size() > kManifestFilesMax) {
      return misuse("holds more than " + std::to_string(kManifestFilesMax) + " files");
    }
  }
  return Ok{};
}

}  // namespace

Result<std::vector<std::string>> manifest_files(const std::string& path, bool recursive) {
  std::error_code failed;
  if (path == "-" || !fs::is_directory(path, failed)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  if (const auto done = collect(path, recursive, 0, files); !done) return done.error();
  if (files.empty()) {
    return misuse(std::string("no file ends in .json, .yaml or .yml") +
                  (recursive ? "" : "; --recursive reads the folders in it"));
  }
  return files;
}

Result<std::vector<ManifestDocument>> read_manifests(const std::string& file, std::istream& standard_input) {
  if (file.find("://") != std::string::npos) {
    return misuse("is a URL: want a file, or - for what another program reads, curl URL | upgrade-gate plan -");
  }
  std::ifstream opened;
  errno = 0;
  if (file != "-") opened.open(file, std::ios::binary);
  if (file != "-" && !opened) {
    return misuse("cannot be read" + (errno == 0 ? "" : ": " + std::system_category().message(errno)));
  }
  std::istream& stream = file == "-" ? standard_input : opened;
  std::string text(kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  // A folder can be opened, and fails only here.
  if (stream.bad() || (!stream && !stream.eof())) return misuse("cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kFileBytesMax) return misuse("is larger than 16 MiB");
  if (text.starts_with("diff -")) {
    return misuse("is a list of differences, which leaves out what is the same: want the objects before and after");
  }
  if (const auto marker = text.starts_with("<<<<<<< ") ? 0 : text.find("\n<<<<<<< "); marker != std::string::npos) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(marker) + 1, '\n');
    return misuse("line " + std::to_string(line) + ": a conflict marker of git: want one version of what follows");
  }
  auto documents = manifest_documents(text, kFileBytesMax);
  if (!documents) return documents;
  for (const auto& document : *documents) {
    for (const std::string_view key : {"apiVersion", "kind"}) {
      if (std::find(document.twice.begin(), document.twice.end(), key) == document.twice.end()) continue;
      return misuse("line " + std::to_string(document.line) + ": " + std::string(key) +
                    " is there twice in one document: is a line \"---\" missing before the second?");
    }
  }
  return documents;
}

}  // namespace gate
