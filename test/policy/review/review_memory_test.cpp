// What a review costs in memory follows what is kept of it, whatever it is made of.

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "policy/review/admission_review.hpp"

namespace {

std::atomic<std::size_t> allocated{0};
std::atomic<std::size_t> peak{0};

/// Its size stands in front of each block.
constexpr std::size_t kHead = alignof(std::max_align_t);

void* take(std::size_t size) {
  void* const block = std::malloc(size + kHead);
  if (block == nullptr) throw std::bad_alloc();
  *static_cast<std::size_t*>(block) = size;
  const std::size_t now = allocated += size;
  if (now > peak) peak = now;
  return static_cast<char*>(block) + kHead;
}

void give_back(void* pointer) {
  if (pointer == nullptr) return;
  void* const block = static_cast<char*>(pointer) - kHead;
  allocated -= *static_cast<std::size_t*>(block);
  std::free(block);
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void operator delete(void* pointer) noexcept { give_back(pointer); }
void operator delete[](void* pointer) noexcept { give_back(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { give_back(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { give_back(pointer); }
void operator delete(void* pointer, const std::nothrow_t&) noexcept { give_back(pointer); }
void operator delete[](void* pointer, const std::nothrow_t&) noexcept { give_back(pointer); }

using namespace gate;

namespace {

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + piece.size());
  while (text.size() < bytes) text += piece;
  return text;
}

std::string numbered(std::size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += "\"--flag=" + std::to_string(i) + "\",";
  return text;
}

/// An image change; each object is about so large by a list at `where` (in the spec).
std::string review(const std::string& member, const std::string& items) {
  const auto object = [&](const char* image) {
    return R"({"metadata":{"name":"sr","namespace":"db"},"spec":{"starRocksFeSpec":{"image":")" + std::string(image) +
           "\"," + member + ":[" + items + "0]}}}";
  };
  return R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"kind":"StarRocksCluster"},)"
         R"("resource":{"group":"starrocks.com","resource":"starrocksclusters"},"operation":"UPDATE","object":)" +
         object("2") + R"(,"oldObject":)" + object("1") + "}}";
}

}  // namespace

TEST_CASE("a review of the largest size costs less than 32 MiB, whatever fills it, and gives it back") {
  constexpr std::size_t kMemoryMax = 32u << 20;
  constexpr std::size_t kLegal = 3u << 19;                   // of each object: what etcd stores
  constexpr std::size_t kLargest = (7u << 19) - (1u << 10);  // what is read of a body at all
  constexpr const char* kPassedOver = "\"feEnvVars\"";
  constexpr const char* kKept = "\"upgradeHooks\"";
  constexpr const char* kSlow = "\"unknown\":1e3,\"args\"";
  struct Row {
    const char* name;
    const char* member;
    std::string items;
  };
  const Row rows[] = {
      {"objects", kPassedOver, repeated("{},", kLegal)},
      {"lists", kPassedOver, repeated("[],", kLegal)},
      {"texts, all different", kPassedOver, numbered(kLegal)},
      {"one text", kPassedOver, "\"" + std::string(kLegal, 'x') + "\","},
      {"objects that would be kept", kKept, repeated("{},", kLegal)},
      {"numbers that would be kept", kKept, repeated("1,", kLegal)},
      {"members that would be kept", kKept, "{" + repeated(R"("a":{"b":1},)", kLegal) + "\"z\":0},"},
      {"a text that is kept", kKept, "\"" + std::string(kLegal, 'x') + "\","},
      {"escapes that are kept", kKept, "\"" + repeated("\\n", kLegal) + "\","},
      {"objects, read slowly", kSlow, repeated("{},", kLegal)},
      {"the largest body", kPassedOver, repeated("{},", kLargest)},
      {"the largest body, a text", kPassedOver, "\"" + std::string(kLargest, 'x') + "\","},
  };
  for (const Row& row : rows) {
    const std::string body = review(row.member, row.items);
    INFO(row.name);
    REQUIRE(body.size() <= kReviewBytesMax);
    const std::size_t before = allocated;
    peak = before;
    static_cast<void>(parse_review(body));
    CHECK(peak - before + body.size() < kMemoryMax);
    CHECK(allocated - before < 64u << 10);  // projections that are made once
  }
}

TEST_CASE("to find the UID of a review that cannot be read costs no more") {
  const std::string body = R"({"request":{"uid":"u","object":[)" + repeated("{},", 3u << 20) + "0]}}";
  const std::size_t before = allocated;
  peak = before;
  CHECK(salvage_uid(body) == "u");
  CHECK(peak - before < 16u << 20);
}
