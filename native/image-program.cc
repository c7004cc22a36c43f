#include "image-program.h"

#include "image-steps.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace incubation::image {

namespace {

struct Kind {
  const char* name;
  size_t operands;
};

// In the order of Opcode.
constexpr Kind KINDS[] = {
  {"crop", 4}, {"resize", 7}, {"flip", 0}, {"affine", 9}, {"autocontrast", 0}, {"equalize", 0}, {"invert", 0},
  {"posterize", 1}, {"solarize", 1}, {"solarizeAdd", 2}, {"color", 1}, {"contrast", 1}, {"brightness", 1}, {"sharpness", 1},
  {"orient", 1}, {"cropReflected", 4}, {"gaussianBlur", 1},
};

constexpr int64_t MOST_BYTES = std::numeric_limits<int32_t>::max();
constexpr int64_t MOST_SIDE = 1 << 20;

std::string text_of(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

std::string text_of(const Box& box) {
  const auto text = [](int number) { return std::to_string(number); };
  return text(box.width) + " x " + text(box.height) + " at " + text(box.left) + ", " + text(box.top);
}

// One step of a program.
struct Step {
  Opcode opcode;
  const double* operands;

  const char* name() const {
    return KINDS[static_cast<size_t>(opcode)].name;
  }

  [[noreturn]] void refuse(size_t index) const {
    const std::string operand = "operand " + std::to_string(index) + " is " + text_of(operands[index]);
    throw std::runtime_error(std::string("the pixel program's ") + name() + ": " + operand);
  }

  int whole(size_t index, int least, int most) const {
    const double value = operands[index];
    if (!(value >= least && value <= most) || value != std::floor(value)) refuse(index);
    return static_cast<int>(value);
  }

  int side(size_t index) const {
    return whole(index, 1, MOST_SIDE);
  }

  float factor() const {
    if (std::fabs(operands[0]) > std::numeric_limits<float>::max()) refuse(0);
    return static_cast<float>(operands[0]);
  }

  // Of a blur. The window of a larger one would not fit into 32 bits.
  float sigma() const {
    if (!(operands[0] >= 0 && operands[0] <= 1000)) refuse(0);
    return static_cast<float>(operands[0]);
  }

  // Where a crop or a resize reads.
  Box box() const {
    constexpr int FAR = 1 << 30;
    return {whole(0, -FAR, FAR), whole(1, -FAR, FAR), side(2), side(3)};
  }

  // The size that a resize makes.
  Box result() const {
    return {0, 0, side(4), side(5)};
  }

  // Whether a decoder may shrink before a resize.
  bool is_fast() const {
    return whole(6, 0, 1) == 1;
  }

  std::array<uint8_t, 3> fill() const {
    return {uint8_t(whole(6, 0, 255)), uint8_t(whole(7, 0, 255)), uint8_t(whole(8, 0, 255))};
  }
};

std::vector<Step> steps_of(const double* program, size_t length) {
  std::vector<Step> steps;
  for (size_t i = 0; i < length;) {
    const double opcode = program[i++];
    const bool is_known = opcode >= 0 && opcode < std::size(KINDS) && opcode == std::floor(opcode);
    if (!is_known) throw std::runtime_error("the pixel program has the unknown opcode " + text_of(opcode));
    const Step step{static_cast<Opcode>(opcode), program + i};
    const size_t count = KINDS[static_cast<size_t>(opcode)].operands;
    if (length - i < count) throw std::runtime_error(std::string("the pixel program ends within a ") + step.name());
    for (size_t k = 0; k < count; k++) {
      if (!std::isfinite(step.operands[k])) step.refuse(k);
    }
    steps.push_back(step);
    i += count;
  }
  return steps;
}

bool contains(const Box& outer, const Box& inner) {
  const auto is_within = [](int64_t from, int64_t length, int64_t outer_from, int64_t outer_length) {
    return from >= outer_from && from + length <= outer_from + outer_length;
  };
  return is_within(inner.left, inner.width, outer.left, outer.width) && is_within(inner.top, inner.height, outer.top, outer.height);
}

// What a crop right behind a resize leaves of its result, where nothing else need be computed.
std::optional<Box> kept_of(const std::vector<Step>& steps, size_t resize) {
  if (resize + 1 >= steps.size() || steps[resize + 1].opcode != Opcode::crop) return std::nullopt;
  const Box box = steps[resize + 1].box();
  return contains(steps[resize].result(), box) ? std::optional(box) : std::nullopt;
}

void check_pixels(const Pixels& pixels) {
  check_size(pixels.width, pixels.height, pixels.channels);
  if (pixels.data.size() != size_t(pixels.width) * pixels.height * pixels.channels) {
    throw std::runtime_error("an image's pixels are not as many as its size says");
  }
  check_size(pixels.full_width, pixels.full_height, pixels.channels);
  const Box& part = pixels.part;
  const bool is_within = part.left >= 0 && part.left < pixels.full_width && part.top >= 0 && part.top < pixels.full_height;
  const bool is_shrunk_at_most = part.width >= pixels.width && part.height >= pixels.height;
  if (!is_within || !is_shrunk_at_most) throw std::runtime_error("an image's pixels are no part of it: " + text_of(part));
}

Span span_of(double start, double length, int size, int kept_from, int kept) {
  return {start, length, size, kept_from, kept_from + kept};
}

// One line of a box in pixels of the file, as pixels at hand: a decoder may have shrunk the part.
std::pair<double, double> at_hand(double start, double length, double part, double part_length, int pixels) {
  const double shrink = part_length / pixels;
  return {(start - part) / shrink, length / shrink};
}

Pixels resized(const Pixels& pixels, const Step& step, const Box& window) {
  const Box box = step.box(), result = step.result(), &part = pixels.part;
  if (!contains({0, 0, pixels.full_width, pixels.full_height}, box)) {
    const std::string size = std::to_string(pixels.full_width) + " x " + std::to_string(pixels.full_height);
    throw std::runtime_error("resize of " + text_of(box) + ", outside the image of " + size);
  }
  const auto [left, width] = at_hand(box.left, box.width, part.left, part.width, pixels.width);
  const auto [top, height] = at_hand(box.top, box.height, part.top, part.height, pixels.height);
  const Span across = span_of(left, width, result.width, window.left, window.width);
  const Span down = span_of(top, height, result.height, window.top, window.height);
  const auto [first_column, last_column] = read_by(across);
  const auto [first_row, last_row] = read_by(down);
  if (first_column < 0 || last_column > pixels.width || first_row < 0 || last_row > pixels.height) {
    throw std::runtime_error("resize of " + text_of(box) + " reads more than was decoded, " + text_of(part));
  }
  return resize(pixels, across, down);
}

// What there is of a box may have been decoded alone.
Pixels cropped(const Pixels& pixels, Box box) {
  const Box& part = pixels.part;
  const int64_t left = std::max(box.left, 0), top = std::max(box.top, 0);
  const int64_t right = std::min<int64_t>(int64_t{box.left} + box.width, pixels.full_width);
  const int64_t bottom = std::min<int64_t>(int64_t{box.top} + box.height, pixels.full_height);
  if (left < right && top < bottom) {
    const Box wanted{int(left), int(top), int(right - left), int(bottom - top)};
    if (part.width != pixels.width || part.height != pixels.height || !contains(part, wanted)) {
      throw std::runtime_error("crop of " + text_of(box) + " reads more than was decoded, " + text_of(part));
    }
  }
  box.left -= part.left;
  box.top -= part.top;
  return crop(pixels, box);
}

Pixels done(Pixels pixels, const Step& step) {
  const double* operands = step.operands;
  switch (step.opcode) {
    case Opcode::crop: return cropped(pixels, step.box());
    case Opcode::resize: return resized(pixels, step, step.result());
    case Opcode::flip: flip(pixels); break;
    case Opcode::affine: return affine(std::move(pixels), operands, step.fill());
    case Opcode::autocontrast: autocontrast(pixels); break;
    case Opcode::equalize: equalize(pixels); break;
    case Opcode::invert: invert(pixels); break;
    case Opcode::posterize: posterize(pixels, step.whole(0, 0, 8)); break;
    case Opcode::solarize: solarize(pixels, operands[0]); break;
    case Opcode::solarize_add: solarize_add(pixels, step.whole(0, -255, 255), operands[1]); break;
    case Opcode::color: color(pixels, step.factor()); break;
    case Opcode::contrast: contrast(pixels, step.factor()); break;
    case Opcode::brightness: brightness(pixels, step.factor()); break;
    case Opcode::sharpness: sharpness(pixels, step.factor()); break;
    case Opcode::orient: return oriented(pixels, step.whole(0, 1, 8));
    case Opcode::crop_reflected: return crop_reflected(pixels, step.box());
    case Opcode::gaussian_blur: gaussian_blur(pixels, step.sigma()); break;
  }
  return pixels;
}

bool is_whole(const Pixels& pixels) {
  const Box& part = pixels.part;
  return part.left == 0 && part.top == 0 && part.width == pixels.full_width && part.height == pixels.full_height &&
    pixels.width == part.width && pixels.height == part.height;
}

}  // namespace

void check_size(int64_t width, int64_t height, int channels) {
  const bool is_side = width >= 1 && height >= 1 && width <= MOST_SIDE && height <= MOST_SIDE;
  if (!is_side || width * height * channels > MOST_BYTES) {
    throw std::runtime_error("an image of " + std::to_string(width) + " x " + std::to_string(height) + " pixels");
  }
  if (channels != 1 && channels != 3) throw std::runtime_error("an image of " + std::to_string(channels) + " channels");
}

Pixels make_pixels(int width, int height, int channels) {
  check_size(width, height, channels);
  return {width, height, channels, std::vector<uint8_t>(size_t(width) * height * channels), width, height, {0, 0, width, height}};
}

std::optional<Region> region_of(const double* program, size_t length) {
  const auto steps = steps_of(program, length);
  if (steps.empty()) return std::nullopt;
  const Step& first = steps[0];
  if (first.opcode == Opcode::crop) return Region{first.box(), 0, 0};
  if (first.opcode != Opcode::resize) return std::nullopt;
  const Box box = first.box(), result = first.result();
  if (first.is_fast()) return Region{box, result.width, result.height};
  const Box window = kept_of(steps, 0).value_or(result);
  const auto [left, right] = read_by(span_of(box.left, box.width, result.width, window.left, window.width));
  const auto [top, bottom] = read_by(span_of(box.top, box.height, result.height, window.top, window.height));
  return Region{{int(left), int(top), int(right - left), int(bottom - top)}, 0, 0};
}

Pixels run(Pixels pixels, const double* program, size_t length) {
  const auto steps = steps_of(program, length);
  check_pixels(pixels);
  if (!is_whole(pixels) && (steps.empty() || (steps[0].opcode != Opcode::crop && steps[0].opcode != Opcode::resize))) {
    throw std::runtime_error("a part of an image was decoded, " + text_of(pixels.part) + ", where all of it is needed");
  }
  for (size_t i = 0; i < steps.size(); i++) {
    const auto kept = steps[i].opcode == Opcode::resize ? kept_of(steps, i) : std::nullopt;
    if (kept) {
      pixels = resized(pixels, steps[i++], *kept);
    } else {
      pixels = done(std::move(pixels), steps[i]);
    }
  }
  return pixels;
}

}  // namespace incubation::image
