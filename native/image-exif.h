// EXIF's orientation of an image.
#pragma once

#include "image-jpeg.h"

namespace incubation::image {

// 1 to 8; 1 where a TIFF header and its first directory (EXIF 2.32, 4.5) tell none.
inline int exif_orientation(Bytes tiff) {
  const auto byte = [&](size_t at) { return at < tiff.length ? tiff.data[at] : 0u; };
  const bool is_little = byte(0) == 'I';
  const auto number = [&](size_t at, size_t size) {
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++) value = value << 8 | byte(is_little ? at + size - 1 - i : at + i);
    return value;
  };
  const bool is_tiff = tiff.length >= 8 && (byte(0) == 'I' || byte(0) == 'M') && byte(1) == byte(0) && number(2, 2) == 42;
  if (!is_tiff) return 1;
  constexpr uint32_t ORIENTATION = 0x112, SHORT = 3, LONG = 4;
  const size_t directory = number(4, 4);
  const size_t count = number(directory, 2);
  for (size_t i = 0; i < count; i++) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.length) break;
    if (number(entry, 2) != ORIENTATION) continue;
    const uint32_t type = number(entry + 2, 2);
    const uint32_t value = type == SHORT ? number(entry + 8, 2) : type == LONG ? number(entry + 8, 4) : 1;
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

}  // namespace incubation::image
