// runImages: images decoded, transformed and laid into their batch.
#include "image-loader.h"

#include <cstring>

namespace incubation::image {

namespace {

struct Job {
  std::shared_ptr<Opened> jpeg;
  const uint8_t* pixels;  // where there is no JPEG
  int width, height, channels;
  std::vector<double> program;
  size_t slot;
};

struct Shape {
  int channels, height, width;

  size_t size() const {
    return size_t(channels) * height * width;
  }
};

std::string text_of(int width, int height, int channels) {
  return std::to_string(width) + " x " + std::to_string(height) + (channels == 1 ? " grey" : " RGB");
}

void write_planar(const uint8_t* from, size_t pixels, int channels, uint8_t* to) {
  if (channels == 1) {
    std::memcpy(to, from, pixels);
    return;
  }
  for (size_t i = 0; i < pixels; i++, from += 3) {
    to[i] = from[0];
    to[i + pixels] = from[1];
    to[i + 2 * pixels] = from[2];
  }
}

Pixels pixels_of(const Job& job) {
  if (job.jpeg) return decode_jpeg(job.jpeg->bytes(), region_of(job.program.data(), job.program.size()));
  const size_t length = size_t(job.width) * job.height * job.channels;
  std::vector<uint8_t> copy(job.pixels, job.pixels + length);
  return {job.width, job.height, job.channels, std::move(copy), job.width, job.height, {0, 0, job.width, job.height}};
}

class Run : public Batch {
 public:
  Run(std::vector<Job> jobs, Shape shape, uint8_t* into) : jobs(std::move(jobs)), shape(shape), into(into), errors(this->jobs.size()) {}

  size_t size() const override {
    return jobs.size();
  }

  void run(size_t index) noexcept override {
    // The file's bytes are not needed any longer.
    const Job job = std::move(jobs[index]);
    try {
      const Pixels pixels = image::run(pixels_of(job), job.program.data(), job.program.size());
      const Shape made{pixels.channels, pixels.height, pixels.width};
      if (made.channels != shape.channels || made.height != shape.height || made.width != shape.width) {
        throw std::runtime_error(
          "became " + text_of(made.width, made.height, made.channels) + ", not " + text_of(shape.width, shape.height, shape.channels)
        );
      }
      write_planar(pixels.data.data(), size_t(pixels.width) * pixels.height, pixels.channels, into + job.slot * shape.size());
    } catch (const std::exception& error) {
      errors[index] = error.what();
    }
  }

  napi_value result(napi_env env) override {
    napi_value array;
    check(env, napi_create_array_with_length(env, errors.size(), &array));
    for (uint32_t i = 0; i < errors.size(); i++) {
      check(env, napi_set_element(env, array, i, errors[i].empty() ? js_null(env) : js_string(env, errors[i])));
    }
    return array;
  }

 private:
  std::vector<Job> jobs;
  const Shape shape;
  uint8_t* const into;
  std::vector<std::string> errors;
};

template <typename Element>
std::pair<Element*, size_t> view(napi_env env, napi_value value, napi_typedarray_type wanted) {
  bool is_view = false;
  check(env, napi_is_typedarray(env, value, &is_view));
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (is_view) check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
  TORCH_CHECK(is_view && type == wanted, "expected a ", wanted == napi_uint8_array ? "Uint8Array" : "Float64Array");
  return {static_cast<Element*>(data), length};
}

// A size in pixels.
int to_size(napi_env env, napi_value value) {
  const int64_t size = to_int(env, value);
  TORCH_CHECK(size > 0 && size <= 1 << 28, size, " is no size of an image");
  return static_cast<int>(size);
}

std::shared_ptr<Opened> taken(Loader& loader, uint32_t handle) {
  const auto found = loader.opened.extract(handle);
  TORCH_CHECK(!found.empty(), "image ", handle, " is not open");
  return std::move(found.mapped());
}

Job job_of(napi_env env, Loader& loader, napi_value value) {
  Job job{};
  const auto [program, steps] = view<double>(env, property(env, value, "program"), napi_float64_array);
  job.program.assign(program, program + steps);
  job.slot = to_handle(env, property(env, value, "slot"));
  const napi_value handle = property(env, value, "handle");
  if (!is_absent(env, handle)) {
    job.jpeg = taken(loader, to_handle(env, handle));
    return job;
  }
  const auto [pixels, length] = view<uint8_t>(env, property(env, value, "pixels"), napi_uint8_array);
  job.pixels = pixels;
  job.width = to_size(env, property(env, value, "width"));
  job.height = to_size(env, property(env, value, "height"));
  job.channels = to_size(env, property(env, value, "channels"));
  TORCH_CHECK(job.channels == 1 || job.channels == 3, "images of ", job.channels, " channels");
  TORCH_CHECK(length == size_t(job.width) * job.height * job.channels, text_of(job.width, job.height, job.channels), " of ", length, " bytes");
  return job;
}

}  // namespace

napi_value run_images(const Call& c) {
  const napi_env env = c.env;
  Loader& loader = loader_of(c);
  const Shape shape{to_size(env, c.arg(1)), to_size(env, c.arg(2)), to_size(env, c.arg(3))};
  const auto [into, length] = view<uint8_t>(env, c.arg(4), napi_uint8_array);
  std::vector<Job> jobs;
  for (uint32_t i = 0; i < length_of(env, c.arg(0)); i++) {
    jobs.push_back(job_of(env, loader, element(env, c.arg(0), i)));
    TORCH_CHECK(jobs.back().slot < length / shape.size(), "slot ", jobs.back().slot, " is outside the batch");
  }
  napi_value kept;
  check(env, napi_create_array_with_length(env, 2, &kept));
  check(env, napi_set_element(env, kept, 0, c.arg(0)));
  check(env, napi_set_element(env, kept, 1, c.arg(4)));
  return loader.threads.start(std::make_unique<Run>(std::move(jobs), shape, into), kept);
}

}  // namespace incubation::image
