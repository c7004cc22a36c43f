// The same as the plain loops of the same names, by hand for AVX2.
#include "image-kernel.h"

#ifdef INCUBATION_AVX2

#include <cmath>
#include <cstring>
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) inline

namespace incubation::image::avx2 {

namespace {

AVX2_INLINE __m128i load(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

AVX2_INLINE __m256i widened(const uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}

AVX2_INLINE int32_t word(const uint8_t* from) {
  int32_t word;
  std::memcpy(&word, from, 4);
  return word;
}

AVX2_INLINE __m256i with_weighted(__m256i sum, const uint8_t* from, __m256i weight) {
  return _mm256_add_epi32(sum, _mm256_mullo_epi32(widened(from), weight));
}

AVX2_INLINE __m256i packed(__m256i a, __m256i b) {
  return _mm256_packs_epi32(_mm256_srai_epi32(a, PRECISION), _mm256_srai_epi32(b, PRECISION));
}

constexpr size_t WIDE = 32;

AVX2_INLINE void resample_wide(const uint8_t* in, size_t stride, const Tap& tap, uint8_t* out) {
  __m256i a = _mm256_set1_epi32(HALF), b = a, c = a, d = a;
  for (int k = 0; k < tap.count; k++, in += stride) {
    const __m256i weight = _mm256_set1_epi32(tap.weights[k]);
    a = with_weighted(a, in, weight);
    b = with_weighted(b, in + 8, weight);
    c = with_weighted(c, in + 16, weight);
    d = with_weighted(d, in + 24, weight);
  }
  // Packing goes by halves of 128 bits.
  const __m256i bytes = _mm256_packus_epi16(packed(a, b), packed(c, d));
  const __m256i ordered = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), ordered);
}

// The four lowest bytes, each plus BIAS: with what makes the double 2^52 before them, integers need no conversion.
constexpr double BIAS = 0x1p52;

AVX2_INLINE __m256d biased(__m128i bytes) {
  const __m256d bias = _mm256_set1_pd(BIAS);
  return _mm256_or_pd(_mm256_castsi256_pd(_mm256_cvtepu8_epi64(bytes)), bias);
}

AVX2_INLINE __m256d polynomial(__m256d p1, __m256d p2, __m256d p3, __m256d p4, __m256d t) {
  const __m256d inner = _mm256_add_pd(p3, _mm256_mul_pd(t, p4));
  return _mm256_add_pd(p1, _mm256_mul_pd(t, _mm256_add_pd(p2, _mm256_mul_pd(t, inner))));
}

// Pillow's cubic between b and c.
AVX2_INLINE __m256d cubic(__m256d a, __m256d b, __m256d c, __m256d d, __m256d t) {
  const __m256d a_b = _mm256_sub_pd(a, b);
  const __m256d p3 = _mm256_sub_pd(_mm256_add_pd(_mm256_add_pd(a_b, a_b), c), d);
  const __m256d p4 = _mm256_add_pd(_mm256_sub_pd(_mm256_sub_pd(b, a), c), d);
  return polynomial(b, _mm256_sub_pd(c, a), p3, p4, t);
}

// The same of biased integers, whose sums are exact in any order.
AVX2_INLINE __m256d cubic_of_biased(__m256d a, __m256d b, __m256d c, __m256d d, __m256d t) {
  const __m256d a_b = _mm256_sub_pd(a, b);
  const __m256d p4 = _mm256_sub_pd(_mm256_sub_pd(d, c), a_b);
  const __m256d p3 = _mm256_sub_pd(a_b, p4);
  return polynomial(_mm256_sub_pd(b, _mm256_set1_pd(BIAS)), _mm256_sub_pd(c, a), p3, p4, t);
}

// The cubic of four pixels' channels.
AVX2_INLINE __m256d line(const uint8_t* row, const int64_t* columns, __m256d t) {
  const auto at = [&](int k) AVX2 { return biased(_mm_cvtsi32_si128(word(row + columns[k]))); };
  return cubic_of_biased(at(0), at(1), at(2), at(3), t);
}

// The cubics of four rows of grey.
AVX2_INLINE __m256d lines_of_rows(const uint8_t* data, const int64_t* columns, const int64_t* rows, double t) {
  const bool is_inside = columns[AROUND - 1] - columns[0] == AROUND - 1;
  const auto row = [&](int r) AVX2 {
    const uint8_t* row = data + rows[r];
    if (is_inside) return word(row + columns[0]);
    const uint8_t bytes[AROUND] = {row[columns[0]], row[columns[1]], row[columns[2]], row[columns[3]]};
    return word(bytes);
  };
  const __m128i by_columns = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m128i block = _mm_shuffle_epi8(_mm_setr_epi32(row(0), row(1), row(2), row(3)), by_columns);
  return cubic_of_biased(
    biased(block), biased(_mm_srli_si128(block, 4)), biased(_mm_srli_si128(block, 8)), biased(_mm_srli_si128(block, 12)),
    _mm256_set1_pd(t)
  );
}

// Truncated, then clamped by packing: it is never far outside.
AVX2_INLINE int32_t truncated(__m256d values) {
  const __m128i shorts = _mm_packs_epi32(_mm256_cvttpd_epi32(values), _mm_setzero_si128());
  return _mm_cvtsi128_si32(_mm_packus_epi16(shorts, shorts));
}

AVX2_INLINE __m256i mixed(__m128i degenerate, __m128i difference, __m256 factor) {
  const __m256 base = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(degenerate));
  const __m256 more = _mm256_mul_ps(factor, _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(difference)));
  const __m256 sum = _mm256_add_ps(base, more);
  return _mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(sum, _mm256_setzero_ps()), _mm256_set1_ps(255)));
}

}  // namespace

