// The fake accelerator's operators: copies of its own, everything else computed by the CPU's kernels, and CUDA's lists
// for autocast. A tensor of the CPU among the device's is refused, as on a GPU.
#include "state.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

namespace fake {

namespace {

using Ints = c10::IntArrayRef;
template <class T>
using Maybe = std::optional<T>;

const c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

at::Tensor empty(
    Ints size, Maybe<at::ScalarType> dtype, Maybe<at::Layout>, Maybe<at::Device> device, Maybe<bool>,
    Maybe<at::MemoryFormat> format) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_generic(size, allocator(), kKeys, c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(
    Ints size, Ints stride, Maybe<at::ScalarType> dtype, Maybe<at::Layout>, Maybe<at::Device> device, Maybe<bool>) {
  const c10::OptionalDeviceGuard guard(device);
  return at::detail::empty_strided_generic(size, stride, allocator(), kKeys, c10::dtype_or_default(dtype));
}

// A CPU tensor with the same memory.
at::Tensor on_host(const at::Tensor& x) {
  if (x.device().is_cpu()) return x;
  const auto keep = [storage = x.storage()](void*) {};
  const auto options = at::TensorOptions().dtype(x.dtype());
  return at::from_blob(
      x.storage().mutable_data(), x.sizes(), x.strides(), x.storage_offset(), keep, options, c10::Device(c10::kCPU));
}

// As on a GPU, a copy from or to memory that is not page-locked waits, whatever was requested.
void count_copy(const at::Tensor& host, bool non_blocking, const std::string& direction) {
  const bool is_free = non_blocking && is_pinned(host.storage().data());
  count((is_free ? "copy " : "blocking copy ") + direction);
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  check_working();
  if (from.device().is_cpu()) count_copy(from, non_blocking, "to the device");
  else if (to.device().is_cpu()) count_copy(to, non_blocking, "from the device");
  else count("kernel aten::copy_");
  const OnCpu inner;
  const at::NoGradGuard no_grad;
  on_host(to).copy_(on_host(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) at::native::resize_(to, from.sizes());
  return copy_from(from, to, false);
}

at::Scalar read_scalar(const at::Tensor& x) {
  check_working();
  count("scalar read");
  const OnCpu inner;
  return on_host(x).item();
}

const at::Tensor& resize(const at::Tensor& x, Ints size, Maybe<at::MemoryFormat> format) {
  return at::native::resize_(x, size, format);
}

// Refuses tensors of different devices, except CPU tensors without dimensions.
void check_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  bool has_own = false;
  Maybe<at::Tensor> other;
  const auto look = [&](const at::Tensor& x) {
    if (!x.defined()) return;
    if (!x.device().is_cpu()) has_own = true;
    else if (x.dim() > 0) other = x;
  };
  const size_t arguments = op.schema().arguments().size();
  for (size_t i = stack.size() - arguments; i < stack.size(); i++) {
    if (stack[i].isTensor()) look(stack[i].toTensor());
    else if (stack[i].isTensorList())
      for (const at::Tensor& x : stack[i].toTensorVector()) look(x);
  }
  TORCH_CHECK(
      !(has_own && other), op.schema().name(), ": expected all tensors on the device, one of ", other->sizes(),
      " is on the cpu");
}

void compute_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check_working();
  check_devices(op, *stack);
  count("kernel " + op.schema().name());
  const OnCpu inner;
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("_local_scalar_dense", &read_scalar);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("resize_", &resize);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_cpu>());
}

using namespace at::autocast;

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFallthrough());
}

// The macros take the library's name as `m`.
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
  AT_FORALL_LOWER_PRECISION_FP(LOWER)
#define FLOAT32(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
  AT_FORALL_FP32(FLOAT32)
#define PROMOTE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_PROMOTE(PROMOTE)
}

}  // namespace

}  // namespace fake
