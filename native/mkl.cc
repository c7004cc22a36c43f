// MKL asks this function whether the processor is an Intel one, and takes its AVX2 path where it is not, even
// where AVX-512 is there. Exported from here, ahead of libtorch_cpu in the search order, it answers by what the
// processor can do. DEEP_INCUBATION_MKL_AVX512=0 leaves MKL's own answer.
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>

namespace {

bool vendor_is_intel() {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx)) return false;
  char vendor[12];
  std::memcpy(vendor, &ebx, 4);
  std::memcpy(vendor + 4, &edx, 4);
  std::memcpy(vendor + 8, &ecx, 4);
  return std::memcmp(vendor, "GenuineIntel", 12) == 0;
}

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int mkl_serv_intel_cpu_true() {
  static const bool answer = [] {
    const char* wish = std::getenv("DEEP_INCUBATION_MKL_AVX512");
    if (wish != nullptr && std::strcmp(wish, "0") == 0) return vendor_is_intel();
    return vendor_is_intel() || has_avx512();
  }();
  return answer;
}
#endif
