// SPDX-License-Identifier: Apache-2.0
#pragma once

// What measuring a property found. The same measuring runs on good relays, where nothing may be found,
// and on relays made wrong on purpose, where something must be.

#include <cstdint>
#include <string>
#include <utility>

namespace allium::property {

struct Report {
  std::uint64_t cases = 0;       ///< how often the property was tried
  std::uint64_t violations = 0;  ///< how often it did not hold
  /// What had to work for the property to be tried at all and did not: a property of a network that
  /// carries nothing holds for nothing.
  std::uint64_t setup_failures = 0;
  double mean = 0;    ///< where the property has a mean: what it is
  std::string first;  ///< the first violation or set-up failure, in words

  void expect(bool holds, const std::string& otherwise) {
    ++cases;
    if (!holds) {
      ++violations;
      note(otherwise);
    }
  }

  /// False, and counted, where the set-up failed.
  bool need(bool works, const std::string& otherwise) {
    if (!works) {
      ++setup_failures;
      note("set-up: " + otherwise);
    }
    return works;
  }

  void add(const Report& other) {
    cases += other.cases;
    violations += other.violations;
    setup_failures += other.setup_failures;
    if (!other.first.empty()) {
      note(other.first);
    }
  }

 private:
  void note(const std::string& text) {
    if (first.empty()) {
      first = text;
    }
  }
};

}  // namespace allium::property
