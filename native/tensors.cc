// Tensors from and to bytes, and what they are.
#include "call.h"

#include <ATen/ops/empty.h>

namespace incubation {

namespace {

// release(handles)
napi_value release(const Call& c) {
  uint32_t length;
  check(c.env, napi_get_array_length(c.env, c.arg(0), &length));
  for (uint32_t i = 0; i < length; i++) {
    napi_value handle;
    check(c.env, napi_get_element(c.env, c.arg(0), i, &handle));
    c.state.release(to_handle(c.env, handle));
  }
  return undefined(c.env);
}

napi_value live_handles(const Call& c) {
  return js_number(c.env, c.state.live());
}

// The bytes of an ArrayBuffer view, without a copy.
std::pair<void*, size_t> bytes_of(napi_env env, napi_value value) {
  bool is_view = false;
  check(env, napi_is_typedarray(env, value, &is_view));
  TORCH_CHECK(is_view, "expected a Uint8Array");
  napi_typedarray_type type;
  size_t length;
  void* data;
  check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
  TORCH_CHECK(type == napi_uint8_array, "expected a Uint8Array");
  return {data, length};
}

// from_bytes(Uint8Array, dtype, shape, device) -> handle; one copy, into memory libtorch owns
napi_value from_bytes(const Call& c) {
  const auto [data, length] = bytes_of(c.env, c.arg(0));
  const auto dtype = static_cast<at::ScalarType>(to_int(c.env, c.arg(1)));
  const auto shape = to_ints(c.env, c.arg(2));
  const c10::Device device(to_string(c.env, c.arg(3)));
  at::Tensor host = at::empty(shape, at::TensorOptions().dtype(dtype));
  TORCH_CHECK(host.nbytes() == length, "shape ", c10::IntArrayRef(shape), " of ", dtype, " needs ", host.nbytes(), " bytes, got ", length);
  std::memcpy(host.data_ptr(), data, length);
  return js_number(c.env, c.state.put(device.is_cpu() ? host : host.to(device)));
}

// to_bytes(handle, Uint8Array): the tensor's elements in C order
napi_value to_bytes(const Call& c) {
  const at::Tensor tensor = c.state.tensor(to_handle(c.env, c.arg(0))).detach().cpu().contiguous();
  const auto [data, length] = bytes_of(c.env, c.arg(1));
  TORCH_CHECK(tensor.nbytes() == length, "the tensor has ", tensor.nbytes(), " bytes, the array ", length);
  std::memcpy(data, tensor.data_ptr(), length);
  return undefined(c.env);
}

napi_value item(const Call& c) {
  return js_number(c.env, c.state.tensor(to_handle(c.env, c.arg(0))).item().toDouble());
}

napi_value shape(const Call& c) {
  return js_ints(c.env, c.state.tensor(to_handle(c.env, c.arg(0))).sizes());
}

napi_value dtype(const Call& c) {
  return js_number(c.env, static_cast<int>(c.state.tensor(to_handle(c.env, c.arg(0))).scalar_type()));
}

napi_value device(const Call& c) {
  return js_string(c.env, c.state.tensor(to_handle(c.env, c.arg(0))).device().str());
}

}  // namespace

void expose_tensors(napi_env env, napi_value exports, Environment* state) {
  expose<release>(env, exports, state, "release");
  expose<live_handles>(env, exports, state, "liveHandles");
  expose<from_bytes>(env, exports, state, "fromBytes");
  expose<to_bytes>(env, exports, state, "toBytes");
  expose<item>(env, exports, state, "item");
  expose<shape>(env, exports, state, "shape");
  expose<dtype>(env, exports, state, "dtype");
  expose<device>(env, exports, state, "device");
}

}  // namespace incubation
