// operator new that fails as often as a file says, for a process that was started with LD_PRELOAD=<this library> and
// FAILING_MEMORY=<the file>: of its numbers (std::uint32_t) the first is n, that one allocation in n fails, 0: none;
// the second counts those that did.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

struct Shared {
  std::atomic<std::uint32_t> one_in;
  std::atomic<std::uint32_t> failed;
};

Shared* map_file() {
  const char* const path = std::getenv("FAILING_MEMORY");
  const int file = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  void* const mapped = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return mapped == MAP_FAILED ? nullptr : static_cast<Shared*>(mapped);
}

Shared* const kShared = map_file();  // Null until then, and for good without a file.
std::atomic<std::uint64_t> threads{0};
/// xorshift; of a thread's own.
thread_local std::uint64_t random_state = 0;

/// The destructor of nlohmann::json takes memory, and ends the process where there is none: the product cannot help it,
/// and what it asks for (16 bytes for each member) never fails here.
bool is_of_json(std::size_t size) { return size % 16 == 0 && size <= 1024; }

bool fails(std::size_t size) {
  const std::uint32_t one_in = kShared == nullptr ? 0 : kShared->one_in.load(std::memory_order_relaxed);
  if (one_in == 0 || is_of_json(size)) return false;
  if (random_state == 0) random_state = ++threads * 0x9E3779B97F4A7C15U;
  random_state ^= random_state << 13U;
  random_state ^= random_state >> 7U;
  random_state ^= random_state << 17U;
  if (random_state % one_in != 0) return false;
  kShared->failed.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void* take(std::size_t size) noexcept { return fails(size) ? nullptr : std::malloc(size == 0 ? 1 : size); }

void* take_or_throw(std::size_t size) {
  void* const block = take(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

void* operator new(std::size_t size) { return take_or_throw(size); }
void* operator new[](std::size_t size) { return take_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take(size); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { std::free(block); }
