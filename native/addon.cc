// The addon: all of libtorch through one boxed dispatcher call, and the few things the dispatcher does not
// reach - autograd's engine, tensors from and to bytes, generators, modes, threads, memory.
#include "convert.h"
#include "profile.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <malloc.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
#include <c10/core/CachingDeviceAllocator.h>
#define INCUBATION_HAS_DEVICE_STATS 1
#endif

namespace incubation {

namespace {

struct Call {
  napi_env env;
  Environment& state;
  std::vector<napi_value> args;

  napi_value arg(size_t index) const {
    TORCH_CHECK(index < args.size(), "argument ", index, " is missing");
    return args[index];
  }
};

using Function = napi_value (*)(const Call&);

// Every function of the addon comes through here: C++ exceptions become JavaScript errors, and only here.
template <Function function>
napi_value entry(napi_env env, napi_callback_info info) {
  try {
    size_t count = 8;
    napi_value values[8];
    void* data = nullptr;
    check(env, napi_get_cb_info(env, info, &count, values, nullptr, &data));
    if (count > 8) count = 8;
    return function(Call{env, *static_cast<Environment*>(data), {values, values + count}});
  } catch (const PendingException&) {
  } catch (const c10::Error& error) {
    napi_throw_error(env, nullptr, error.what_without_backtrace());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

napi_value undefined(napi_env env) {
  napi_value result;
  check(env, napi_get_undefined(env, &result));
  return result;
}

napi_value js_ints(napi_env env, c10::IntArrayRef values) {
  napi_value array;
  check(env, napi_create_array_with_length(env, values.size(), &array));
  for (size_t i = 0; i < values.size(); i++) check(env, napi_set_element(env, array, i, js_number(env, values[i])));
  return array;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  check(env, napi_set_named_property(env, object, name, value));
}

// resolve(name, overload) -> index of the operator, for call()
napi_value resolve(const Call& c) {
  const std::string name = to_string(c.env, c.arg(0));
  const std::string overload = to_string(c.env, c.arg(1));
  const auto op = c10::Dispatcher::singleton().findSchema({name, overload});
  TORCH_CHECK(op.has_value(), "libtorch ", TORCH_VERSION, " has no operator ", name, overload.empty() ? "" : ".", overload);
  c.state.operators.push_back(*op);
  return js_number(c.env, c.state.operators.size() - 1);
}

const char* kind_of(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType: return kind_of(type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::ListType: return kind_of(type->castRaw<c10::ListType>()->getElementType());
    case c10::TypeKind::TensorType: return "tensor";
    case c10::TypeKind::GeneratorType: return "generator";
    default: return "value";
  }
}

// parameters(index) -> [{name, kind}]: which arguments, or lists of them, are handles, and of what
napi_value parameters(const Call& c) {
  const auto& declared = c.state.operators.at(to_int(c.env, c.arg(0))).schema().arguments();
  napi_value array;
  check(c.env, napi_create_array_with_length(c.env, declared.size(), &array));
  for (size_t i = 0; i < declared.size(); i++) {
    napi_value parameter;
    check(c.env, napi_create_object(c.env, &parameter));
    set(c.env, parameter, "name", js_string(c.env, declared[i].name()));
    set(c.env, parameter, "kind", js_string(c.env, kind_of(declared[i].type())));
    check(c.env, napi_set_element(c.env, array, i, parameter));
  }
  return array;
}

// call(index, args) -> result, or an array of results; an argument left out or undefined takes its default
napi_value call(const Call& c) {
  const c10::OperatorHandle& op = c.state.operators.at(to_int(c.env, c.arg(0)));
  const auto& parameters = op.schema().arguments();
  uint32_t given;
  check(c.env, napi_get_array_length(c.env, c.arg(1), &given));
  TORCH_CHECK(given <= parameters.size(), "takes ", parameters.size(), " arguments, got ", given);
  torch::jit::Stack stack;
  stack.reserve(parameters.size());
  for (uint32_t i = 0; i < parameters.size(); i++) {
    const c10::Argument& parameter = parameters[i];
    napi_value value = nullptr;
    if (i < given) check(c.env, napi_get_element(c.env, c.arg(1), i, &value));
    napi_valuetype type = napi_undefined;
    if (value != nullptr) check(c.env, napi_typeof(c.env, value, &type));
    if (type == napi_undefined) {
      if (parameter.default_value().has_value()) {
        stack.push_back(*parameter.default_value());
        continue;
      }
      TORCH_CHECK(parameter.type()->kind() == c10::TypeKind::OptionalType, "argument '", parameter.name(), "' is missing");
      stack.emplace_back();
      continue;
    }
    try {
      stack.push_back(to_ivalue(c.env, c.state, value, parameter.type()));
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, "argument '", parameter.name(), "' (", parameter.type()->str(), "): ", error.what_without_backtrace());
    }
  }
  op.callBoxed(&stack);
  if (stack.empty()) return undefined(c.env);
  if (stack.size() == 1) return to_js(c.env, c.state, stack[0]);
  napi_value results;
  check(c.env, napi_create_array_with_length(c.env, stack.size(), &results));
  for (size_t i = 0; i < stack.size(); i++) check(c.env, napi_set_element(c.env, results, i, to_js(c.env, c.state, stack[i])));
  return results;
}

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

// backward(handles of losses, handles of their gradients or []): adds to the leaves' gradients
napi_value backward(const Call& c) {
  torch::autograd::backward(to_tensors(c.env, c.state, c.arg(0)), to_tensors(c.env, c.state, c.arg(1)));
  return undefined(c.env);
}

napi_value requires_grad(const Call& c) {
  return js_bool(c.env, c.state.tensor(to_handle(c.env, c.arg(0))).requires_grad());
}

napi_value set_requires_grad(const Call& c) {
  c.state.tensor(to_handle(c.env, c.arg(0))).set_requires_grad(to_bool(c.env, c.arg(1)));
  return undefined(c.env);
}

napi_value grad(const Call& c) {
  const at::Tensor& gradient = c.state.tensor(to_handle(c.env, c.arg(0))).grad();
  return gradient.defined() ? js_number(c.env, c.state.put(gradient)) : js_null(c.env);
}

// clear_grads(handles): gradients are dropped, not zeroed
napi_value clear_grads(const Call& c) {
  for (const at::Tensor& tensor : to_tensors(c.env, c.state, c.arg(0))) tensor.mutable_grad().reset();
  return undefined(c.env);
}

// set_grad_mode(enabled) -> what it was
napi_value set_grad_mode(const Call& c) {
  const bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(to_bool(c.env, c.arg(0)));
  return js_bool(c.env, before);
}

// begin_autocast(device type, dtype) -> [was enabled, dtype before], for end_autocast(device type, enabled, dtype),
// which also drops the cast weights kept meanwhile
napi_value begin_autocast(const Call& c) {
  const auto type = c10::Device(to_string(c.env, c.arg(0))).type();
  const int64_t before[] = {
      at::autocast::is_autocast_enabled(type), static_cast<int64_t>(at::autocast::get_autocast_dtype(type))};
  at::autocast::set_autocast_enabled(type, true);
  at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(to_int(c.env, c.arg(1))));
  at::autocast::increment_nesting();
  return js_ints(c.env, before);
}

napi_value end_autocast(const Call& c) {
  const auto type = c10::Device(to_string(c.env, c.arg(0))).type();
  at::autocast::set_autocast_enabled(type, to_int(c.env, c.arg(1)) != 0);
  at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(to_int(c.env, c.arg(2))));
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  return undefined(c.env);
}

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

// engine() -> what this libtorch is and sees
napi_value engine(const Call& c) {
  napi_value info;
  check(c.env, napi_create_object(c.env, &info));
  set(c.env, info, "libtorch", js_string(c.env, TORCH_VERSION));
  set(c.env, info, "threads", js_number(c.env, at::get_num_threads()));
  set(c.env, info, "cudaDevices", js_number(c.env, at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0));
  set(c.env, info, "cpuCapability", js_string(c.env, at::get_cpu_capability()));
  set(c.env, info, "mkl", js_string(c.env, at::hasMKL() ? at::get_mkl_version() : ""));
  set(c.env, info, "mkldnn", js_string(c.env, at::get_mkldnn_version()));
  set(c.env, info, "openmp", js_string(c.env, at::get_openmp_version()));
  return info;
}

template <Function function>
void expose(napi_env env, napi_value exports, Environment* state, const char* name) {
  napi_value value;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, entry<function>, state, &value));
  set(env, exports, name, value);
}

