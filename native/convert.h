// JavaScript values to and from the boxed values of c10, as an operator's schema asks.
#pragma once

#include "slots.h"

#include <ATen/core/function_schema.h>
#include <string>

namespace incubation {

c10::IValue to_ivalue(napi_env env, Environment& state, napi_value value, const c10::TypePtr& type);
napi_value to_js(napi_env env, Environment& state, const c10::IValue& value);

std::string to_string(napi_env env, napi_value value);
double to_double(napi_env env, napi_value value);
int64_t to_int(napi_env env, napi_value value);
uint32_t to_handle(napi_env env, napi_value value);
bool to_bool(napi_env env, napi_value value);
bool is_absent(napi_env env, napi_value value);
std::vector<int64_t> to_ints(napi_env env, napi_value value);
std::vector<at::Tensor> to_tensors(napi_env env, const Environment& state, napi_value value);

napi_value js_number(napi_env env, double value);
napi_value js_string(napi_env env, const std::string& value);
napi_value js_bool(napi_env env, bool value);
napi_value js_null(napi_env env);

}  // namespace incubation
