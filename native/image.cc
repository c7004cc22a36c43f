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

// The pixels are all of an image, or what [left, top, width, height, full width, full height] says.
void set_part(image::Pixels& pixels, const std::vector<int64_t>& part) {
  TORCH_CHECK(part.size() == 6, "a part of an image is six numbers");
  for (const int64_t number : part) TORCH_CHECK(number >= 0 && number <= INT32_MAX, "a part of an image has ", number);
  const auto at = [&](size_t i) { return static_cast<int>(part[i]); };
  pixels.part = {at(0), at(1), at(2), at(3)};
  pixels.full_width = at(4);
  pixels.full_height = at(5);
}

// run_program(Uint8Array, width, height, channels, Float64Array, part?) -> { width, height, channels, data }
napi_value run_program(const Call& c) {
  const auto [bytes, size] = view_of<uint8_t>(c.env, c.arg(0), napi_uint8_array, "Uint8Array");
  const int width = to_size(c.env, c.arg(1)), height = to_size(c.env, c.arg(2)), channels = to_size(c.env, c.arg(3));
  const auto [program, length] = view_of<double>(c.env, c.arg(4), napi_float64_array, "Float64Array");
  image::Pixels pixels{width, height, channels, {bytes, bytes + size}, width, height, {0, 0, width, height}};
  if (c.args.size() > 5) set_part(pixels, to_ints(c.env, c.arg(5)));
  return js_image(c.env, image::run(std::move(pixels), program, length));
}

// region_of(Float64Array) -> [left, top, width, height, result's width, result's height] | null
napi_value region_of(const Call& c) {
  const auto [program, length] = view_of<double>(c.env, c.arg(0), napi_float64_array, "Float64Array");
  const auto region = image::region_of(program, length);
  if (!region) return js_null(c.env);
  const auto& [box, width, height] = *region;
  return js_ints(c.env, {box.left, box.top, box.width, box.height, width, height});
}

}  // namespace

void expose_images(napi_env env, napi_value exports, Environment* state) {
  expose<run_program>(env, exports, state, "runProgram");
  expose<region_of>(env, exports, state, "regionOf");
}

}  // namespace incubation
