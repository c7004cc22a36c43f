// Work on threads of their own, in batches, each of which is a promise in JavaScript.
#pragma once

#include "call.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace incubation::image {

class Batch {
 public:
  virtual ~Batch() = default;
  virtual size_t size() const = 0;
  // Item `index`, on any thread.
  virtual void run(size_t index) noexcept = 0;
  // What the promise gives when all have run, on JavaScript's thread.
  virtual napi_value result(napi_env env) = 0;
};

// Of one napi_env, and used on its thread alone. Made before the environment's clean-up hook that destroys it:
// hooks run last to first, and Node's own for the channel to JavaScript must come after it.
class Threads {
 public:
  explicit Threads(napi_env env);
  // Waits for the items that are being worked on and drops the others; their promises stay open.
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  // Threads that are too many end now; those that are missing start with the next batch.
  void resize(size_t count);
  // The items of earlier batches come first. `kept` is not collected before the batch is done.
  napi_value start(std::unique_ptr<Batch> batch, napi_value kept);

 private:
  struct Started {
    std::unique_ptr<Batch> batch;
    napi_deferred deferred;
    napi_ref kept;
    size_t next = 0;  // under the lock
    std::atomic<size_t> left;
  };

  void work(size_t index);
  void finish(Started* started);

  napi_env env;
  napi_threadsafe_function to_javascript = nullptr;
  std::unordered_map<Started*, std::unique_ptr<Started>> started;

  std::mutex lock;
  std::condition_variable ready;
  std::deque<Started*> waiting;
  size_t wanted = 1;
  std::vector<std::thread> threads;
};

}  // namespace incubation::image
