// Pillow's antialiased bicubic resize (Resample.c): two passes, horizontal first, rounded to 8 bits in between;
// weights in fixed point with 22 fractional bits; when shrinking, the kernel widens by the scale.
#include "image-kernel.h"
#include "image-steps.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace incubation::image {

namespace {

struct Taps {
  std::vector<Tap> list;
  std::vector<int32_t> weights;
};

// Keys' cubic convolution kernel with a = -0.5.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

struct Filter {
  double first, limit, offset, scale, stretch, support;

  explicit Filter(const Span& span)
    : first(std::floor(span.start)),
      limit(std::ceil(span.start + span.length) - first),
      offset(span.start - first),
      scale(span.length / span.size),
      stretch(std::max(scale, 1.0)),
      support(2 * stretch) {}

  double centre(int i) const {
    return offset + (i + 0.5) * scale;
  }

  // From the first pixel on: from, to.
  std::pair<int64_t, int64_t> reach(int i) const {
    const auto from = std::max<int64_t>(centre(i) - support + 0.5, 0);
    const auto to = std::min<int64_t>(centre(i) + support + 0.5, limit);
    return {from, to};
  }
};

Taps taps_of(const Span& span) {
  const Filter filter(span);
  const auto size = static_cast<size_t>(std::ceil(filter.support)) * 2 + 1;
  const int count = span.end - span.begin;
  Taps taps;
  taps.list.reserve(count);
  taps.weights.resize(count * size);
  std::vector<double> exact(size);
  for (int i = 0; i < count; i++) {
    const double centre = filter.centre(span.begin + i);
    const auto [from, to] = filter.reach(span.begin + i);
    double total = 0;
    for (int64_t x = from; x < to; x++) total += exact[x - from] = cubic((x - centre + 0.5) * (1 / filter.stretch));
    int32_t* const weights = taps.weights.data() + i * size;
    for (int64_t k = 0; k < to - from; k++) {
      const double fixed = exact[k] / total * (1 << PRECISION);
      weights[k] = static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    taps.list.push_back({static_cast<int64_t>(filter.first) + from, static_cast<int>(to - from), weights});
  }
  return taps;
}

bool changes_nothing(const Span& span) {
  return span.length == span.size && span.start == std::floor(span.start);
}

int rows_at_once(int channels) {
  return channels == 3 ? LANES / 4 : LANES;
}

uint8_t clipped(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> PRECISION, 0, 255));
}

INCUBATION_KERNEL void resample_columns(const uint8_t* lines, const Tap* taps, int count, uint8_t* out) {
  for (int i = 0; i < count; i++, out += LANES) {
    const Tap tap = taps[i];
    const uint8_t* from = lines + tap.start * LANES;
    int32_t sums[LANES];
    for (int32_t& sum : sums) sum = HALF;
    for (int k = 0; k < tap.count; k++, from += LANES) {
      for (int lane = 0; lane < LANES; lane++) sums[lane] += from[lane] * tap.weights[k];
    }
    for (int lane = 0; lane < LANES; lane++) out[lane] = clipped(sums[lane]);
  }
}

INCUBATION_KERNEL void resample_row(const uint8_t* in, size_t stride, size_t length, const Tap& tap, uint8_t* out) {
  for (size_t x = 0; x < length; x++) {
    const uint8_t* from = in + tap.start * stride + x;
    int32_t sum = HALF;
    for (int k = 0; k < tap.count; k++) sum += from[k * stride] * tap.weights[k];
    out[x] = clipped(sum);
  }
}

void write_lines(const uint8_t* const* rows, int64_t columns, int channels, uint8_t* lines) {
  if (channels == 1) {
    for (int r = 0; r < LANES; r++) {
      const uint8_t* row = rows[r];
      for (int64_t x = 0; x < columns; x++) lines[x * LANES + r] = row[x];
    }
    return;
  }
  static_assert(LANES == 16);
  const uint8_t *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
  const auto write = [&](size_t bytes) {
    std::memcpy(lines, a, bytes);
    std::memcpy(lines + 4, b, bytes);
    std::memcpy(lines + 8, c, bytes);
    std::memcpy(lines + 12, d, bytes);
  };
  // With the byte behind each pixel, which the last one lacks.
  for (int64_t x = 1; x < columns; x++, a += 3, b += 3, c += 3, d += 3, lines += LANES) write(4);
  write(3);
}

