// What the two halves of the image loader share: files in memory between `openImages` and `runImages`.
#pragma once

#include "image-jpeg.h"
#include "image-threads.h"

namespace incubation::image {

// A file in memory; if it is a JPEG, with the size and orientation its header tells.
struct Opened {
  std::unique_ptr<uint8_t[]> data;
  size_t length = 0;
  int width = 0, height = 0, orientation = 1;

  explicit Opened(std::atomic<size_t>& live) : live(live) {
    live++;
  }
  ~Opened() {
    live--;
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  Bytes bytes() const {
    return {data.get(), length};
  }

 private:
  std::atomic<size_t>& live;
};

// Of one napi_env.
struct Loader {
  explicit Loader(napi_env env) : threads(env) {}

  // Files in memory, whoever holds them.
  std::atomic<size_t> live{0};
  std::unordered_map<uint32_t, std::shared_ptr<Opened>> opened;
  uint32_t next_handle = 0;
  // The first to go, since work under way uses the others.
  Threads threads;
};

// Made at first use, and gone with the environment.
Loader& loader_of(const Call& call);

// openImages([{file, start?, bytes?}]), where a file is a string or a Buffer -> promise of one entry each:
// {handle, width, height, orientation} of a JPEG, which is RGB; {bytes} of a file of another kind; {error}
napi_value open_images(const Call& call);

// runImages([{handle, program, slot} or {pixels, width, height, channels, program, slot}], channels, height,
// width, into) -> promise of one entry each: null, or why the slot of `into` was not written. Handles are freed.
napi_value run_images(const Call& call);

inline uint32_t length_of(napi_env env, napi_value array) {
  uint32_t length;
  check(env, napi_get_array_length(env, array, &length));
  return length;
}

inline napi_value element(napi_env env, napi_value array, uint32_t index) {
  napi_value value;
  check(env, napi_get_element(env, array, index, &value));
  return value;
}

inline napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value value;
  check(env, napi_get_named_property(env, object, name, &value));
  return value;
}

}  // namespace incubation::image
