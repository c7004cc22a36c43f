// Colours changed in place, each pixel where it is: Pillow's ImageOps and ImageEnhance.
#include "image-kernel.h"
#include "image-steps.h"

#include <cmath>
#include <cstring>

namespace incubation::image {

namespace {

size_t row_length(const Pixels& pixels) {
  return size_t(pixels.width) * pixels.channels;
}

// Pillow's blend: from `degenerate` at factor 0 to `values` at 1, and beyond on either side.
INCUBATION_KERNEL void blend(const uint8_t* degenerate, uint8_t* values, size_t count, float factor) {
  for (size_t i = 0; i < count; i++) {
    const float mixed = static_cast<float>(degenerate[i]) + factor * static_cast<float>(values[i] - degenerate[i]);
    values[i] = mixed <= 0 ? 0 : mixed >= 255 ? 255 : static_cast<uint8_t>(mixed);
  }
}

void blend_with_one(uint8_t degenerate, Pixels& pixels, float factor) {
  uint8_t many[4096];
  std::memset(many, degenerate, sizeof many);
  for (size_t i = 0; i < pixels.data.size(); i += sizeof many) {
    INCUBATION_FASTEST(blend)(many, pixels.data.data() + i, std::min(sizeof many, pixels.data.size() - i), factor);
  }
}

INCUBATION_KERNEL void invert_from(uint8_t* values, size_t count, uint8_t threshold) {
  for (size_t i = 0; i < count; i++) values[i] = values[i] < threshold ? values[i] : 255 - values[i];
}

INCUBATION_KERNEL void add_below(uint8_t* values, size_t count, int16_t threshold, int16_t add) {
  for (size_t i = 0; i < count; i++) {
    const int16_t value = values[i];
    const int16_t sum = value < threshold ? value + add : value;
    values[i] = static_cast<uint8_t>(std::min<int16_t>(std::max<int16_t>(sum, 0), 255));
  }
}

INCUBATION_KERNEL void mask_with(uint8_t* values, size_t count, uint8_t mask) {
  for (size_t i = 0; i < count; i++) values[i] &= mask;
}

// After this many bytes comes one of the same channel, be it grey or RGB.
constexpr size_t PERIOD = 96;

INCUBATION_KERNEL void find_extremes(const uint8_t* values, size_t count, uint8_t* low, uint8_t* high) {
  for (; count >= PERIOD; count -= PERIOD, values += PERIOD) {
    for (size_t i = 0; i < PERIOD; i++) low[i] = std::min(low[i], values[i]);
    for (size_t i = 0; i < PERIOD; i++) high[i] = std::max(high[i], values[i]);
  }
  for (size_t i = 0; i < count; i++) {
    low[i] = std::min(low[i], values[i]);
    high[i] = std::max(high[i], values[i]);
  }
}

struct Table {
  uint8_t to[256];
};

// A table for each channel.
INCUBATION_KERNEL void look_up(uint8_t* __restrict values, size_t count, size_t channels, const Table* __restrict tables) {
  if (channels == 1) {
    for (size_t i = 0; i < count; i++) values[i] = tables[0].to[values[i]];
    return;
  }
  for (size_t i = 0; i < count; i += 3) {
    values[i] = tables[0].to[values[i]];
    values[i + 1] = tables[1].to[values[i + 1]];
    values[i + 2] = tables[2].to[values[i + 2]];
  }
}

using Histogram = uint32_t[256];

// Counted apart, bytes that follow each other do not wait for one another. As PERIOD, for grey and RGB.
constexpr size_t APART = 12;

INCUBATION_KERNEL void count_each(const uint8_t* values, size_t count, Histogram* counts) {
  for (; count >= APART; count -= APART, values += APART) {
    for (size_t i = 0; i < APART; i++) counts[i][values[i]]++;
  }
  for (size_t i = 0; i < count; i++) counts[i][values[i]]++;
}

// RGB as 32-bit words, whose highest byte is any.
constexpr size_t CHUNK = 1024;

void write_words(const uint8_t* rgb, size_t count, uint32_t* words) {
  for (size_t i = 0; i + 1 < count; i++) std::memcpy(words + i, rgb + 3 * i, 4);
  std::memcpy(words + count - 1, rgb + 3 * (count - 1), 3);
}

// To Pillow's grey, three times in the lower bytes.
INCUBATION_KERNEL void turn_grey(uint32_t* words, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t word = words[i];
    const uint32_t red = word & 255, green = word >> 8 & 255, blue = word >> 16 & 255;
    words[i] = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) * 0x010101;
  }
}

INCUBATION_KERNEL uint64_t sum_of(const uint8_t* values, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i];
  return sum;
}

INCUBATION_KERNEL uint32_t sum_of_lowest(const uint32_t* words, size_t count) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += words[i] & 255;
  return sum;
}

uint64_t sum_of_grey(const Pixels& pixels) {
  if (pixels.channels == 1) return sum_of(pixels.data.data(), pixels.data.size());
  uint32_t words[CHUNK];
  uint64_t sum = 0;
  for (size_t i = 0; i < pixels.data.size(); i += 3 * CHUNK) {
    const size_t count = std::min(CHUNK, (pixels.data.size() - i) / 3);
    write_words(pixels.data.data() + i, count, words);
    turn_grey(words, count);
    sum += sum_of_lowest(words, count);
  }
  return sum;
}

