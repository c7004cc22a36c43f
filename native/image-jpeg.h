// JPEG files to pixels, byte for byte as Pillow's `Image.open(file).convert('RGB')`; by libjpeg-turbo, where
// the machine had it when the addon was compiled.
#pragma once

#include "image-program.h"

namespace incubation::image {

struct Bytes {
  const uint8_t* data;
  size_t length;
};

// `libjpeg-turbo 2.1.5`, or nothing.
const char* jpeg_decoder();

// Whether the bytes are a JPEG and there is a decoder for them.
bool is_jpeg(Bytes bytes);

struct JpegHeader {
  int width, height;
  // EXIF's, 1 to 8; 1 where there is none.
  int orientation;
};

// Throws std::runtime_error as `decode_jpeg`.
JpegHeader jpeg_header(Bytes bytes);

// RGB. Of a region, only what it needs: whole columns and rows around it are left out (Pixels::part says which),
// and where the result is to be smaller than the region by two, four or eight, so are the pixels.
// Throws std::runtime_error for data that is damaged, truncated (also behind the region), or no photograph.
Pixels decode_jpeg(Bytes bytes, const std::optional<Region>& region);

}  // namespace incubation::image
