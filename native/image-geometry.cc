// Pixels moved: crop, flip, and Pillow's bicubic affine transform (Geometry.c).
#include "image-kernel.h"
#include "image-steps.h"

#include <cstring>

namespace incubation::image {

namespace {

// How far into the data each index along an axis is, from two before the first pixel to two behind the last:
// there it is the pixel at the edge that counts.
std::vector<int64_t> offsets(int size, int64_t step) {
  std::vector<int64_t> offsets(size + AROUND);
  for (int i = 0; i < size + AROUND; i++) offsets[i] = std::clamp(i - 2, 0, size - 1) * step;
  return offsets;
}

struct Place {
  double x, y;
};

// Where an output pixel comes from.
inline __attribute__((always_inline)) Place place_of(const double* matrix, int x, int y) {
  const double to_x = x + 0.5, to_y = y + 0.5;
  return {matrix[0] * to_x + matrix[1] * to_y + matrix[2], matrix[3] * to_x + matrix[4] * to_y + matrix[5]};
}

// floor, and what is left.
inline __attribute__((always_inline)) int split(double x, double* rest) {
  const int truncated = static_cast<int>(x);
  const int whole = truncated - (x < truncated);
  *rest = x - whole;
  return whole;
}

// For one row, what Origins points to.
struct Row {
  std::vector<int> left, top;
  std::vector<double> dx, dy;

  explicit Row(int width) : left(width), top(width), dx(width), dy(width) {}
};

INCUBATION_KERNEL void find_origins(const double* of, int begin, int count, int y, int* left, int* top, double* dx, double* dy) {
  const double matrix[6] = {of[0], of[1], of[2], of[3], of[4], of[5]};
  for (int i = 0; i < count; i++) {
    const Place place = place_of(matrix, begin + i, y);
    left[i] = split(place.x - 0.5, dx + i) + 1;
    top[i] = split(place.y - 0.5, dy + i) + 1;
  }
}

double cubic(double a, double b, double c, double d, double t) {
  return b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a - c + d)));
}

template <int CHANNELS>
void affine_row(const Source& source, const Origins& from, int count, uint8_t* out) {
  for (int i = 0; i < count; i++) {
    const int64_t* columns = source.columns + from.left[i];
    const int64_t* rows = source.rows + from.top[i];
    for (int c = 0; c < CHANNELS; c++) {
      const auto line = [&](int r) {
        const uint8_t* row = source.data + rows[r] + c;
        return cubic(row[columns[0]], row[columns[1]], row[columns[2]], row[columns[3]], from.dx[i]);
      };
      const double value = cubic(line(0), line(1), line(2), line(3), from.dy[i]);
      *out++ = value <= 0 ? 0 : value >= 255 ? 255 : static_cast<uint8_t>(value);
    }
  }
}

INCUBATION_KERNEL void affine_rgb(const Source& source, const Origins& origins, int count, uint8_t* out) {
  affine_row<3>(source, origins, count, out);
}

INCUBATION_KERNEL void affine_grey(const Source& source, const Origins& origins, int count, uint8_t* out) {
  affine_row<1>(source, origins, count, out);
}

INCUBATION_KERNEL void mirror_grey(const uint8_t* __restrict row, size_t pixels, uint8_t* __restrict out) {
  for (size_t x = 0; x < pixels; x++) out[x] = row[pixels - 1 - x];
}

void mirror_rgb(const uint8_t* row, size_t pixels, uint8_t* out) {
  for (size_t x = 0; x < pixels; x++) std::memcpy(out + 3 * x, row + 3 * (pixels - 1 - x), 3);
}

}  // namespace

Pixels crop(const Pixels& pixels, const Box& box) {
  const int64_t channels = pixels.channels;
  Pixels out = make_pixels(box.width, box.height, pixels.channels);
  const int64_t left = std::max(box.left, 0);
  const int64_t right = std::min<int64_t>(int64_t{box.left} + box.width, pixels.width);
  const int64_t bottom = std::min<int64_t>(int64_t{box.top} + box.height, pixels.height);
  if (left >= right) return out;
  for (int64_t y = std::max(box.top, 0); y < bottom; y++) {
    const uint8_t* from = pixels.data.data() + (y * pixels.width + left) * channels;
    std::memcpy(out.data.data() + ((y - box.top) * box.width + left - box.left) * channels, from, (right - left) * channels);
  }
  return out;
}

