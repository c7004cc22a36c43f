// The steps of a pixel program, each byte for byte as Pillow does it. Operands are checked in image-program.cc;
// pixels are whole images here, but for `resize`, which can take a part.
#pragma once

#include "image-program.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace incubation::image {

// Throws std::runtime_error where an image of this size is empty or absurd.
void check_size(int64_t width, int64_t height, int channels);

// Zeros.
Pixels make_pixels(int width, int height, int channels);

// Along one axis: `length` pixels from `start` become `size`, of which begin ... end - 1 are wanted.
// Fractions of a pixel come from decoders that shrink.
struct Span {
  double start, length;
  int size, begin, end;
};

// The pixels that `resize` reads along an axis: from, to (exclusive).
std::pair<int64_t, int64_t> read_by(const Span& span);

Pixels resize(const Pixels& pixels, const Span& across, const Span& down);

Pixels crop(const Pixels& pixels, const Box& box);
// Beyond the edge the image is mirrored; the pixel at the edge does not repeat (numpy's pad with mode reflect).
Pixels crop_reflected(const Pixels& pixels, const Box& box);
void flip(Pixels& pixels);
// Upright, by EXIF's orientation: 1 to 8.
Pixels oriented(const Pixels& pixels, int orientation);
Pixels affine(Pixels pixels, const double* matrix, const std::array<uint8_t, 3>& fill);

void autocontrast(Pixels& pixels);
void equalize(Pixels& pixels);
void invert(Pixels& pixels);
void posterize(Pixels& pixels, int bits);
void solarize(Pixels& pixels, double threshold);
void solarize_add(Pixels& pixels, int add, double threshold);
void color(Pixels& pixels, float factor);
void contrast(Pixels& pixels, float factor);
void brightness(Pixels& pixels, float factor);
void sharpness(Pixels& pixels, float factor);
void gaussian_blur(Pixels& pixels, float sigma);

}  // namespace incubation::image