AVX2 void resample_columns(const uint8_t* lines, const Tap* taps, int count, uint8_t* out) {
  for (int i = 0; i < count; i++, out += LANES) {
    const Tap tap = taps[i];
    const uint8_t* from = lines + tap.start * LANES;
    __m256i a = _mm256_set1_epi32(HALF), b = a;
    for (int k = 0; k < tap.count; k++, from += LANES) {
      const __m256i weight = _mm256_set1_epi32(tap.weights[k]);
      a = with_weighted(a, from, weight);
      b = with_weighted(b, from + 8, weight);
    }
    const __m256i shorts = packed(a, b);
    const __m256i bytes = _mm256_packus_epi16(shorts, shorts);
    const __m128i ordered = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), ordered);
  }
}

AVX2 void resample_row(const uint8_t* in, size_t stride, size_t length, const Tap& tap, uint8_t* out) {
  in += tap.start * stride;
  size_t x = 0;
  for (; x + WIDE <= length; x += WIDE) resample_wide(in + x, stride, tap, out + x);
  if (x == length) return;
  if (length >= WIDE) return resample_wide(in + length - WIDE, stride, tap, out + length - WIDE);
  uint8_t row[WIDE];
  for (; x < length; x++) {
    int32_t sum = HALF;
    for (int k = 0; k < tap.count; k++) sum += in[k * stride + x] * tap.weights[k];
    sum >>= PRECISION;
    row[x] = sum < 0 ? 0 : sum > 255 ? 255 : sum;
  }
  std::memcpy(out, row, length);
}

// In two loops, so that the processor can work at more pixels at a time.
AVX2 void affine_rgb(const Source& source, const Origins& origins, int count, uint8_t* out) {
  constexpr int AT_ONCE = 32;
  __m256d lines[AT_ONCE][AROUND];
  for (int done = 0; done < count; done += AT_ONCE) {
    const int now = count - done < AT_ONCE ? count - done : AT_ONCE;
    for (int i = 0; i < now; i++) {
      const int64_t* columns = source.columns + origins.left[done + i];
      const int64_t* rows = source.rows + origins.top[done + i];
      const __m256d dx = _mm256_set1_pd(origins.dx[done + i]);
      for (int r = 0; r < AROUND; r++) lines[i][r] = line(source.data + rows[r], columns, dx);
    }
    for (int i = 0; i < now; i++, out += 3) {
      const auto& [a, b, c, d] = lines[i];
      const int32_t pixel = truncated(cubic(a, b, c, d, _mm256_set1_pd(origins.dy[done + i])));
      std::memcpy(out, &pixel, 3);
    }
  }
}

// Four pixels at once.
AVX2 void affine_grey(const Source& source, const Origins& origins, int count, uint8_t* out) {
  for (int i = 0; i < count; i += 4) {
    __m256d lines[4];
    double dy[4];
    for (int k = 0; k < 4; k++) {
      const int at = i + k < count ? i + k : count - 1;
      lines[k] = lines_of_rows(source.data, source.columns + origins.left[at], source.rows + origins.top[at], origins.dx[at]);
      dy[k] = origins.dy[at];
    }
    const __m256d a = _mm256_unpacklo_pd(lines[0], lines[1]), b = _mm256_unpackhi_pd(lines[0], lines[1]);
    const __m256d c = _mm256_unpacklo_pd(lines[2], lines[3]), d = _mm256_unpackhi_pd(lines[2], lines[3]);
    const __m256d value = cubic(
      _mm256_permute2f128_pd(a, c, 0x20), _mm256_permute2f128_pd(b, d, 0x20), _mm256_permute2f128_pd(a, c, 0x31),
      _mm256_permute2f128_pd(b, d, 0x31), _mm256_loadu_pd(dy)
    );
    const int32_t pixels = truncated(value);
    std::memcpy(out + i, &pixels, count - i < 4 ? count - i : 4);
  }
}

AVX2 void blend(const uint8_t* degenerate, uint8_t* values, size_t count, float factor) {
  const __m256 factors = _mm256_set1_ps(factor);
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256i base = _mm256_cvtepu8_epi16(load(degenerate + i));
    const __m256i difference = _mm256_sub_epi16(_mm256_cvtepu8_epi16(load(values + i)), base);
    const __m256i low = mixed(_mm256_castsi256_si128(base), _mm256_castsi256_si128(difference), factors);
    const __m256i high = mixed(_mm256_extracti128_si256(base, 1), _mm256_extracti128_si256(difference, 1), factors);
    const __m256i shorts = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), _MM_SHUFFLE(3, 1, 2, 0));
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(shorts), _mm256_extracti128_si256(shorts, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + i), bytes);
  }
  for (; i < count; i++) {
    const float mixed = static_cast<float>(degenerate[i]) + factor * static_cast<float>(values[i] - degenerate[i]);
    values[i] = mixed <= 0 ? 0 : mixed >= 255 ? 255 : static_cast<uint8_t>(mixed);
  }
}

AVX2 void mirror_rgb(const uint8_t* row, size_t pixels, uint8_t* out) {
  constexpr size_t AT_ONCE = 5;
  const __m128i mirrored = _mm_setr_epi8(12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2, -1);
  size_t x = 0;
  // With a byte more than the five pixels.
  for (; x + AT_ONCE < pixels; x += AT_ONCE) {
    const size_t from = pixels - x - AT_ONCE;
    const __m128i five = _mm_shuffle_epi8(load(row + 3 * from), mirrored);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * x), five);
  }
  for (; x < pixels; x++) std::memcpy(out + 3 * x, row + 3 * (pixels - 1 - x), 3);
}

}  // namespace incubation::image::avx2

#endif
