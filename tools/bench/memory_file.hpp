// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file in memory that has a path, for libraries that open files by name. It is gone when the process is,
// however that ends.
//
//   Ownership  owns the descriptor.
//   Threads    one.

#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::bench {

class MemoryFile {
 public:
  /// Fails with Errc::io.
  static Result<MemoryFile> create(const char* name);
  ~MemoryFile();
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&& other) noexcept;
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// Valid in this process while the object lives. Whoever opens it begins at the first byte.
  [[nodiscard]] std::string path() const;

 private:
  explicit MemoryFile(int descriptor) noexcept : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace allium::bench
