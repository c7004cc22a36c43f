#include "profile.h"

#include <ATen/record_function.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <chrono>
#include <mutex>

namespace incubation {

namespace {

using Clock = std::chrono::steady_clock;

// Lies where autograd's own threads find it too, which run the backward pass of other devices.
const auto kind = c10::DebugInfoKind::TEST_INFO;

struct Tally : c10::DebugInfoBase {
  std::mutex mutex;
  std::map<std::string, OperatorTime> operators;
  at::CallbackHandle callback = 0;
};

struct Started : at::ObserverContext {
  Clock::time_point at = Clock::now();
};

std::unique_ptr<at::ObserverContext> started(const at::RecordFunction&) {
  return std::make_unique<Started>();
}

void ended(const at::RecordFunction& function, at::ObserverContext* context) {
  auto* tally = static_cast<Tally*>(c10::ThreadLocalDebugInfo::get(kind));
  if (tally == nullptr) return;
  const std::chrono::duration<double, std::milli> took = Clock::now() - static_cast<Started*>(context)->at;
  const std::lock_guard<std::mutex> lock(tally->mutex);
  OperatorTime& total = tally->operators[function.name()];
  total.count += 1;
  total.milliseconds += took.count();
}

}  // namespace

void start_profile() {
  TORCH_CHECK(c10::ThreadLocalDebugInfo::get(kind) == nullptr, "a profile is being taken already");
  auto tally = std::make_shared<Tally>();
  tally->callback = at::addThreadLocalCallback(
      at::RecordFunctionCallback(started, ended).scopes({at::RecordScope::FUNCTION}));
  c10::ThreadLocalDebugInfo::_push(kind, tally);
}

std::map<std::string, OperatorTime> stop_profile() {
  const auto info = c10::ThreadLocalDebugInfo::_pop(kind);
  auto* tally = static_cast<Tally*>(info.get());
  at::removeCallback(tally->callback);
  return std::move(tally->operators);
}

}  // namespace incubation
