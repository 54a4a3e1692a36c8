// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/json_lookup.hpp"

#include <cmath>

#include <boost/json.hpp>

namespace allium::bench {
namespace {

const boost::json::value* value_at(const boost::json::value& document, std::string_view path) {
  boost::json::error_code error;
  return document.find_pointer(path, error);
}

}  // namespace

std::optional<double> number_at(const boost::json::value& document, std::string_view path) {
  const auto* value = value_at(document, path);
  if (value == nullptr || !value->is_number()) {
    return std::nullopt;
  }
  const double number = value->to_number<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::string text_at(const boost::json::value& document, std::string_view path) {
  const auto* value = value_at(document, path);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

bool is_true_at(const boost::json::value& document, std::string_view path) {
  const auto* value = value_at(document, path);
  return value != nullptr && value->is_bool() && value->as_bool();
}

}  // namespace allium::bench
