#include "image-jpeg.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#ifdef INCUBATION_JPEG

#include "image-decompressor.h"
#include "image-exif.h"

namespace incubation::image {

namespace {

constexpr int64_t MOST_PIXELS = int64_t{1} << 28;

void read_header(Decompressor& jpeg) {
  auto& info = jpeg.info;
  jpeg.attempt([&] { jpeg_read_header(&info, TRUE); });
  const int64_t pixels = int64_t{info.image_width} * info.image_height;
  if (pixels > MOST_PIXELS) {
    throw std::runtime_error(std::to_string(info.image_width) + " x " + std::to_string(info.image_height) + " pixels are too many");
  }
  const int count = info.num_components;
  if (count != 1 && count != 3 && count != 4) throw std::runtime_error(std::to_string(count) + " colour components");
  info.out_color_space = count == 4 ? JCS_CMYK : JCS_RGB;
}

// In how many pixels of the file's one of the result may be decoded.
int shrink_of(const Region& region) {
  const auto fits = [&](int64_t by) { return region.box.width >= by * region.width && region.box.height >= by * region.height; };
  if (region.width <= 0 || region.height <= 0) return 1;
  return fits(8) ? 8 : fits(4) ? 4 : fits(2) ? 2 : 1;
}

struct Window {
  unsigned left, top, right, bottom;
};

// The region in pixels of the decoder's output; where it lies outside the image, a corner of that.
Window window_of(const jpeg_decompress_struct& info, const std::optional<Region>& region, int shrink) {
  if (!region) return {0, 0, info.output_width, info.output_height};
  const auto range = [shrink](int64_t from, int64_t length, int64_t all, int64_t shrunk) {
    const int64_t first = std::min(std::clamp<int64_t>(from, 0, all) / shrink, shrunk - 1);
    const int64_t last = (std::clamp<int64_t>(from + length, 0, all) + shrink - 1) / shrink;
    return std::pair<unsigned, unsigned>(first, std::clamp<int64_t>(last, first + 1, shrunk));
  };
  const Box& box = region->box;
  const auto [left, right] = range(box.left, box.width, info.image_width, info.output_width);
  const auto [top, bottom] = range(box.top, box.height, info.image_height, info.output_height);
  return {left, top, right, bottom};
}

// A progressive file that lacks scans is smoothed over, each block by its neighbours.
bool is_unfinished(const jpeg_decompress_struct& info) {
  if (!info.progressive_mode || info.coef_bits == nullptr) return false;
  const auto is_missing = [](int bits) { return bits != 0; };
  return std::any_of(info.coef_bits[0], info.coef_bits[info.num_components], is_missing);
}

bool has_odd_sampling(const jpeg_decompress_struct& info) {
  const auto is_odd = [&](const jpeg_component_info& component) { return info.max_h_samp_factor % component.h_samp_factor != 0; };
  return std::any_of(info.comp_info, info.comp_info + info.num_components, is_odd);
}

// libjpeg-turbo decodes whole blocks, and at the edges of what it leaves out it interpolates colour as at the
// image's own: so a block more on either side.
void leave_out_columns(Decompressor& jpeg, Window& window) {
  auto& info = jpeg.info;
  const unsigned block = DCTSIZE * info.max_h_samp_factor;
  JDIMENSION left = window.left > block ? window.left - block : 0;
  JDIMENSION width = std::min(window.right + block, info.output_width) - left;
  if (has_odd_sampling(info)) {
    left = 0;
    width = info.output_width;
  }
  if (width < info.output_width) jpeg.attempt([&] { jpeg_crop_scanline(&info, &left, &width); });
  window.left = left;
  window.right = left + width;
}

// As Pillow, which takes every CMYK file for an inverted one, as Adobe writes them.
void rgb_of_cmyk(const uint8_t* from, uint8_t* to, size_t pixels) {
  for (size_t i = 0; i < pixels; i++, from += 4, to += 3) {
    for (int c = 0; c < 3; c++) {
      const unsigned product = (255 - from[c]) * from[3] + 128;
      to[c] = from[3] - ((product + (product >> 8)) >> 8);
    }
  }
}

void read_rows(Decompressor& jpeg, unsigned count, uint8_t* to) {
  auto& info = jpeg.info;
  const size_t row = size_t{info.output_width} * info.output_components;
  constexpr unsigned AT_ONCE = 16;
  std::vector<uint8_t> cmyk(info.output_components == 4 ? row * AT_ONCE : 0);
  for (unsigned done = 0; done < count;) {
    const unsigned wanted = std::min(count - done, AT_ONCE);
    JSAMPROW rows[AT_ONCE];
    for (unsigned i = 0; i < wanted; i++) rows[i] = cmyk.empty() ? to + (done + i) * row : cmyk.data() + i * row;
    unsigned read = 0;
    jpeg.attempt([&] { read = jpeg_read_scanlines(&info, rows, wanted); });
    if (!cmyk.empty()) rgb_of_cmyk(cmyk.data(), to + size_t{done} * info.output_width * 3, size_t{read} * info.output_width);
    done += read;
  }
}

}  // namespace

#define INCUBATION_TEXT_OF(x) #x
#define INCUBATION_TEXT(x) INCUBATION_TEXT_OF(x)

const char* jpeg_decoder() {
  return "libjpeg-turbo " INCUBATION_TEXT(LIBJPEG_TURBO_VERSION);
}

bool is_jpeg(Bytes bytes) {
  return bytes.length >= 3 && std::memcmp(bytes.data, "\xFF\xD8\xFF", 3) == 0;
}

JpegHeader jpeg_header(Bytes bytes) {
  Decompressor jpeg(bytes);
  jpeg.attempt([&] { jpeg_save_markers(&jpeg.info, JPEG_APP0 + 1, 0xFFFF); });
  read_header(jpeg);
  int orientation = 1;
  constexpr size_t MARK = 6;
  for (auto* marker = jpeg.info.marker_list; marker != nullptr && orientation == 1; marker = marker->next) {
    if (marker->data_length < MARK || std::memcmp(marker->data, "Exif\0\0", MARK) != 0) continue;
    orientation = exif_orientation({marker->data + MARK, marker->data_length - MARK});
  }
  return {int(jpeg.info.image_width), int(jpeg.info.image_height), orientation};
}

Pixels decode_jpeg(Bytes bytes, const std::optional<Region>& region) {
  Decompressor jpeg(bytes);
  auto& info = jpeg.info;
  read_header(jpeg);
  const int shrink = region ? shrink_of(*region) : 1;
  info.scale_num = 1;
  info.scale_denom = shrink;
  jpeg.attempt([&] { jpeg_start_decompress(&info); });

  const unsigned height = info.output_height;
  Window window = window_of(info, is_unfinished(info) ? std::nullopt : region, shrink);
  leave_out_columns(jpeg, window);
  if (window.top > 0) jpeg.attempt([&] { jpeg_skip_scanlines(&info, window.top); });

  Pixels pixels;
  pixels.channels = 3;
  pixels.width = window.right - window.left;
  pixels.height = window.bottom - window.top;
  pixels.full_width = info.image_width;
  pixels.full_height = info.image_height;
  pixels.part = {int(window.left) * shrink, int(window.top) * shrink, pixels.width * shrink, pixels.height * shrink};
  pixels.data.resize(size_t(pixels.width) * pixels.height * 3);
  read_rows(jpeg, pixels.height, pixels.data.data());

  const unsigned rest = height - window.bottom;
  if (rest > 0 && jpeg.scan_ends()) return pixels;
  std::vector<uint8_t> unused(size_t{info.output_width} * rest * 3);
  read_rows(jpeg, rest, unused.data());
  jpeg.finish();
  return pixels;
}

}  // namespace incubation::image

#else

namespace incubation::image {

const char* jpeg_decoder() {
  return "";
}

bool is_jpeg(Bytes) {
  return false;
}

JpegHeader jpeg_header(Bytes) {
  throw std::runtime_error("the addon was built without libjpeg-turbo");
}

Pixels decode_jpeg(Bytes, const std::optional<Region>&) {
  throw std::runtime_error("the addon was built without libjpeg-turbo");
}

}  // namespace incubation::image

#endif
