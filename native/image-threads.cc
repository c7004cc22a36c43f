#include "image-threads.h"

namespace incubation::image {

Threads::Threads(napi_env env) : env(env) {
  const auto done = [](napi_env env, napi_value, void* threads, void* started) {
    // Without an environment, Node is clearing away, and `threads` may be gone.
    if (env != nullptr) static_cast<Threads*>(threads)->finish(static_cast<Started*>(started));
  };
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, js_string(env, "images"), 0, 1, nullptr, nullptr, this, done, &to_javascript));
  check(env, napi_unref_threadsafe_function(env, to_javascript));
}

Threads::~Threads() {
  resize(0);
  napi_release_threadsafe_function(to_javascript, napi_tsfn_abort);
}

void Threads::resize(size_t count) {
  {
    const std::lock_guard guard(lock);
    wanted = count;
  }
  ready.notify_all();
  for (; threads.size() > count; threads.pop_back()) threads.back().join();
}

napi_value Threads::start(std::unique_ptr<Batch> batch, napi_value kept) {
  while (threads.size() < wanted) threads.emplace_back([this, index = threads.size()] { work(index); });
  auto owned = std::make_unique<Started>();
  owned->left = batch->size();
  owned->batch = std::move(batch);
  napi_value promise;
  check(env, napi_create_promise(env, &owned->deferred, &promise));
  check(env, napi_create_reference(env, kept, 1, &owned->kept));
  Started* const added = owned.get();
  // While something is under way, the process does not end.
  if (started.empty()) check(env, napi_ref_threadsafe_function(env, to_javascript));
  started.emplace(added, std::move(owned));
  if (added->left == 0) {
    finish(added);
    return promise;
  }
  {
    const std::lock_guard guard(lock);
    waiting.push_back(added);
  }
  ready.notify_all();
  return promise;
}

void Threads::work(size_t index) {
  std::unique_lock guard(lock);
  for (;;) {
    ready.wait(guard, [&] { return index >= wanted || !waiting.empty(); });
    if (index >= wanted) return;
    Started* const current = waiting.front();
    const size_t item = current->next++;
    if (current->next == current->batch->size()) waiting.pop_front();
    guard.unlock();
    current->batch->run(item);
    if (--current->left == 0) napi_call_threadsafe_function(to_javascript, current, napi_tsfn_nonblocking);
    guard.lock();
  }
}

void Threads::finish(Started* done) {
  const auto owned = std::move(started.extract(done).mapped());
  if (started.empty()) napi_unref_threadsafe_function(env, to_javascript);
  napi_delete_reference(env, owned->kept);
  try {
    napi_resolve_deferred(env, owned->deferred, owned->batch->result(env));
  } catch (const PendingException&) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_reject_deferred(env, owned->deferred, error);
  } catch (const std::exception& failure) {
    napi_value error;
    napi_create_error(env, nullptr, js_string(env, failure.what()), &error);
    napi_reject_deferred(env, owned->deferred, error);
  }
}

}  // namespace incubation::image
