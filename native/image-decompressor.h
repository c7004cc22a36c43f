// libjpeg-turbo's decompressor over bytes in memory, with its errors as C++ exceptions.
#pragma once

#include "image-jpeg.h"

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <stdexcept>
// After <cstdio>, which it needs.
#include <jerror.h>
#include <jpeglib.h>

namespace incubation::image {

// A progressive file may go over its pixels any number of times; encoders make ten scans.
constexpr int MOST_SCANS = 500;

// libjpeg leaves its own functions by longjmp when it meets an error, so what runs between may own nothing that
// a destructor would free: `attempt` is given lambdas of plain values alone.
class Decompressor {
 public:
  jpeg_decompress_struct info{};

  explicit Decompressor(Bytes bytes) {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = [](j_common_ptr info) { std::longjmp(self(info).back, 1); };
    errors.emit_message = [](j_common_ptr, int) {};
    attempt([&] { jpeg_create_decompress(&info); });
    source.next_input_byte = bytes.data;
    source.bytes_in_buffer = bytes.length;
    source.init_source = source.term_source = [](j_decompress_ptr) {};
    source.fill_input_buffer = [](j_decompress_ptr info) -> boolean { return end_of_data(info); };
    source.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      if (static_cast<size_t>(count) > info->src->bytes_in_buffer) end_of_data(info);
      info->src->next_input_byte += count;
      info->src->bytes_in_buffer -= count;
    };
    source.resync_to_restart = jpeg_resync_to_restart;
    info.src = &source;
    progress.progress_monitor = [](j_common_ptr info) {
      if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > MOST_SCANS) ERREXIT(info, JERR_BAD_PROGRESSION);
    };
    info.progress = &progress;
  }

  ~Decompressor() {
    jpeg_destroy_decompress(&info);
  }

  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  // Throws where libjpeg fails.
  template <typename Step>
  void attempt(Step step) {
    if (!succeeds(step)) throw std::runtime_error(message());
  }

  // The end: there the file may lack its end mark.
  void finish() {
    if (!succeeds([this] { jpeg_finish_decompress(&info); }) && !ended) throw std::runtime_error(message());
  }

  // Whether the scan that is being decoded has an end, after which nothing more is needed.
  bool scan_ends() {
    boolean complete = FALSE;
    attempt([&] { complete = jpeg_input_complete(&info); });
    if (complete || (info.unread_marker != 0 && !is_in_scan(info.unread_marker))) return true;
    const uint8_t* at = source.next_input_byte;
    const uint8_t* const end = at + source.bytes_in_buffer;
    while ((at = static_cast<const uint8_t*>(std::memchr(at, 0xFF, end - at))) && ++at < end) {
      if (!is_in_scan(*at)) return true;
    }
    return false;
  }

 private:
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  std::jmp_buf back{};
  bool ended = false;

  template <typename Step>
  bool succeeds(Step step) {
    if (setjmp(back) != 0) return false;
    step();
    return true;
  }

  // What may follow 0xFF amid a scan's data: a stuffed zero, filling, a restart mark.
  static bool is_in_scan(int byte) {
    return byte == 0x00 || byte == 0xFF || (byte >= 0xD0 && byte <= 0xD7);
  }

  static Decompressor& self(j_common_ptr info) {
    return *static_cast<Decompressor*>(info->client_data);
  }

  static boolean end_of_data(j_decompress_ptr info) {
    self(reinterpret_cast<j_common_ptr>(info)).ended = true;
    ERREXIT(info, JERR_INPUT_EOF);
    return FALSE;
  }

  std::string message() {
    if (ended) return "truncated";
    char text[JMSG_LENGTH_MAX];
    errors.format_message(reinterpret_cast<j_common_ptr>(&info), text);
    return text;
  }
};

}  // namespace incubation::image