// Of RGB, one byte more than the rows have.
void read_lines(const uint8_t* lines, int columns, int channels, int count, uint8_t* to, size_t stride) {
  for (int r = 0; r < count; r++, to += stride) {
    const uint8_t* from = lines + (channels == 3 ? 4 * r : r);
    if (channels == 1) {
      for (int x = 0; x < columns; x++) to[x] = from[x * LANES];
    } else {
      for (int x = 0; x < columns; x++) std::memcpy(to + 3 * x, from + x * LANES, 4);
    }
  }
}

// Rows of pixels, `stride` bytes from one to the next.
struct Rows {
  std::unique_ptr<uint8_t[]> owned;
  const uint8_t* data;
  size_t stride;
};

// The rows from `top` to `bottom`, at the new width.
Rows resized_across(const Pixels& pixels, const Span& span, int64_t top, int64_t bottom) {
  const int channels = pixels.channels;
  const size_t stride = size_t(pixels.width) * channels;
  const uint8_t* const data = pixels.data.data() + top * stride;
  if (changes_nothing(span)) return {nullptr, data + (static_cast<int64_t>(span.start) + span.begin) * channels, stride};

  Taps taps = taps_of(span);
  const auto [left, right] = read_by(span);
  for (Tap& tap : taps.list) tap.start -= left;
  const int columns = span.end - span.begin;
  const size_t new_stride = size_t(columns) * channels + 1;
  std::unique_ptr<uint8_t[]> out(new uint8_t[(bottom - top) * new_stride]);
  std::vector<uint8_t> lines((right - left) * LANES), new_lines(size_t(columns) * LANES);
  const int at_once = rows_at_once(channels);
  for (int64_t y = top; y < bottom; y += at_once) {
    const int count = static_cast<int>(std::min<int64_t>(at_once, bottom - y));
    const uint8_t* rows[LANES];
    for (int r = 0; r < at_once; r++) rows[r] = data + (y - top + std::min(r, count - 1)) * stride + left * channels;
    write_lines(rows, right - left, channels, lines.data());
    INCUBATION_FASTEST(resample_columns)(lines.data(), taps.list.data(), columns, new_lines.data());
    read_lines(new_lines.data(), columns, channels, count, out.get() + (y - top) * new_stride, new_stride);
  }
  const uint8_t* const start = out.get();
  return {std::move(out), start, new_stride};
}

}  // namespace

std::pair<int64_t, int64_t> read_by(const Span& span) {
  const Filter filter(span);
  const auto first = static_cast<int64_t>(filter.first);
  if (changes_nothing(span)) return {first + span.begin, first + span.end};
  return {first + filter.reach(span.begin).first, first + filter.reach(span.end - 1).second};
}

Pixels resize(const Pixels& pixels, const Span& across, const Span& down) {
  const auto [top, bottom] = read_by(down);
  check_size(across.end - across.begin, std::max<int64_t>(bottom - top, down.end - down.begin), pixels.channels);
  const Rows rows = resized_across(pixels, across, top, bottom);
  Pixels out = make_pixels(across.end - across.begin, down.end - down.begin, pixels.channels);
  const size_t length = size_t(out.width) * out.channels;
  if (changes_nothing(down)) {
    for (int y = 0; y < out.height; y++) std::memcpy(out.data.data() + y * length, rows.data + y * rows.stride, length);
    return out;
  }
  Taps taps = taps_of(down);
  for (int y = 0; y < out.height; y++) {
    taps.list[y].start -= top;
    INCUBATION_FASTEST(resample_row)(rows.data, rows.stride, length, taps.list[y], out.data.data() + y * length);
  }
  return out;
}

}  // namespace incubation::image