// A training step frees and takes hundreds of megabytes. Kept in the process, they need no new pages.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
}

napi_value init(napi_env env, napi_value exports) {
  keep_freed_memory();
  at::globalContext().setUserEnabledNNPACK(false);
  auto* state = new Environment();
  check(env, napi_add_env_cleanup_hook(env, [](void* data) { delete static_cast<Environment*>(data); }, state));
  expose<resolve>(env, exports, state, "resolve");
  expose<parameters>(env, exports, state, "parameters");
  expose<call>(env, exports, state, "call");
  expose<release>(env, exports, state, "release");
  expose<live_handles>(env, exports, state, "liveHandles");
  expose<from_bytes>(env, exports, state, "fromBytes");
  expose<to_bytes>(env, exports, state, "toBytes");
  expose<item>(env, exports, state, "item");
  expose<shape>(env, exports, state, "shape");
  expose<dtype>(env, exports, state, "dtype");
  expose<device>(env, exports, state, "device");
  expose<backward>(env, exports, state, "backward");
  expose<requires_grad>(env, exports, state, "requiresGrad");
  expose<set_requires_grad>(env, exports, state, "setRequiresGrad");
  expose<grad>(env, exports, state, "grad");
  expose<clear_grads>(env, exports, state, "clearGrads");
  expose<set_grad_mode>(env, exports, state, "setGradMode");
  expose<begin_autocast>(env, exports, state, "beginAutocast");
  expose<end_autocast>(env, exports, state, "endAutocast");
  expose<generator>(env, exports, state, "generator");
  expose<seed_generator>(env, exports, state, "seedGenerator");
  expose<set_threads>(env, exports, state, "setThreads");
  expose<cuda_memory>(env, exports, state, "cudaMemory");
  expose<begin_profile>(env, exports, state, "beginProfile");
  expose<end_profile>(env, exports, state, "endProfile");
  expose<engine>(env, exports, state, "engine");
  return exports;
}

}  // namespace

}  // namespace incubation

NAPI_MODULE_INIT() {
  try {
    return incubation::init(env, exports);
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  } catch (const incubation::PendingException&) {
  }
  return nullptr;
}
