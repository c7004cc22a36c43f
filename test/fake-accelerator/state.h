// The state of the fake accelerator: counts, the current device, its memory, whether it has failed.
#pragma once

#include <c10/core/Allocator.h>
#include <map>
#include <string>

namespace fake {

constexpr auto kType = c10::DeviceType::PrivateUse1;
constexpr int kDevices = 2;

// Counts the operations of the device. Operations that the CPU does for the device (`OnCpu`) do not count.
void count(const std::string& what);
std::map<std::string, double> take_counts();

struct OnCpu {
  OnCpu();
  ~OnCpu();
};

int current_device();
void set_current_device(int index);

// Memory of all devices together; beyond the limit an allocation fails with CUDA's message.
void limit_memory(int64_t bytes);
c10::Allocator* allocator();

// Page-locked memory of the CPU: only copies from and to it need not wait.
c10::Allocator* pinned_allocator();
bool is_pinned(const void* memory);

// From now on every kernel fails with CUDA's message, as after an illegal access.
void break_down();
void check_working();

}  // namespace fake
