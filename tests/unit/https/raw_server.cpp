// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/https/raw_server.hpp"

#include <array>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace allium::control::test {

using boost::asio::ip::tcp;

std::string RawPeer::receive_request() {
  std::size_t all_bytes = std::string::npos;
  while (input_.size() < all_bytes) {
    const std::size_t head_end = input_.find("\r\n\r\n");
    if (all_bytes == std::string::npos && head_end != std::string::npos) {
      const std::size_t length = input_.find("Content-Length: ");
      const bool has_body = length < head_end;
      all_bytes = head_end + 4 + (has_body ? std::stoul(input_.substr(length + 16)) : 0);
      continue;
    }
    std::array<char, 4096> more{};
    boost::system::error_code error;
    const std::size_t count = socket_.read_some(boost::asio::buffer(more), error);
    if (error) {
      return {};
    }
    input_.append(more.data(), count);
  }
  const std::string request = input_.substr(0, all_bytes);
  input_.erase(0, all_bytes);
  return request;
}

void RawPeer::send(const std::string& text) {
  boost::system::error_code ignored;
  boost::asio::write(socket_, boost::asio::buffer(text), ignored);
}

void RawPeer::await_end() {
  std::array<char, 4096> more{};
  boost::system::error_code error;
  while (!error) {
    socket_.read_some(boost::asio::buffer(more), error);
  }
}

RawServer::RawServer(std::vector<Script> scripts)
    : acceptor_(io_, {boost::asio::ip::address_v4::loopback(), 0}),
      thread_([this, scripts = std::move(scripts)] {
        for (const Script& script : scripts) {
          RawPeer peer(acceptor_.accept());
          script(peer);
        }
      }) {}

RawServer::~RawServer() {
  thread_.join();
}

}  // namespace allium::control::test
