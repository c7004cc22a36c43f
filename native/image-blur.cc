// Gaussian blur, in place, as Pillow approximates it: three box blurs along each axis (BoxBlur.c).
#include "image-kernel.h"
#include "image-steps.h"

#include <cmath>
#include <cstring>

namespace incubation::image {

namespace {

constexpr int PASSES = 3;

// The radius of the box whose PASSES-fold blur has the standard deviation `sigma` (Gwosdek et al. 2011). Its fraction weighs
// the two pixels at the ends.
float box_radius(float sigma) {
  const float variance = sigma * sigma / PASSES;
  const float length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const float whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float rest = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  rest /= 6 * (variance - (whole + 1) * (whole + 1));
  return whole + rest;
}

// Weights in 24 bits of fixed point.
struct Weights {
  int radius;
  uint32_t inner, ends;
};

Weights weights_of(float radius) {
  constexpr uint32_t one = 1 << 24;
  const int whole = static_cast<int>(radius);
  const auto inner = static_cast<uint32_t>(one / (radius * 2 + 1));
  return {whole, inner, (one - (whole * 2 + 1) * inner) / 2};
}

INCUBATION_KERNEL void move_window(uint32_t* sums, const uint8_t* out_of, const uint8_t* into, size_t count) {
  for (size_t i = 0; i < count; i++) sums[i] += into[i] - out_of[i];
}

INCUBATION_KERNEL void weigh(
  const uint32_t* sums, const uint8_t* before, const uint8_t* behind, size_t count, uint32_t inner, uint32_t ends, uint8_t* out
) {
  for (size_t i = 0; i < count; i++) {
    out[i] = static_cast<uint8_t>((sums[i] * inner + (before[i] + behind[i]) * ends + (1 << 23)) >> 24);
  }
}

// Along an axis of `length` places, each of `count` bytes next to each other. The pixel at the edge goes on beyond it.
void blur_axis(const uint8_t* in, int length, size_t count, const Weights& weights, uint32_t* sums, uint8_t* out) {
  const int radius = weights.radius;
  const auto at = [&](int place) { return in + size_t(std::clamp(place, 0, length - 1)) * count; };
  for (size_t i = 0; i < count; i++) {
    sums[i] = 0;
    for (int place = -radius; place <= radius; place++) sums[i] += at(place)[i];
  }
  for (int place = 0; place < length; place++) {
    if (place > 0) move_window(sums, at(place - radius - 1), at(place + radius), count);
    weigh(sums, at(place - radius - 1), at(place + radius + 1), count, weights.inner, weights.ends, out + place * count);
  }
}

}  // namespace

void gaussian_blur(Pixels& pixels, float sigma) {
  const float radius = box_radius(sigma);
  if (radius == 0) return;
  const Weights weights = weights_of(radius);
  const size_t channels = pixels.channels, row = pixels.width * channels;
  std::vector<uint8_t> other(pixels.data.size());
  std::vector<uint32_t> sums(row);
  for (int pass = 0; pass < PASSES; pass++) {
    for (size_t at = 0; at < other.size(); at += row) {
      blur_axis(pixels.data.data() + at, pixels.width, channels, weights, sums.data(), other.data() + at);
    }
    std::swap(pixels.data, other);
  }
  for (int pass = 0; pass < PASSES; pass++) {
    blur_axis(pixels.data.data(), pixels.height, row, weights, sums.data(), other.data());
    std::swap(pixels.data, other);
  }
}

}  // namespace incubation::image
