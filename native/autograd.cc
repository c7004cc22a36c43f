// Autograd's engine and modes, which the dispatcher does not reach.
#include "call.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace incubation {

namespace {

// backward(handles of losses, handles of their gradients or []): adds to the leaves' gradients
napi_value backward(const Call& c) {
  torch::autograd::backward(to_tensors(c.env, c.state, c.arg(0)), to_tensors(c.env, c.state, c.arg(1)));
  return undefined(c.env);
}

napi_value requires_grad(const Call& c) {
  return js_bool(c.env, c.state.tensor(to_handle(c.env, c.arg(0))).requires_grad());
}

napi_value set_requires_grad(const Call& c) {
  c.state.tensor(to_handle(c.env, c.arg(0))).set_requires_grad(to_bool(c.env, c.arg(1)));
  return undefined(c.env);
}

napi_value grad(const Call& c) {
  const at::Tensor& gradient = c.state.tensor(to_handle(c.env, c.arg(0))).grad();
  return gradient.defined() ? js_number(c.env, c.state.put(gradient)) : js_null(c.env);
}

// clear_grads(handles): gradients are dropped, not zeroed
napi_value clear_grads(const Call& c) {
  for (const at::Tensor& tensor : to_tensors(c.env, c.state, c.arg(0))) tensor.mutable_grad().reset();
  return undefined(c.env);
}

// set_grad_mode(enabled) -> what it was
napi_value set_grad_mode(const Call& c) {
  const bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(to_bool(c.env, c.arg(0)));
  return js_bool(c.env, before);
}

// begin_autocast(device type, dtype) -> [was enabled, dtype before], for end_autocast(device type, enabled, dtype),
// which also drops the cast weights kept meanwhile
napi_value begin_autocast(const Call& c) {
  const auto type = c10::Device(to_string(c.env, c.arg(0))).type();
  const int64_t before[] = {
      at::autocast::is_autocast_enabled(type), static_cast<int64_t>(at::autocast::get_autocast_dtype(type))};
  at::autocast::set_autocast_enabled(type, true);
  at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(to_int(c.env, c.arg(1))));
  at::autocast::increment_nesting();
  return js_ints(c.env, before);
}

napi_value end_autocast(const Call& c) {
  const auto type = c10::Device(to_string(c.env, c.arg(0))).type();
  at::autocast::set_autocast_enabled(type, to_int(c.env, c.arg(1)) != 0);
  at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(to_int(c.env, c.arg(2))));
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  return undefined(c.env);
}

}  // namespace

void expose_autograd(napi_env env, napi_value exports, Environment* state) {
  expose<backward>(env, exports, state, "backward");
  expose<requires_grad>(env, exports, state, "requiresGrad");
  expose<set_requires_grad>(env, exports, state, "setRequiresGrad");
  expose<grad>(env, exports, state, "grad");
  expose<clear_grads>(env, exports, state, "clearGrads");
  expose<set_grad_mode>(env, exports, state, "setGradMode");
  expose<begin_autocast>(env, exports, state, "beginAutocast");
  expose<end_autocast>(env, exports, state, "endAutocast");
}

}  // namespace incubation
