// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values of a JSON document by their path ("/compared/ratio", RFC 6901), of documents that may be anybody's.
//
//   Threads    reentrant.

#include <optional>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

namespace allium::bench {

/// Nothing where there is no such value or it is no finite number.
[[nodiscard]] std::optional<double> number_at(const boost::json::value& document,
                                              std::string_view path);

/// Empty where there is no such value or it is no text.
[[nodiscard]] std::string text_at(const boost::json::value& document, std::string_view path);

/// False where there is no such value or it is not true.
[[nodiscard]] bool is_true_at(const boost::json::value& document, std::string_view path);

}  // namespace allium::bench
