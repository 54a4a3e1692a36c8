// SPDX-License-Identifier: Apache-2.0
#include "control/network_source.hpp"

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace allium::control {
namespace {

bool is_absent(const std::string& file) {
  std::error_code ignored;
  return !std::filesystem::exists(file, ignored);
}

}  // namespace

Result<void> NetworkSource::start(const Configuration& configuration, OnNetwork on_network) {
  FileRegistryOptions options;
  options.path = configuration.network_file;
  const bool is_fetched = options.path.find("://") != std::string::npos;
  if (is_fetched) {
    options.path = configuration.data_directory + "/network-document";
  }
  options.memory_path = configuration.data_directory + "/network-serial";
  options.authorities = configuration.authorities;
  registry_ = std::make_unique<FileRegistry>(io_, options);
  registry_->start(
      [this, on_network = std::move(on_network)](const RegistryState& network) {
        problem_.clear();
        height_ = network.height;
        valid_until_s_ = network.valid_until_s;
        on_network(network);
      },
      [this, is_fetched, file = options.path](const Error& problem) {
        if (is_fetched && height_ == 0 && is_absent(file)) {  // at the first start
          log_.info("registry.awaited", {{"file", file}, {"reason", "it is fetched"}});
          return;
        }
        problem_ = problem.text;
        log_.error("registry.refused", {{"reason", problem.text}});
      });
  return is_fetched ? start_fetcher(configuration.network_file, options.path) : Result<void>();
}

Result<void> NetworkSource::start_fetcher(const std::string& url, const std::string& file) {
  auto made = DocumentFetcher::create(
      io_, url, file,
      [this](const NetworkBundle& bundle) -> Result<void> {
        const Result<NetworkDocument> document = registry_->check(bundle);
        return document ? Result<void>() : tl::unexpected(document.error());
      },
      [this](const Result<void>& fetched) {
        fetch_problem_ = fetched ? std::string() : fetched.error().text;
        if (!fetched) {
          log_.warn("registry.not_fetched", {{"reason", fetch_problem_}});
        }
      });
  if (!made) {
    return tl::unexpected(made.error());
  }
  fetcher_ = *std::move(made);
  return {};
}

void NetworkSource::stop() {
  fetcher_.reset();  // it asks the registry
  registry_.reset();
}

}  // namespace allium::control
