// Tensors from and to bytes, and what they are.
#include "call.h"

#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/custom_class.h>

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

// from_bytes(Uint8Array, dtype, shape, device, waits) -> handle; one copy, into memory libtorch owns, then, for a GPU, one to
// the GPU. Without `waits` the first copy is page-locked, so that the second runs while the caller goes on.
napi_value from_bytes(const Call& c) {
  const auto [data, length] = bytes_of(c.env, c.arg(0));
  const auto dtype = static_cast<at::ScalarType>(to_int(c.env, c.arg(1)));
  const auto shape = to_ints(c.env, c.arg(2));
  const c10::Device device(to_string(c.env, c.arg(3)));
  const bool waits = device.is_cpu() || to_bool(c.env, c.arg(4));
  at::Tensor host = at::empty(shape, at::TensorOptions().dtype(dtype).pinned_memory(!waits));
  TORCH_CHECK(host.nbytes() == length, "shape ", c10::IntArrayRef(shape), " of ", dtype, " needs ", host.nbytes(), " bytes, got ", length);
  std::memcpy(host.data_ptr(), data, length);
  return js_number(c.env, c.state.put(device.is_cpu() ? host : host.to(device, !waits)));
}

// upload(handle of a tensor on the CPU, device) -> handle; does not wait for the GPU
napi_value upload(const Call& c) {
  const at::Tensor& host = c.state.tensor(to_handle(c.env, c.arg(0)));
  const at::Tensor locked = at::empty(host.sizes(), host.options().pinned_memory(true));
  locked.copy_(host);
  return js_number(c.env, c.state.put(locked.to(c10::Device(to_string(c.env, c.arg(1))), /*non_blocking=*/true)));
}

// Numbers on their way from a GPU, and the event that says that they have arrived.
struct Later final : torch::CustomClassHolder {
  Later(const at::Tensor& numbers)
      : host(at::empty(numbers.sizes(), numbers.options().device(at::kCPU).pinned_memory(true))),
        event(numbers.device().type()) {
    host.copy_(numbers, /*non_blocking=*/true);
    event.record(c10::impl::VirtualGuardImpl(numbers.device().type()).getStream(numbers.device()));
  }
  at::Tensor host;
  c10::Event event;
};

// read_later(handle of F64 [n] on a GPU) -> handle for later_values
napi_value read_later(const Call& c) {
  const at::Tensor numbers = c.state.tensor(to_handle(c.env, c.arg(0))).detach();
  return js_number(c.env, c.state.put(c10::IValue::make_capsule(c10::make_intrusive<Later>(numbers))));
}

// later_values(handle) -> the n numbers. It waits for the work that was queued before read_later, not for later work.
napi_value later_values(const Call& c) {
  const auto holder = c.state.at(to_handle(c.env, c.arg(0))).toCapsule();
  const auto* later = dynamic_cast<const Later*>(holder.get());
  TORCH_CHECK(later != nullptr, "expected a handle of read_later");
  later->event.synchronize();
  napi_value values;
  const int64_t count = later->host.numel();
  check(c.env, napi_create_array_with_length(c.env, count, &values));
  const double* numbers = later->host.const_data_ptr<double>();
  for (int64_t i = 0; i < count; i++) check(c.env, napi_set_element(c.env, values, i, js_number(c.env, numbers[i])));
  return values;
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
  expose<upload>(env, exports, state, "upload");
  expose<read_later>(env, exports, state, "readLater");
  expose<later_values>(env, exports, state, "laterValues");
  expose<to_bytes>(env, exports, state, "toBytes");
  expose<item>(env, exports, state, "item");
  expose<shape>(env, exports, state, "shape");
  expose<dtype>(env, exports, state, "dtype");
  expose<device>(env, exports, state, "device");
}

}  // namespace incubation
