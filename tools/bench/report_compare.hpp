// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether one measurement is faster than another: two reports, or two results of `forward --json` or `crypto --json`.
//
//   Units      percent; values in their own units.
//   Errors     Errc::malformed where a document is no measurement, Errc::refused where two cannot be compared.
//   Threads    reentrant.

#include <cstdint>
#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "crypto_accel/base/result.hpp"

namespace allium::bench {

/// A value that is compared, with the range of its repeats; both ends are the value where no range was measured.
struct Compared {
  double value = 0;
  double low = 0;
  double high = 0;
};

enum class Change : std::uint8_t { faster, same, slower };

[[nodiscard]] const char* change_name(Change change);

struct ComparedFigure {
  std::string key;
  Compared a;
  Compared b;
  double gain_percent = 0;  ///< by which b is better; of cycles, those that it saves
  Change change = Change::same;
  bool is_regress = false;  ///< slower by more than was allowed
};

struct MissingFigure {
  std::string key;
  std::string reason;
  bool is_lost = false;  ///< a has it, b has not
};

struct Comparison {
  std::string schema;  ///< of both documents
  std::vector<ComparedFigure> figures;
  std::vector<MissingFigure> missing;
  std::vector<std::string> warnings;  ///< why the two may be no match for each other
};

/// `b` against `a`. A difference counts where the ranges of the two do not overlap; where neither has a range,
/// where it is more than `max_regress_percent`.
[[nodiscard]] Result<Comparison> compare_measurements(const boost::json::value& a,
                                                      const boost::json::value& b,
                                                      double max_regress_percent);

/// Nothing got slower by more than was allowed, and nothing that a has is missing in b.
[[nodiscard]] bool is_no_regress(const Comparison& comparison);

/// Schema allium.bench.compare/1.
[[nodiscard]] boost::json::object comparison_json(const Comparison& comparison,
                                                  double max_regress_percent);

/// A line a figure.
[[nodiscard]] std::string comparison_text(const Comparison& comparison);

}  // namespace allium::bench
