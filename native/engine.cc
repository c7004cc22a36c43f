// Generators, threads, memory, the profile, and what this libtorch is.
#include "call.h"
#include "profile.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
#include <c10/core/CachingDeviceAllocator.h>
#define INCUBATION_HAS_DEVICE_STATS 1
#endif

namespace incubation {

namespace {

// generator(device) -> handle; seed_generator(handle, seed)
napi_value generator(const Call& c) {
  const c10::Device device(to_string(c.env, c.arg(0)));
  const at::Generator made = device.is_cpu()
      ? at::detail::createCPUGenerator()
      : at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(device.index());
  return js_number(c.env, c.state.put(made));
}

napi_value seed_generator(const Call& c) {
  at::Generator generator = c.state.at(to_handle(c.env, c.arg(0))).toGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(static_cast<uint64_t>(to_int(c.env, c.arg(1))));
  return undefined(c.env);
}

napi_value set_threads(const Call& c) {
  at::set_num_threads(static_cast<int>(to_int(c.env, c.arg(0))));
  return undefined(c.env);
}

// cuda_memory(device index) -> [allocated now, peak] in bytes, or null where this libtorch cannot say
napi_value cuda_memory(const Call& c) {
#ifdef INCUBATION_HAS_DEVICE_STATS
  if (!at::hasCUDA()) return js_null(c.env);
  auto* allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
  if (!allocator->initialized()) return js_null(c.env);
  const auto bytes = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(to_int(c.env, c.arg(0)))).allocated_bytes[0];
  const int64_t figures[] = {bytes.current, bytes.peak};
  return js_ints(c.env, figures);
#else
  return js_null(c.env);
#endif
}

// set_device(device): this thread's current GPU, which NCCL, cuDNN and pinned memory use where no tensor names one
napi_value set_device(const Call& c) {
  const c10::Device device(to_string(c.env, c.arg(0)));
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return undefined(c.env);
}

// set_tf32(on): whether float32 matrix products and convolutions on a GPU may use TF32. libtorch's own default is to
// multiply matrices without it, and to convolve with it.
napi_value set_tf32(const Call& c) {
  const bool on = to_bool(c.env, c.arg(0));
  at::globalContext().setAllowTF32CuBLAS(on);
  at::globalContext().setAllowTF32CuDNN(on);
  return undefined(c.env);
}

// has_native_bfloat16(): whether the current GPU has bfloat16 tensor cores (compute capability 8.0)
napi_value has_native_bfloat16(const Call& c) {
  return js_bool(c.env, at::hasCUDA() && at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8());
}

// begin_profile(); end_profile() -> {operator: [count, milliseconds]} of this thread
napi_value begin_profile(const Call& c) {
  start_profile();
  return undefined(c.env);
}

napi_value end_profile(const Call& c) {
  napi_value operators;
  check(c.env, napi_create_object(c.env, &operators));
  for (const auto& [name, total] : stop_profile()) {
    napi_value pair;
    check(c.env, napi_create_array_with_length(c.env, 2, &pair));
    check(c.env, napi_set_element(c.env, pair, 0, js_number(c.env, total.count)));
    check(c.env, napi_set_element(c.env, pair, 1, js_number(c.env, total.milliseconds)));
    set(c.env, operators, name.c_str(), pair);
  }
  return operators;
}

// The CUDA version that this libtorch was built for, 13.0 say; empty without CUDA.
std::string cuda_version() {
  const auto& hooks = at::detail::getCUDAHooks();
  if (!hooks.hasCUDART()) return "";
  const long version = hooks.versionCUDART();
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// engine() -> what this libtorch is and sees
napi_value engine(const Call& c) {
  napi_value info;
  check(c.env, napi_create_object(c.env, &info));
  set(c.env, info, "libtorch", js_string(c.env, TORCH_VERSION));
  set(c.env, info, "threads", js_number(c.env, at::get_num_threads()));
  set(c.env, info, "cudaDevices", js_number(c.env, at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0));
  set(c.env, info, "cuda", js_string(c.env, cuda_version()));
  set(c.env, info, "cpuCapability", js_string(c.env, at::get_cpu_capability()));
  set(c.env, info, "mkl", js_string(c.env, at::hasMKL() ? at::get_mkl_version() : ""));
  set(c.env, info, "mkldnn", js_string(c.env, at::get_mkldnn_version()));
  set(c.env, info, "openmp", js_string(c.env, at::get_openmp_version()));
  return info;
}

}  // namespace

void expose_engine(napi_env env, napi_value exports, Environment* state) {
  expose<generator>(env, exports, state, "generator");
  expose<seed_generator>(env, exports, state, "seedGenerator");
  expose<set_threads>(env, exports, state, "setThreads");
  expose<cuda_memory>(env, exports, state, "cudaMemory");
  expose<set_device>(env, exports, state, "setDevice");
  expose<set_tf32>(env, exports, state, "setTf32");
  expose<has_native_bfloat16>(env, exports, state, "hasNativeBfloat16");
  expose<begin_profile>(env, exports, state, "beginProfile");
  expose<end_profile>(env, exports, state, "endProfile");
  expose<engine>(env, exports, state, "engine");
}

}  // namespace incubation
