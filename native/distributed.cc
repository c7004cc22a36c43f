// Process groups: c10d's collectives, Gloo's on the CPU and NCCL's on GPUs, and c10d's reducer of gradients.
#include "call.h"

#if __has_include(<torch/csrc/distributed/c10d/reducer.hpp>)
#define INCUBATION_HAS_C10D 1
#define USE_C10D_GLOO 1
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#endif

#ifdef INCUBATION_NCCL
#define INCUBATION_HAS_NCCL 1
#define USE_C10D_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <c10/util/Logging.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <thread>

namespace incubation {

namespace {

#ifdef INCUBATION_HAS_C10D

using std::chrono::milliseconds;

// A value of c10d's behind a handle.
template <class T>
struct Held : torch::CustomClassHolder {
  explicit Held(T held) : value(std::move(held)) {}
  T value;
};

template <class T>
napi_value hold(const Call& c, T value) {
  const auto held = c10::make_intrusive<Held<T>>(std::move(value));
  return js_number(c.env, c.state.put(c10::IValue::make_capsule(held)));
}

template <class T>
T held(const Call& c, size_t index) {
  const c10::IValue& slot = c.state.at(to_handle(c.env, c.arg(index)));
  TORCH_CHECK(slot.isCapsule(), "expected a process group, a work or a reducer");
  const auto holder = slot.toCapsule();
  const auto* typed = dynamic_cast<const Held<T>*>(holder.get());
  TORCH_CHECK(typed != nullptr, "expected another kind of handle");
  return typed->value;
}

using Group = c10::intrusive_ptr<c10d::ProcessGroup>;
using Work = c10::intrusive_ptr<c10d::Work>;
using Reducer = std::shared_ptr<c10d::Reducer>;

c10::intrusive_ptr<c10d::Backend> gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  if (const char* interfaces = std::getenv("GLOO_SOCKET_IFNAME")) {
    std::istringstream names(interfaces);
    for (std::string name; std::getline(names, name, ',');)
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(name));
  } else {
    options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  }
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

c10::intrusive_ptr<c10d::Backend> nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size, milliseconds timeout) {
#ifdef INCUBATION_HAS_NCCL
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
#else
  TORCH_CHECK(false, "this addon was built without NCCL");
#endif
}

// c10d logs what it also throws, with stack traces. Who lowered the level (TORCH_CPP_LOG_LEVEL=INFO) sees it.
struct QuietLog {
  static constexpr int kWarning = 1;
  static constexpr int kFatal = 3;
  const int before = FLAGS_caffe2_log_level;
  QuietLog() {
    if (before == kWarning) FLAGS_caffe2_log_level = kFatal;
  }
  ~QuietLog() {
    FLAGS_caffe2_log_level = before;
  }
};

// The store in which all ranks meet, opened by one of them. An earlier group's store may still be closing at the same
// port: it lacks this group's mark, and one who found it comes again.
c10::intrusive_ptr<c10d::Store> meet(
    const std::string& name, const std::string& host, const c10d::TCPStoreOptions& options, bool is_first) {
  const QuietLog quiet;
  const auto end = std::chrono::steady_clock::now() + options.timeout;
  for (;;) {
    try {
      const c10::intrusive_ptr<c10d::Store> store =
          c10::make_intrusive<c10d::PrefixStore>(name, c10::make_intrusive<c10d::TCPStore>(host, options));
      if (is_first) store->set("open", std::vector<uint8_t>{1});
      else store->wait({"open"}, std::min(options.timeout, milliseconds(1000)));
      return store;
    } catch (const std::exception&) {
      if (options.isServer || std::chrono::steady_clock::now() > end) throw;
      std::this_thread::sleep_for(milliseconds(100));
    }
  }
}

// join_group(name, host, port, opens the store, rank, size, timeout in ms, device) -> group; waits for all ranks
napi_value join_group(const Call& c) {
  const std::string name = to_string(c.env, c.arg(0));
  const int rank = static_cast<int>(to_int(c.env, c.arg(4)));
  const int size = static_cast<int>(to_int(c.env, c.arg(5)));
  const milliseconds timeout(to_int(c.env, c.arg(6)));
  const c10::Device device(to_string(c.env, c.arg(7)));

  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(to_int(c.env, c.arg(2)));
  options.isServer = to_bool(c.env, c.arg(3));
  options.waitWorkers = false;
  options.timeout = timeout;
  // libtorch's calls of libuv would reach Node's, of another version.
  options.useLibUV = false;
  const auto store = meet(name, to_string(c.env, c.arg(1)), options, rank == 0);
  const QuietLog quiet;

  const auto type = device.is_cuda() ? c10d::ProcessGroup::BackendType::NCCL : c10d::ProcessGroup::BackendType::GLOO;
  auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
  if (device.is_cuda()) group->setBoundDeviceId(device);
  group->setDefaultBackend(type);
  group->setBackend(device.type(), type, (device.is_cuda() ? nccl : gloo)(store, rank, size, timeout));
  group->setGroupName(name);
  return hold<Group>(c, group);
}

// Tensors to be written to: what is recorded for a backward pass does not count.
std::vector<at::Tensor> to_values(const Call& c, size_t index) {
  auto tensors = to_tensors(c.env, c.state, c.arg(index));
  for (at::Tensor& tensor : tensors) tensor = tensor.detach();
  return tensors;
}

