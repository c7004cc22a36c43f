#include "convert.h"

#include <cmath>

namespace incubation {

namespace {

napi_valuetype type_of(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  return type;
}

const char* name_of(napi_valuetype type) {
  switch (type) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "a number";
    case napi_string: return "a string";
    case napi_bigint: return "a bigint";
    default: return "an object";
  }
}

napi_value element(napi_env env, napi_value array, uint32_t index) {
  napi_value value;
  check(env, napi_get_element(env, array, index, &value));
  return value;
}

uint32_t length_of(napi_env env, napi_value array) {
  bool is_array = false;
  check(env, napi_is_array(env, array, &is_array));
  TORCH_CHECK(is_array, "expected an array, got ", name_of(type_of(env, array)));
  uint32_t length;
  check(env, napi_get_array_length(env, array, &length));
  return length;
}

c10::IValue number_or_int(napi_env env, napi_value value) {
  if (type_of(env, value) == napi_boolean) return c10::IValue(at::Scalar(to_bool(env, value)));
  if (type_of(env, value) == napi_bigint) return c10::IValue(to_int(env, value));
  const double number = to_double(env, value);
  if (std::trunc(number) == number && std::abs(number) < 9007199254740992.0) {
    return c10::IValue(static_cast<int64_t>(number));
  }
  return c10::IValue(number);
}

// A list of one number stands for a list of any length where the schema says so (stride=1); arrays are exact.
c10::IValue list_to_ivalue(napi_env env, Environment& state, napi_value value, const c10::TypePtr& element_type) {
  switch (element_type->kind()) {
    case c10::TypeKind::TensorType: {
      return c10::IValue(to_tensors(env, state, value));
    }
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return c10::IValue(to_ints(env, value));
    case c10::TypeKind::FloatType: {
      std::vector<double> numbers(length_of(env, value));
      for (uint32_t i = 0; i < numbers.size(); i++) numbers[i] = to_double(env, element(env, value, i));
      return c10::IValue(numbers);
    }
    case c10::TypeKind::BoolType: {
      c10::List<bool> flags;
      const uint32_t length = length_of(env, value);
      for (uint32_t i = 0; i < length; i++) flags.push_back(to_bool(env, element(env, value, i)));
      return c10::IValue(flags);
    }
    default: {
      c10::impl::GenericList list(element_type);
      const uint32_t length = length_of(env, value);
      for (uint32_t i = 0; i < length; i++) list.push_back(to_ivalue(env, state, element(env, value, i), element_type));
      return c10::IValue(list);
    }
  }
}

}  // namespace

std::string to_string(napi_env env, napi_value value) {
  TORCH_CHECK(type_of(env, value) == napi_string, "expected a string, got ", name_of(type_of(env, value)));
  size_t length;
  check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  return text;
}

double to_double(napi_env env, napi_value value) {
  TORCH_CHECK(type_of(env, value) == napi_number, "expected a number, got ", name_of(type_of(env, value)));
  double number;
  check(env, napi_get_value_double(env, value, &number));
  return number;
}

int64_t to_int(napi_env env, napi_value value) {
  if (type_of(env, value) == napi_bigint) {
    int64_t number;
    bool lossless;
    check(env, napi_get_value_bigint_int64(env, value, &number, &lossless));
    TORCH_CHECK(lossless, "a bigint does not fit in 64 bits");
    return number;
  }
  const double number = to_double(env, value);
  TORCH_CHECK(std::trunc(number) == number && std::abs(number) <= 9007199254740992.0, "expected an integer, got ", number);
  return static_cast<int64_t>(number);
}

uint32_t to_handle(napi_env env, napi_value value) {
  const napi_valuetype type = type_of(env, value);
  TORCH_CHECK(type == napi_number, "expected a tensor or generator, got ", name_of(type));
  const double number = to_double(env, value);
  TORCH_CHECK(number >= 0 && number < 4294967296.0, "freed or foreign tensor");
  return static_cast<uint32_t>(number);
}

bool to_bool(napi_env env, napi_value value) {
  TORCH_CHECK(type_of(env, value) == napi_boolean, "expected a boolean, got ", name_of(type_of(env, value)));
  bool flag;
  check(env, napi_get_value_bool(env, value, &flag));
  return flag;
}

bool is_absent(napi_env env, napi_value value) {
  const napi_valuetype type = type_of(env, value);
  return type == napi_undefined || type == napi_null;
}

std::vector<int64_t> to_ints(napi_env env, napi_value value) {
  std::vector<int64_t> numbers(length_of(env, value));
  for (uint32_t i = 0; i < numbers.size(); i++) numbers[i] = to_int(env, element(env, value, i));
  return numbers;
}

std::vector<at::Tensor> to_tensors(napi_env env, const Environment& state, napi_value value) {
  const uint32_t length = length_of(env, value);
  std::vector<at::Tensor> tensors;
  tensors.reserve(length);
  for (uint32_t i = 0; i < length; i++) tensors.push_back(state.tensor(to_handle(env, element(env, value, i))));
  return tensors;
}

c10::IValue to_ivalue(napi_env env, Environment& state, napi_value value, const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType:
      if (is_absent(env, value)) return c10::IValue();
      return to_ivalue(env, state, value, type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::TensorType: return state.tensor(to_handle(env, value));
    case c10::TypeKind::GeneratorType: return state.at(to_handle(env, value)).toGenerator();
    case c10::TypeKind::NumberType: return number_or_int(env, value);
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return to_int(env, value);
    case c10::TypeKind::FloatType: return to_double(env, value);
    case c10::TypeKind::BoolType: return to_bool(env, value);
    case c10::TypeKind::StringType: return to_string(env, value);
    case c10::TypeKind::DeviceObjType: return c10::Device(to_string(env, value));
    case c10::TypeKind::ListType:
      return list_to_ivalue(env, state, value, type->castRaw<c10::ListType>()->getElementType());
    default: TORCH_CHECK(false, "arguments of type ", type->str(), " are not supported");
  }
}

napi_value to_js(napi_env env, Environment& state, const c10::IValue& value) {
  if (value.isTensor()) {
    if (!value.toTensor().defined()) return js_null(env);
    return js_number(env, state.put(value));
  }
  if (value.isNone()) return js_null(env);
  if (value.isBool()) return js_bool(env, value.toBool());
  if (value.isInt()) return js_number(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return js_number(env, value.toDouble());
  if (value.isString()) return js_string(env, value.toStringRef());
  if (value.isScalar()) return js_number(env, value.toScalar().toDouble());
  TORCH_CHECK(value.isList(), "results of type ", value.tagKind(), " are not supported");
  const auto list = value.toListRef();
  napi_value array;
  check(env, napi_create_array_with_length(env, list.size(), &array));
  for (size_t i = 0; i < list.size(); i++) check(env, napi_set_element(env, array, i, to_js(env, state, list[i])));
  return array;
}

napi_value js_number(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result));
  return result;
}

napi_value js_string(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &result));
  return result;
}

napi_value js_bool(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result));
  return result;
}

napi_value js_null(napi_env env) {
  napi_value result;
  check(env, napi_get_null(env, &result));
  return result;
}

}  // namespace incubation
