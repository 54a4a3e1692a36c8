// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/rocks_status.hpp"

namespace allium::storage::internal {
namespace {

std::string_view advice(const rocksdb::Status& status) {
  if (status.IsNoSpace()) {
    return "make room on the disk";
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

Error opening_again() {
  return {Errc::unavailable, "the message store is being opened again: try again"};
}

}  // namespace allium::storage::internal
