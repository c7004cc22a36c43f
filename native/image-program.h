// What is done to the pixels of one image: a list of steps from src/data/transforms/pixels.ts, executed as Pillow does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace incubation::image {

struct Box {
  int left, top, width, height;
};

// 8-bit pixels, height x width x channels (1 or 3), interleaved. A decoder that was asked for a part leaves out
// the rest: `part` is then where these pixels lie in the whole, of full_width x full_height.
struct Pixels {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> data;
  int full_width = 0, full_height = 0;
  Box part{0, 0, 0, 0};
};

enum class Opcode {
  crop, resize, flip, affine, autocontrast, equalize, invert, posterize, solarize, solarize_add,
  color, contrast, brightness, sharpness, orient, crop_reflected, gaussian_blur,
};

// What the first step reads of the image, where that is not all of it.
struct Region {
  Box box;
  // Of the result, where a decoder may shrink while it decodes (DCT scaling): else 0.
  int width, height;
};

std::optional<Region> region_of(const double* program, size_t length);

// Throws std::runtime_error for a program that is malformed or does not fit the image.
Pixels run(Pixels pixels, const double* program, size_t length);

}  // namespace incubation::image
