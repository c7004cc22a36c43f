// A PrivateUse1 device `fake` for tests and the GPU kit's dry run: fake:0 and fake:1 compute on the CPU.
// Loaded after the project's addon, in the same process. JavaScript sees:
//   take() -> {operation: count} since the last call
//   currentDevice() -> the index of this thread's current device
//   limitMemory(bytes)    beyond which an allocation fails
//   breakDown()           from now on every kernel fails
#include "device.h"
#include "state.h"

#include <node_api.h>

namespace {

napi_value take(napi_env env, napi_callback_info) {
  napi_value counts;
  napi_create_object(env, &counts);
  for (const auto& [what, times] : fake::take_counts()) {
    napi_value value;
    napi_create_double(env, times, &value);
    napi_set_named_property(env, counts, what.c_str(), value);
  }
  return counts;
}

napi_value current_device(napi_env env, napi_callback_info) {
  napi_value index;
  napi_create_int32(env, fake::current_device(), &index);
  return index;
}

napi_value limit_memory(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int64_t bytes = 0;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_int64(env, argument, &bytes);
  fake::limit_memory(bytes);
  return nullptr;
}

napi_value break_down(napi_env, napi_callback_info) {
  fake::break_down();
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  fake::register_device();
  const auto expose = [&](const char* name, napi_callback function) {
    napi_value value;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  };
  expose("take", take);
  expose("currentDevice", current_device);
  expose("limitMemory", limit_memory);
  expose("breakDown", break_down);
  return exports;
}
