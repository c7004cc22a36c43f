// openImages: files to bytes in memory, and the sizes that JPEG headers tell.
#include "image-loader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

namespace incubation::image {

namespace {

[[noreturn]] void fail(int error) {
  throw std::runtime_error(std::generic_category().message(error));
}

struct Descriptor {
  const int number;
  explicit Descriptor(const std::string& file) : number(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (number < 0) fail(errno);
  }
  ~Descriptor() {
    close(number);
  }
};

// A file, or `length` bytes of it from `start`.
struct Source {
  std::string file;
  int64_t start, length;
};

constexpr int64_t WHOLE = -1;
constexpr int64_t MOST_BYTES = int64_t{1} << 30;

void read_into(Opened& image, const Source& source) {
  const Descriptor descriptor(source.file);
  struct stat status;
  if (fstat(descriptor.number, &status) != 0) fail(errno);
  if (S_ISDIR(status.st_mode)) fail(EISDIR);
  if (!S_ISREG(status.st_mode)) throw std::runtime_error("not a file");
  const int64_t start = source.length == WHOLE ? 0 : source.start;
  const int64_t length = source.length == WHOLE ? status.st_size : source.length;
  if (start < 0 || length < 0 || start > status.st_size - length) throw std::runtime_error("truncated");
  if (length > MOST_BYTES) throw std::runtime_error(std::to_string(length) + " bytes are too many");
  image.data.reset(new uint8_t[length]);
  for (int64_t done = 0; done < length;) {
    const ssize_t count = pread(descriptor.number, image.data.get() + done, length - done, start + done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(errno);
    if (count == 0) throw std::runtime_error("truncated");
    done += count;
  }
  image.length = length;
}

class Open : public Batch {
 public:
  Open(Loader& loader, std::vector<Source> sources) : loader(loader), sources(std::move(sources)), entries(this->sources.size()) {}

  size_t size() const override {
    return sources.size();
  }

  void run(size_t index) noexcept override {
    Entry& entry = entries[index];
    try {
      auto image = std::make_shared<Opened>(loader.live);
      read_into(*image, sources[index]);
      if (is_jpeg(image->bytes())) {
        const auto [width, height, orientation] = jpeg_header(image->bytes());
        std::tie(image->width, image->height, image->orientation) = std::tie(width, height, orientation);
      }
      entry.image = std::move(image);
    } catch (const std::exception& error) {
      entry.error = error.what();
    }
  }

  napi_value result(napi_env env) override {
    napi_value array;
    check(env, napi_create_array_with_length(env, entries.size(), &array));
    for (uint32_t i = 0; i < entries.size(); i++) {
      check(env, napi_set_element(env, array, i, entry_of(env, entries[i])));
    }
    return array;
  }

 private:
  struct Entry {
    std::shared_ptr<Opened> image;
    std::string error;
  };

  napi_value entry_of(napi_env env, Entry& entry) {
    napi_value object;
    check(env, napi_create_object(env, &object));
    if (!entry.image) {
      set(env, object, "error", js_string(env, entry.error));
    } else if (entry.image->width == 0) {
      napi_value bytes;
      check(env, napi_create_buffer_copy(env, entry.image->length, entry.image->data.get(), nullptr, &bytes));
      set(env, object, "bytes", bytes);
    } else {
      set(env, object, "handle", js_number(env, loader.next_handle));
      set(env, object, "width", js_number(env, entry.image->width));
      set(env, object, "height", js_number(env, entry.image->height));
      set(env, object, "orientation", js_number(env, entry.image->orientation));
      loader.opened.emplace(loader.next_handle++, std::move(entry.image));
    }
    return object;
  }

  Loader& loader;
  const std::vector<Source> sources;
  std::vector<Entry> entries;
};

// A Buffer holds a path that is not UTF-8.
std::string path_of(napi_env env, napi_value path) {
  bool is_buffer = false;
  check(env, napi_is_buffer(env, path, &is_buffer));
  if (!is_buffer) return to_string(env, path);
  void* data;
  size_t length;
  check(env, napi_get_buffer_info(env, path, &data, &length));
  return {static_cast<const char*>(data), length};
}

}  // namespace

napi_value open_images(const Call& c) {
  const auto [env, array] = std::pair(c.env, c.arg(0));
  std::vector<Source> sources(length_of(env, array));
  for (uint32_t i = 0; i < sources.size(); i++) {
    const napi_value source = element(env, array, i);
    const napi_value bytes = property(env, source, "bytes");
    sources[i].file = path_of(env, property(env, source, "file"));
    sources[i].length = is_absent(env, bytes) ? WHOLE : to_int(env, bytes);
    sources[i].start = is_absent(env, bytes) ? 0 : to_int(env, property(env, source, "start"));
  }
  Loader& loader = loader_of(c);
  return loader.threads.start(std::make_unique<Open>(loader, std::move(sources)), array);
}

}  // namespace incubation::image
