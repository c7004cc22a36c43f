// The inner loops over pixels. What compilers vectorise well is marked INCUBATION_KERNEL: compiled without fused
// multiply-adds (which would round otherwise than Pillow), and on x86-64 a second time for AVX2. What they do not
// is written by hand for AVX2 in image-avx2.cc, beside the plain loop for other processors.
#pragma once

#include "image-program.h"

#if defined(__GNUC__) && !defined(__clang__)
#define INCUBATION_OPTIMIZE optimize("O3", "fp-contract=off")
#else
#define INCUBATION_OPTIMIZE
#endif

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(INCUBATION_PLAIN)
#define INCUBATION_AVX2
#define INCUBATION_KERNEL __attribute__((target_clones("avx2", "default"), INCUBATION_OPTIMIZE))
// The function of that name in namespace avx2 where the processor has it.
#define INCUBATION_FASTEST(function) (avx2::is_there() ? avx2::function : function)
#else
#define INCUBATION_KERNEL __attribute__((INCUBATION_OPTIMIZE))
#define INCUBATION_FASTEST(function) (function)
#endif

namespace incubation::image {

// What an output pixel of a resize is made of: `count` input pixels from `start`, weights in fixed point.
struct Tap {
  int64_t start;
  int count;
  const int32_t* weights;
};

constexpr int PRECISION = 22;
constexpr int32_t HALF = 1 << (PRECISION - 1);

// Rows are resized together, LANES bytes a column: of four rows of RGB, each with a byte unused, or of 16 of grey.
constexpr int LANES = 16;

// A pixel of an affine transform is interpolated between AROUND x AROUND, of which the left upper one is at
// `columns[left]`, `rows[top]` of `data`; `dx` and `dy` are the share of the next pixel but one to that.
constexpr int AROUND = 4;

struct Source {
  const uint8_t* data;  // and a byte behind the last pixel
  const int64_t* columns;
  const int64_t* rows;
};

struct Origins {
  const int* left;
  const int* top;
  const double* dx;
  const double* dy;
};

#ifdef INCUBATION_AVX2
namespace avx2 {

inline bool is_there() {
  static const bool is_there = __builtin_cpu_supports("avx2");
  return is_there;
}

void resample_columns(const uint8_t* lines, const Tap* taps, int count, uint8_t* out);
void resample_row(const uint8_t* in, size_t stride, size_t length, const Tap& tap, uint8_t* out);
void affine_rgb(const Source& source, const Origins& origins, int count, uint8_t* out);
void affine_grey(const Source& source, const Origins& origins, int count, uint8_t* out);
void blend(const uint8_t* degenerate, uint8_t* values, size_t count, float factor);
// `row` has a byte behind the last pixel.
void mirror_rgb(const uint8_t* row, size_t pixels, uint8_t* out);

}  // namespace avx2
#endif

}  // namespace incubation::image
