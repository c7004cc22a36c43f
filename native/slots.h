// The values JavaScript holds handles to: tensors and random generators. One table per napi_env, so that
// each worker thread has its own. A handle is an index; JavaScript's Tensor objects guard against reuse.
#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <node_api.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace incubation {

namespace image {
struct Loader;
}

struct Environment {
  std::vector<c10::IValue> slots;
  std::vector<uint32_t> free_slots;
  std::vector<c10::OperatorHandle> operators;
  std::shared_ptr<image::Loader> images;

  uint32_t put(c10::IValue value) {
    if (free_slots.empty()) {
      slots.push_back(std::move(value));
      return static_cast<uint32_t>(slots.size() - 1);
    }
    const uint32_t slot = free_slots.back();
    free_slots.pop_back();
    slots[slot] = std::move(value);
    return slot;
  }

  const c10::IValue& at(uint32_t slot) const {
    TORCH_CHECK(slot < slots.size() && !slots[slot].isNone(), "handle ", slot, " holds nothing: it was freed");
    return slots[slot];
  }

  const at::Tensor& tensor(uint32_t slot) const {
    return at(slot).toTensor();
  }

  void release(uint32_t slot) {
    at(slot);
    slots[slot] = c10::IValue();
    free_slots.push_back(slot);
  }

  size_t live() const {
    return slots.size() - free_slots.size();
  }
};

// JavaScript could not be given or asked for a value; a JavaScript exception is already pending.
struct PendingException {};

inline void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) throw PendingException{};
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  TORCH_CHECK(false, info && info->error_message ? info->error_message : "Node-API call failed");
}

}  // namespace incubation
