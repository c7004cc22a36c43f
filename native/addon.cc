// The addon: all of libtorch through one boxed dispatcher call, and the few things the dispatcher does not
// reach - autograd's engine, tensors from and to bytes, generators, modes, threads, memory, process groups.
#include "call.h"

#include <ATen/Context.h>
#include <malloc.h>

namespace incubation {

namespace {

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
  expose_dispatcher(env, exports, state);
  expose_tensors(env, exports, state);
  expose_autograd(env, exports, state);
  expose_engine(env, exports, state);
  expose_distributed(env, exports, state);
  expose_images(env, exports, state);
  expose_image_loader(env, exports, state);
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
