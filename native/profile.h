// What runs between two moments in this thread, operator by operator.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace incubation {

struct OperatorTime {
  int64_t count = 0;
  // Inclusive: of the operators it calls too. On other devices than the CPU, of the launch alone.
  double milliseconds = 0;
};

void start_profile();
std::map<std::string, OperatorTime> stop_profile();

}  // namespace incubation
