#include "server/plan/manifest_files.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace gate {
namespace {

namespace fs = std::filesystem;

constexpr int kFoldersDeepMax = 32;

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

}  // namespace gate
