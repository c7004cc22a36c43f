// One boxed call into the c10 dispatcher reaches every operator of libtorch.
#include "call.h"

#include <torch/version.h>

namespace incubation {

namespace {

// resolve(name, overload) -> index of the operator, for call()
napi_value resolve(const Call& c) {
  const std::string name = to_string(c.env, c.arg(0));
  const std::string overload = to_string(c.env, c.arg(1));
  const auto op = c10::Dispatcher::singleton().findSchema({name, overload});
  TORCH_CHECK(op.has_value(), "libtorch ", TORCH_VERSION, " has no operator ", name, overload.empty() ? "" : ".", overload);
  c.state.operators.push_back(*op);
  return js_number(c.env, c.state.operators.size() - 1);
}

const char* kind_of(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType: return kind_of(type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::ListType: return kind_of(type->castRaw<c10::ListType>()->getElementType());
    case c10::TypeKind::TensorType: return "tensor";
    case c10::TypeKind::GeneratorType: return "generator";
    default: return "value";
  }
}

// parameters(index) -> [{name, kind}]: which arguments, or lists of them, are handles, and of what
napi_value parameters(const Call& c) {
  const auto& declared = c.state.operators.at(to_int(c.env, c.arg(0))).schema().arguments();
  napi_value array;
  check(c.env, napi_create_array_with_length(c.env, declared.size(), &array));
  for (size_t i = 0; i < declared.size(); i++) {
    napi_value parameter;
    check(c.env, napi_create_object(c.env, &parameter));
    set(c.env, parameter, "name", js_string(c.env, declared[i].name()));
    set(c.env, parameter, "kind", js_string(c.env, kind_of(declared[i].type())));
    check(c.env, napi_set_element(c.env, array, i, parameter));
  }
  return array;
}

// call(index, args) -> result, or an array of results; an argument left out or undefined takes its default
napi_value call(const Call& c) {
  const c10::OperatorHandle& op = c.state.operators.at(to_int(c.env, c.arg(0)));
  const auto& parameters = op.schema().arguments();
  uint32_t given;
  check(c.env, napi_get_array_length(c.env, c.arg(1), &given));
  TORCH_CHECK(given <= parameters.size(), "takes ", parameters.size(), " arguments, got ", given);
  torch::jit::Stack stack;
  stack.reserve(parameters.size());
  for (uint32_t i = 0; i < parameters.size(); i++) {
    const c10::Argument& parameter = parameters[i];
    napi_value value = nullptr;
    if (i < given) check(c.env, napi_get_element(c.env, c.arg(1), i, &value));
    napi_valuetype type = napi_undefined;
    if (value != nullptr) check(c.env, napi_typeof(c.env, value, &type));
    if (type == napi_undefined) {
      if (parameter.default_value().has_value()) {
        stack.push_back(*parameter.default_value());
        continue;
      }
      TORCH_CHECK(parameter.type()->kind() == c10::TypeKind::OptionalType, "argument '", parameter.name(), "' is missing");
      stack.emplace_back();
      continue;
    }
    try {
      stack.push_back(to_ivalue(c.env, c.state, value, parameter.type()));
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, "argument '", parameter.name(), "' (", parameter.type()->str(), "): ", error.what_without_backtrace());
    }
  }
  op.callBoxed(&stack);
  if (stack.empty()) return undefined(c.env);
  if (stack.size() == 1) return to_js(c.env, c.state, stack[0]);
  napi_value results;
  check(c.env, napi_create_array_with_length(c.env, stack.size(), &results));
  for (size_t i = 0; i < stack.size(); i++) check(c.env, napi_set_element(c.env, results, i, to_js(c.env, c.state, stack[i])));
  return results;
}

}  // namespace

void expose_dispatcher(napi_env env, napi_value exports, Environment* state) {
  expose<resolve>(env, exports, state, "resolve");
  expose<parameters>(env, exports, state, "parameters");
  expose<call>(env, exports, state, "call");
}

}  // namespace incubation