// Of three rows, each channel of the pixels that have neighbours on either side: (their sum + 4 x itself) / 13,
// rounded. It is never halfway, so that floats, as in Pillow, would give the same.
INCUBATION_KERNEL void smooth_row(
  const uint8_t* above, const uint8_t* row, const uint8_t* below, size_t length, size_t channels, uint16_t* columns, uint8_t* out
) {
  for (size_t i = 0; i < length; i++) columns[i] = above[i] + row[i] + below[i];
  for (size_t i = channels; i < length - channels; i++) {
    const uint16_t sum = columns[i - channels] + columns[i] + columns[i + channels] + 4 * row[i];
    out[i] = (2u * sum + 13) * 20165u >> 19;  // / 26
  }
}

Table stretched(int low, int high) {
  Table table;
  const double scale = 255.0 / (high - low);
  const double offset = -low * scale;
  for (int i = 0; i < 256; i++) table.to[i] = static_cast<uint8_t>(std::clamp(static_cast<int>(i * scale + offset), 0, 255));
  return table;
}

Table equalized(const Histogram& histogram, size_t pixels) {
  const auto last = std::find_if(std::rbegin(histogram), std::rend(histogram), [](uint32_t count) { return count > 0; });
  const size_t step = (pixels - *last) / 255;
  Table table;
  size_t sum = step / 2;
  for (int i = 0; i < 256; i++) {
    table.to[i] = static_cast<uint8_t>(step == 0 ? i : std::min<size_t>(sum / step, 255));
    sum += histogram[i];
  }
  return table;
}

}  // namespace

void autocontrast(Pixels& pixels) {
  uint8_t low[PERIOD], high[PERIOD];
  std::memset(low, 255, PERIOD);
  std::memset(high, 0, PERIOD);
  find_extremes(pixels.data.data(), pixels.data.size(), low, high);
  Table tables[3];
  bool changes = false;
  for (int c = 0; c < pixels.channels; c++) {
    int least = 255, most = 0;
    for (size_t i = c; i < PERIOD; i += pixels.channels) {
      least = std::min<int>(least, low[i]);
      most = std::max<int>(most, high[i]);
    }
    const bool is_flat = most <= least;
    tables[c] = is_flat ? stretched(0, 255) : stretched(least, most);
    changes |= !is_flat && (least > 0 || most < 255);
  }
  if (changes) look_up(pixels.data.data(), pixels.data.size(), pixels.channels, tables);
}

void equalize(Pixels& pixels) {
  const int channels = pixels.channels;
  Histogram counts[APART] = {};
  count_each(pixels.data.data(), pixels.data.size(), counts);
  Table tables[3];
  for (int c = 0; c < channels; c++) {
    for (size_t i = c + channels; i < APART; i += channels) {
      for (int value = 0; value < 256; value++) counts[c][value] += counts[i][value];
    }
    tables[c] = equalized(counts[c], pixels.data.size() / channels);
  }
  look_up(pixels.data.data(), pixels.data.size(), channels, tables);
}

void invert(Pixels& pixels) {
  invert_from(pixels.data.data(), pixels.data.size(), 0);
}

void posterize(Pixels& pixels, int bits) {
  mask_with(pixels.data.data(), pixels.data.size(), static_cast<uint8_t>(0xFF00 >> bits));
}

void solarize(Pixels& pixels, double threshold) {
  if (threshold > 255) return;
  invert_from(pixels.data.data(), pixels.data.size(), static_cast<uint8_t>(std::ceil(std::max(threshold, 0.0))));
}

void solarize_add(Pixels& pixels, int add, double threshold) {
  const auto below = static_cast<int16_t>(std::ceil(std::clamp(threshold, 0.0, 256.0)));
  add_below(pixels.data.data(), pixels.data.size(), below, static_cast<int16_t>(std::clamp(add, -255, 255)));
}

void color(Pixels& pixels, float factor) {
  if (pixels.channels == 1) return;
  uint32_t words[CHUNK];
  uint8_t grey[3 * CHUNK + 1];
  for (size_t i = 0; i < pixels.data.size(); i += 3 * CHUNK) {
    const size_t count = std::min(CHUNK, (pixels.data.size() - i) / 3);
    write_words(pixels.data.data() + i, count, words);
    turn_grey(words, count);
    for (size_t k = 0; k < count; k++) std::memcpy(grey + 3 * k, words + k, 4);
    INCUBATION_FASTEST(blend)(grey, pixels.data.data() + i, 3 * count, factor);
  }
}

void contrast(Pixels& pixels, float factor) {
  const size_t count = pixels.data.size() / pixels.channels;
  const double mean = static_cast<double>(sum_of_grey(pixels)) / static_cast<double>(count);
  blend_with_one(static_cast<uint8_t>(mean + 0.5), pixels, factor);
}

void brightness(Pixels& pixels, float factor) {
  blend_with_one(0, pixels, factor);
}

void sharpness(Pixels& pixels, float factor) {
  // Smoothing, the degenerate image, leaves the edge as it is.
  if (pixels.width < 3 || pixels.height < 3) return;
  const size_t length = row_length(pixels), channels = pixels.channels, inner = length - 2 * channels;
  std::vector<uint8_t> above(pixels.data.begin(), pixels.data.begin() + length), row(length), smooth(length);
  std::vector<uint16_t> columns(length);
  for (int y = 1; y < pixels.height - 1; y++) {
    uint8_t* const at = pixels.data.data() + y * length;
    std::memcpy(row.data(), at, length);
    smooth_row(above.data(), row.data(), at + length, length, channels, columns.data(), smooth.data());
    INCUBATION_FASTEST(blend)(smooth.data() + channels, at + channels, inner, factor);
    std::swap(above, row);
  }
}

}  // namespace incubation::image
