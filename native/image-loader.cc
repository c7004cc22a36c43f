// The image loader: files are read, decoded, transformed and laid into batches on threads of its own. What is
// random is decided in JavaScript, between `openImages` and `runImages`.
#include "image-loader.h"

namespace incubation {

namespace image {

Loader& loader_of(const Call& c) {
  if (!c.state.images) {
    c.state.images = std::make_shared<Loader>(c.env);
    const auto end = [](void* state) { static_cast<Environment*>(state)->images.reset(); };
    check(c.env, napi_add_env_cleanup_hook(c.env, end, &c.state));
  }
  return *c.state.images;
}

namespace {

// closeImages(handles), of those that no `runImages` took
napi_value close_images(const Call& c) {
  Loader& loader = loader_of(c);
  for (uint32_t i = 0; i < length_of(c.env, c.arg(0)); i++) {
    loader.opened.erase(to_handle(c.env, element(c.env, c.arg(0), i)));
  }
  return undefined(c.env);
}

// Files held in memory.
napi_value live_images(const Call& c) {
  return js_number(c.env, loader_of(c).live);
}

// setImageThreads(count); one at first
napi_value set_image_threads(const Call& c) {
  const int64_t count = to_int(c.env, c.arg(0));
  TORCH_CHECK(count > 0 && count <= 1024, count, " threads for images");
  loader_of(c).threads.resize(count);
  return undefined(c.env);
}

napi_value jpeg_decoder_name(const Call& c) {
  return js_string(c.env, jpeg_decoder());
}

}  // namespace

}  // namespace image

void expose_image_loader(napi_env env, napi_value exports, Environment* state) {
  expose<image::open_images>(env, exports, state, "openImages");
  expose<image::run_images>(env, exports, state, "runImages");
  expose<image::close_images>(env, exports, state, "closeImages");
  expose<image::live_images>(env, exports, state, "liveImages");
  expose<image::set_image_threads>(env, exports, state, "setImageThreads");
  expose<image::jpeg_decoder_name>(env, exports, state, "jpegDecoder");
}

}  // namespace incubation
