// SPDX-License-Identifier: Apache-2.0
#pragma once

// ALLIUM_CHECK(condition): for errors of ours, never of somebody's input. On in every build: prints
// file, line and the condition, then aborts; whoever supervises the process restarts it.

namespace allium {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace allium

#define ALLIUM_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::allium::check_failed(#condition, __FILE__, __LINE__))
