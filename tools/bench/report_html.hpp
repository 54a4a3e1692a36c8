// SPDX-License-Identifier: Apache-2.0
#pragma once

// A report as one page that needs nothing else: no script, style sheet, font or picture from outside. Reads well in
// light and dark, and on paper.
//
//   Threads    reentrant.

#include <string>

#include <boost/json/object.hpp>

namespace allium::bench {

/// `report` is a whole report.json, as make_report makes it. The page is well-formed XML behind its doctype.
[[nodiscard]] std::string report_html(const boost::json::object& report);

}  // namespace allium::bench
