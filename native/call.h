// What every function of the addon is made of: its arguments, and the one place where C++ exceptions become
// JavaScript errors.
#pragma once

#include "convert.h"

namespace incubation {

struct Call {
  napi_env env;
  Environment& state;
  std::vector<napi_value> args;

  napi_value arg(size_t index) const {
    TORCH_CHECK(index < args.size(), "argument ", index, " is missing");
    return args[index];
  }
};

using Function = napi_value (*)(const Call&);

// Every function of the addon comes through here: C++ exceptions become JavaScript errors, and only here.
template <Function function>
napi_value entry(napi_env env, napi_callback_info info) {
  try {
    size_t count = 8;
    napi_value values[8];
    void* data = nullptr;
    check(env, napi_get_cb_info(env, info, &count, values, nullptr, &data));
    if (count > 8) count = 8;
    return function(Call{env, *static_cast<Environment*>(data), {values, values + count}});
  } catch (const PendingException&) {
  } catch (const c10::Error& error) {
    napi_throw_error(env, nullptr, error.what_without_backtrace());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

inline napi_value undefined(napi_env env) {
  napi_value result;
  check(env, napi_get_undefined(env, &result));
  return result;
}

inline napi_value js_ints(napi_env env, c10::IntArrayRef values) {
  napi_value array;
  check(env, napi_create_array_with_length(env, values.size(), &array));
  for (size_t i = 0; i < values.size(); i++) check(env, napi_set_element(env, array, i, js_number(env, values[i])));
  return array;
}

inline void set(napi_env env, napi_value object, const char* name, napi_value value) {
  check(env, napi_set_named_property(env, object, name, value));
}

template <Function function>
void expose(napi_env env, napi_value exports, Environment* state, const char* name) {
  napi_value value;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, entry<function>, state, &value));
  set(env, exports, name, value);
}

// Adds a file's functions to what the addon exports.
void expose_dispatcher(napi_env env, napi_value exports, Environment* state);
void expose_tensors(napi_env env, napi_value exports, Environment* state);
void expose_autograd(napi_env env, napi_value exports, Environment* state);
void expose_engine(napi_env env, napi_value exports, Environment* state);
void expose_distributed(napi_env env, napi_value exports, Environment* state);
void expose_images(napi_env env, napi_value exports, Environment* state);
void expose_image_loader(napi_env env, napi_value exports, Environment* state);

}  // namespace incubation