Pixels crop_reflected(const Pixels& pixels, const Box& box) {
  const auto reflected = [](int64_t at, int64_t size) {
    const int64_t period = std::max<int64_t>(2 * (size - 1), 1);
    const int64_t within = (at % period + period) % period;
    return std::min(within, period - within) % size;
  };
  const int channels = pixels.channels;
  Pixels out = make_pixels(box.width, box.height, channels);
  std::vector<int64_t> columns(box.width);
  for (int x = 0; x < box.width; x++) columns[x] = reflected(int64_t{box.left} + x, pixels.width) * channels;
  uint8_t* to = out.data.data();
  for (int y = 0; y < box.height; y++) {
    const uint8_t* row = pixels.data.data() + reflected(int64_t{box.top} + y, pixels.height) * pixels.width * channels;
    for (const int64_t column : columns) {
      for (int c = 0; c < channels; c++) *to++ = row[column + c];
    }
  }
  return out;
}

void flip(Pixels& pixels) {
  const auto mirror = pixels.channels == 3 ? INCUBATION_FASTEST(mirror_rgb) : mirror_grey;
  const size_t length = size_t(pixels.width) * pixels.channels;
  std::vector<uint8_t> copy(length + 1);
  uint8_t* row = pixels.data.data();
  for (int y = 0; y < pixels.height; y++, row += length) {
    std::memcpy(copy.data(), row, length);
    mirror(copy.data(), pixels.width, row);
  }
}

Pixels oriented(const Pixels& pixels, int orientation) {
  const int width = pixels.width, height = pixels.height, channels = pixels.channels;
  const bool is_turned = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Pixels out = is_turned ? make_pixels(height, width, channels) : make_pixels(width, height, channels);
  uint8_t* to = out.data.data();
  for (int y = 0; y < out.height; y++) {
    for (int x = 0; x < out.width; x++) {
      const int along = is_turned ? y : x, down = is_turned ? x : y;
      const int column = from_right ? width - 1 - along : along, row = from_bottom ? height - 1 - down : down;
      const uint8_t* from = pixels.data.data() + (size_t(row) * width + column) * channels;
      for (int c = 0; c < channels; c++) *to++ = from[c];
    }
  }
  return out;
}

Pixels affine(Pixels pixels, const double* matrix, const std::array<uint8_t, 3>& fill) {
  const int width = pixels.width, channels = pixels.channels;
  const size_t stride = size_t(width) * channels;
  Pixels out = make_pixels(width, pixels.height, channels);
  std::vector<uint8_t> filled(stride);
  for (size_t i = 0; i < stride; i++) filled[i] = fill[i % channels];
  pixels.data.push_back(0);
  const auto columns = offsets(width, channels);
  const auto rows = offsets(pixels.height, stride);
  const Source source{pixels.data.data(), columns.data(), rows.data()};
  const auto is_inside = [&](int x, int y) {
    const Place place = place_of(matrix, x, y);
    return place.x >= 0 && place.x < width && place.y >= 0 && place.y < pixels.height;
  };
  const auto transform = channels == 3 ? INCUBATION_FASTEST(affine_rgb) : INCUBATION_FASTEST(affine_grey);
  Row row(width);
  const Origins origins{row.left.data(), row.top.data(), row.dx.data(), row.dy.data()};
  for (int y = 0; y < out.height; y++) {
    // Place by place on a straight line: those inside are next to each other.
    int begin = 0, end = width;
    while (begin < end && !is_inside(begin, y)) begin++;
    while (begin < end && !is_inside(end - 1, y)) end--;
    const size_t first = size_t(begin) * channels, last = size_t(end) * channels;
    uint8_t* const to = out.data.data() + y * stride;
    std::memcpy(to, filled.data(), first);
    std::memcpy(to + last, filled.data() + last, stride - last);
    find_origins(matrix, begin, end - begin, y, row.left.data(), row.top.data(), row.dx.data(), row.dy.data());
    transform(source, origins, end - begin, to + first);
  }
  return out;
}

}  // namespace incubation::image
