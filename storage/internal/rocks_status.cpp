// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/rocks_status.hpp"

#include <cerrno>
#include <string>
#include <system_error>

namespace allium::storage::internal {
namespace {

/// RocksDB has no code for it: all that it keeps of errno is the text.
bool is_out_of_descriptors(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  const auto ends_with = [&text](int error) {
    return text.ends_with(std::generic_category().message(error));
  };
  return status.IsIOError() && (ends_with(EMFILE) || ends_with(ENFILE));
}

std::string_view advice(const rocksdb::Status& status) {
  if (status.IsNoSpace()) {
    return "make room on the disk";
  }
  if (is_out_of_descriptors(status)) {
    return "raise the limit of open files";
  }
  if (status.IsCorruption()) {
    return "restore a backup, or start with an empty directory";
  }
  return "see that the directory is there, writable, on a sound disk and used by one program only";
}

}  // namespace

Error error_of(const rocksdb::Status& status, std::string_view doing) {
  Errc code = Errc::io;
  if (status.IsNotFound()) {
    code = Errc::not_found;
  } else if (status.IsInvalidArgument() || status.IsNotSupported()) {
    code = Errc::internal;
  } else if (status.IsBusy() || status.IsTimedOut() || status.IsTryAgain()) {
    code = Errc::unavailable;
  }
  return {code, "message store, " + std::string(doing) + ": " + status.ToString() + ": " +
                    std::string(advice(status))};
}

Lack lack_of(const rocksdb::Status& status) {
  if (status.IsNoSpace()) {
    return Lack::room;
  }
  return is_out_of_descriptors(status) ? Lack::descriptors : Lack::nothing;
}

Error opening_again() {
  return {Errc::unavailable, "the message store is being opened again: try again"};
}

}  // namespace allium::storage::internal