// all_reduce(group, handles) -> work: sums over the ranks, in place
napi_value all_reduce(const Call& c) {
  auto tensors = to_values(c, 1);
  return hold<Work>(c, held<Group>(c, 0)->allreduce_coalesced(tensors));
}

// broadcast(group, handles, rank): that rank's values to all, in place
napi_value broadcast(const Call& c) {
  constexpr size_t kBufferBytes = 250 << 20;
  const auto tensors = to_values(c, 1);
  c10d::broadcast_coalesced(held<Group>(c, 0), tensors, kBufferBytes, static_cast<int>(to_int(c.env, c.arg(2))));
  return undefined(c.env);
}

napi_value barrier(const Call& c) {
  const Group group = held<Group>(c, 0);
  c10d::BarrierOptions options;
  options.device = group->getBoundDeviceId();
  if (options.device) options.device_ids = {options.device->index()};
  return hold<Work>(c, group->barrier(options));
}

// wait_work(work): throws what the work failed of
napi_value wait_work(const Call& c) {
  held<Work>(c, 0)->wait();
  return undefined(c.env);
}

using Indices = std::vector<std::vector<size_t>>;
using Tensors = std::vector<at::Tensor>;

// 2.6 also takes the buckets' limits; later ones whether to skip unused parameters, to let Python reduce, and caps.
template <class T = c10d::Reducer, class... Rest>
std::shared_ptr<T> make_reducer(
    const Tensors& parameters, const Indices& buckets, const std::vector<size_t>& limits, const Rest&... rest) {
  using Caps = std::vector<int64_t>;
  if constexpr (std::is_constructible_v<T, Tensors, Indices, Rest..., bool, bool, Caps>)
    return std::make_shared<T>(parameters, buckets, rest..., false, false, Caps{});
  else if constexpr (std::is_constructible_v<T, Tensors, Indices, Rest..., bool, bool>)
    return std::make_shared<T>(parameters, buckets, rest..., false, false);
  else if constexpr (std::is_constructible_v<T, Tensors, Indices, Rest...>)
    return std::make_shared<T>(parameters, buckets, rest...);
  else
    return std::make_shared<T>(parameters, buckets, limits, rest...);
}

// reducer(group, parameters, bucket bytes, first bucket's bytes) -> reducer, as DistributedDataParallel makes it: one
// bucket at first, rebuilt after the first backward pass in the order in which gradients came
napi_value reducer(const Call& c) {
  const Group group = held<Group>(c, 0);
  const auto parameters = to_tensors(c.env, c.state, c.arg(1));
  c10d::verify_params_across_processes(group, parameters, std::nullopt);
  const std::vector<bool> sparse(parameters.size(), false);
  const std::vector<size_t> one_bucket{std::numeric_limits<size_t>::max()};
  auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(parameters, one_bucket, sparse);
  std::reverse(buckets.begin(), buckets.end());
  std::reverse(limits.begin(), limits.end());
  const bool find_unused = false;
  const bool gradient_as_bucket_view = true;
  return hold<Reducer>(
      c,
      make_reducer(
          parameters, buckets, limits, group, sparse, to_int(c.env, c.arg(2)), find_unused, gradient_as_bucket_view,
          std::unordered_map<size_t, std::string>{}, to_int(c.env, c.arg(3))));
}

// prepare_reducer(reducer): the next backward pass reduces
napi_value prepare_reducer(const Call& c) {
  const Reducer reducer = held<Reducer>(c, 0);
  reducer->rebuild_buckets();
  reducer->prepare_for_backward({});
  return undefined(c.env);
}

// check_reduced(reducer): throws where a parameter had no gradient in the pass
napi_value check_reduced(const Call& c) {
  held<Reducer>(c, 0)->check_finalized();
  return undefined(c.env);
}

#else

napi_value join_group(const Call&) {
  TORCH_CHECK(false, "this libtorch has no c10d");
}

#endif

// collectives() -> the backends this addon can join ranks with
napi_value collectives(const Call& c) {
  std::vector<std::string> names;
#ifdef INCUBATION_HAS_C10D
  names.push_back("gloo");
#endif
#ifdef INCUBATION_HAS_NCCL
  names.push_back("nccl");
#endif
  napi_value array;
  check(c.env, napi_create_array_with_length(c.env, names.size(), &array));
  for (size_t i = 0; i < names.size(); i++) check(c.env, napi_set_element(c.env, array, i, js_string(c.env, names[i])));
  return array;
}

}  // namespace

void expose_distributed(napi_env env, napi_value exports, Environment* state) {
  expose<collectives>(env, exports, state, "collectives");
  expose<join_group>(env, exports, state, "joinGroup");
#ifdef INCUBATION_HAS_C10D
  expose<all_reduce>(env, exports, state, "allReduce");
  expose<broadcast>(env, exports, state, "broadcast");
  expose<barrier>(env, exports, state, "barrier");
  expose<wait_work>(env, exports, state, "waitWork");
  expose<reducer>(env, exports, state, "reducer");
  expose<prepare_reducer>(env, exports, state, "prepareReducer");
  expose<check_reduced>(env, exports, state, "checkReduced");
#endif
}

}  // namespace incubation
