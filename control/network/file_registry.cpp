// SPDX-License-Identifier: Apache-2.0
#include "control/network/file_registry.hpp"

#include <sys/stat.h>

#include <fstream>
#include <string_view>
#include <utility>

#include <sodium.h>

#include "control/network/durable_file.hpp"
#include "crypto_accel/base/clock.hpp"

namespace allium::control {
namespace {

/// Changes with the file. Empty: there is none.
std::string trace_of(const std::string& path) {
  struct stat about {};

  if (stat(path.c_str(), &about) != 0) {
    return {};
  }
  return std::to_string(about.st_ino) + ' ' + std::to_string(about.st_size) + ' ' +
         std::to_string(about.st_mtim.tv_sec) + ' ' + std::to_string(about.st_mtim.tv_nsec);
}

/// A name for a document's text, to know two of one serial apart.
std::string digest_of(std::string_view text) {
  IdentityKey digest;
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const unsigned char*>(text.data()), text.size(), nullptr, 0);
  return identity_key_text(digest);
}

}  // namespace

FileRegistry::FileRegistry(boost::asio::io_context& io, FileRegistryOptions options)
    : options_(std::move(options)), timer_(io) {
  if (options_.memory_path.empty()) {
    return;
  }
  std::ifstream file(options_.memory_path);
  std::uint64_t serial = 0;
  std::string digest;
  if (file >> serial >> digest) {
    known_serial_ = serial;
    known_digest_ = digest;
  } else if (!trace_of(options_.memory_path).empty()) {
    is_memory_damaged_ = true;
  }
}

FileRegistry::~FileRegistry() = default;

void FileRegistry::start(OnState on_state, OnProblem on_problem) {
  on_state_ = std::move(on_state);
  on_problem_ = std::move(on_problem);
  look();
}

void FileRegistry::complain(const Error& error) {
  if (std::exchange(last_problem_, error.text) != error.text) {
    on_problem_(error);
  }
}

void FileRegistry::look() {
  const std::string trace = trace_of(options_.path);
  if (trace.empty() || trace != read_) {
    const Result<void> read = read_document();
    read_ = read ? trace : std::string();
    if (!read) {
      is_to_be_told_ = true;
      complain(read.error());
    }
  } else if (valid_until_s_ != 0 && unix_s() >= valid_until_s_) {
    is_to_be_told_ = true;
    complain({Errc::stale, "the network document is not valid any more: get a newer one"});
  }
  if (is_memory_behind_) {
    remember();
  }
  look_later();
}

Result<NetworkDocument> FileRegistry::check(const NetworkBundle& bundle) const {
  if (is_memory_damaged_) {
    return fail(Errc::refused, options_.memory_path +
                                   ": damaged, so an old network document cannot be told from a "
                                   "new one; remove the file to trust the next one, then restart");
  }
  Result<NetworkDocument> document =
      verify(bundle.document, options_.authorities, unix_s(), known_serial_);
  if (document && document->serial == known_serial_ &&
      digest_of(bundle.document.text) != known_digest_) {
    return fail(Errc::refused, "there are two network documents with serial " +
                                   std::to_string(document->serial) +
                                   ": its authorities contradict themselves; ask them");
  }
  return document;
}

Result<void> FileRegistry::read_document() {
  const Result<NetworkBundle> bundle = read_bundle_file(options_.path);
  if (!bundle) {
    return tl::unexpected(bundle.error());
  }
  Result<NetworkDocument> document = check(*bundle);
  if (!document) {
    return tl::unexpected(document.error());
  }
  last_problem_.clear();
  valid_until_s_ = document->valid_until_s;
  if (std::exchange(told_serial_, document->serial) == document->serial && !is_to_be_told_) {
    return {};  // the records around it have changed
  }
  is_to_be_told_ = false;
  known_serial_ = document->serial;
  known_digest_ = digest_of(bundle->document.text);
  RegistryState state;
  state.nodes = std::make_shared<const ServiceNodes>(service_nodes_of(*document));
  state.height = document->serial;
  state.valid_until_s = document->valid_until_s;
  state.document = std::make_shared<const NetworkDocument>(*std::move(document));
  state.signed_document = bundle->document;
  on_state_(state);
  is_memory_behind_ = !options_.memory_path.empty();
  is_memory_complained_of_ = false;
  return {};
}

void FileRegistry::look_later() {
  timer_.expires_after(options_.interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      look();
    }
  });
}

void FileRegistry::remember() {
  const Result<void> remembered = replace_file(
      options_.memory_path, std::to_string(known_serial_) + ' ' + known_digest_ + '\n');
  if (remembered) {
    is_memory_behind_ = false;
    if (std::exchange(is_memory_complained_of_, false)) {
      is_to_be_told_ = true;
      read_.clear();
    }
  } else if (!std::exchange(is_memory_complained_of_, true)) {
    on_problem_({remembered.error().code,
                 "the network document's serial cannot be remembered, and after a start an older "
                 "document would be taken: " +
                     remembered.error().text});
  }
}

}  // namespace allium::control
