#include "state.h"

#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <atomic>
#include <cstring>
#include <iomanip>
#include <limits>
#include <mutex>
#include <sstream>
#include <utility>

namespace fake {

namespace {

thread_local int on_cpu = 0;
thread_local int device = 0;
std::mutex mutex;
std::map<std::string, double> counts;
std::atomic<int64_t> limit = std::numeric_limits<int64_t>::max();
std::atomic<int64_t> used = 0;
std::atomic<bool> is_broken = false;

// Formats a size like CUDA's allocator.
std::string size(int64_t bytes) {
  constexpr int64_t kGibi = 1 << 30;
  constexpr int64_t kMebi = 1 << 20;
  const bool is_large = bytes >= kGibi;
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << static_cast<double>(bytes) / static_cast<double>(is_large ? kGibi : kMebi)
       << (is_large ? " GiB" : " MiB");
  return text.str();
}

struct Block {
  void* memory;
  size_t bytes;
};

void free_block(void* context) {
  const auto* block = static_cast<Block*>(context);
  c10::free_cpu(block->memory);
  used -= static_cast<int64_t>(block->bytes);
  delete block;
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    const auto wanted = static_cast<int64_t>(bytes);
    const int64_t free = limit - used;
    TORCH_CHECK_WITH(
        OutOfMemoryError, wanted <= free, "CUDA out of memory. Tried to allocate ",
        size(wanted), ". GPU ", device, " has a total capacity of ", size(limit),
        " of which ", size(free), " is free.");
    void* memory = bytes == 0 ? nullptr : c10::alloc_cpu(bytes);
    used += wanted;
    return {memory, new Block{memory, bytes}, &free_block, c10::Device(kType, static_cast<c10::DeviceIndex>(device))};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
} the_allocator;

std::map<const void*, size_t> pinned;

void free_pinned(void* memory) {
  const std::lock_guard lock(mutex);
  pinned.erase(memory);
  c10::free_cpu(memory);
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = c10::alloc_cpu(bytes == 0 ? 1 : bytes);
    const std::lock_guard lock(mutex);
    pinned[memory] = bytes == 0 ? 1 : bytes;
    return {memory, memory, &free_pinned, c10::Device(c10::kCPU)};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
} the_pinned_allocator;

}  // namespace

c10::Allocator* pinned_allocator() {
  return &the_pinned_allocator;
}

bool is_pinned(const void* memory) {
  const std::lock_guard lock(mutex);
  auto after = pinned.upper_bound(memory);
  if (after == pinned.begin()) return false;
  const auto& [start, bytes] = *--after;
  return memory < static_cast<const char*>(start) + bytes;
}

void count(const std::string& what) {
  if (on_cpu > 0) return;
  const std::lock_guard lock(mutex);
  counts[what]++;
}

std::map<std::string, double> take_counts() {
  const std::lock_guard lock(mutex);
  return std::exchange(counts, {});
}

OnCpu::OnCpu() {
  on_cpu++;
}
OnCpu::~OnCpu() {
  on_cpu--;
}

int current_device() {
  return device;
}
void set_current_device(int index) {
  device = index;
}

void limit_memory(int64_t bytes) {
  limit = bytes;
}
c10::Allocator* allocator() {
  return &the_allocator;
}

void break_down() {
  is_broken = true;
}
void check_working() {
  TORCH_CHECK(!is_broken, "CUDA error: an illegal memory access was encountered");
}

REGISTER_ALLOCATOR(kType, &the_allocator);

}  // namespace fake
