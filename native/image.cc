// Pixel programs for images that are in memory.
#include "call.h"
#include "image-program.h"

namespace incubation {

namespace {

template <typename Element>
std::pair<const Element*, size_t> view_of(napi_env env, napi_value value, napi_typedarray_type wanted, const char* expected) {
  bool is_view = false;
  check(env, napi_is_typedarray(env, value, &is_view));
  TORCH_CHECK(is_view, "expected a ", expected);
  napi_typedarray_type type;
  size_t length;
  void* data;
  check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
  TORCH_CHECK(type == wanted, "expected a ", expected);
  return {static_cast<const Element*>(data), length};
}

int to_size(napi_env env, napi_value value) {
  const int64_t size = to_int(env, value);
  TORCH_CHECK(size >= 0 && size <= INT32_MAX, "an image has no size of ", size);
  return static_cast<int>(size);
}

napi_value js_image(napi_env env, const image::Pixels& pixels) {
  void* data;
  napi_value buffer, bytes, object;
  check(env, napi_create_arraybuffer(env, pixels.data.size(), &data, &buffer));
  std::memcpy(data, pixels.data.data(), pixels.data.size());
  check(env, napi_create_typedarray(env, napi_uint8_array, pixels.data.size(), buffer, 0, &bytes));
  check(env, napi_create_object(env, &object));
  set(env, object, "width", js_number(env, pixels.width));
  set(env, object, "height", js_number(env, pixels.height));
  set(env, object, "channels", js_number(env, pixels.channels));
  set(env, object, "data", bytes);
  return object;
}

// run_program(Uint8Array, width, height, channels, Float64Array) -> { width, height, channels, data }
napi_value run_program(const Call& c) {
  const auto [bytes, size] = view_of<uint8_t>(c.env, c.arg(0), napi_uint8_array, "Uint8Array");
  const int width = to_size(c.env, c.arg(1)), height = to_size(c.env, c.arg(2)), channels = to_size(c.env, c.arg(3));
  const auto [program, length] = view_of<double>(c.env, c.arg(4), napi_float64_array, "Float64Array");
  image::Pixels pixels{width, height, channels, {bytes, bytes + size}, width, height, {0, 0, width, height}};
  return js_image(c.env, image::run(std::move(pixels), program, length));
}

}  // namespace

void expose_images(napi_env env, napi_value exports, Environment* state) {
  expose<run_program>(env, exports, state, "runProgram");
}

}  // namespace incubation
