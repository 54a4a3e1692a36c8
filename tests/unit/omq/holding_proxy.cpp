// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/omq/holding_proxy.hpp"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/write.hpp>

namespace allium::control::test {

namespace asio = boost::asio;

namespace {

struct Pump : std::enable_shared_from_this<Pump> {
  void read() {
    if (rest == 0) {
      return;
    }
    from->async_read_some(asio::buffer(buffer.data(), std::min(buffer.size(), rest)),
                          [self = shared_from_this()](const auto& error, std::size_t bytes) {
                            self->got(error, bytes);
                          });
  }

  void got(const boost::system::error_code& error, std::size_t bytes) {
    if (error) {
      end();
      return;
    }
    rest -= bytes;
    asio::async_write(*to, asio::buffer(buffer.data(), bytes),
                      [self = shared_from_this()](const auto& failed, std::size_t) {
                        failed ? self->end() : self->read();
                      });
  }

  void end() {
    boost::system::error_code ignored;
    from->close(ignored);
    to->close(ignored);
    *is_over = true;
  }

  std::shared_ptr<tcp::socket> from;
  std::shared_ptr<tcp::socket> to;
  std::size_t rest = 0;
  std::shared_ptr<bool> is_over;
  std::vector<char> buffer = std::vector<char>(65'536);
};

}  // namespace

HoldingProxy::HoldingProxy(asio::io_context& io, const tcp::endpoint& to, const Bounds& bounds,
                           const std::string& from)
    : acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {
  acceptor_.async_accept(
      [to, bounds, from, is_over = is_over_, &io](const auto& error, tcp::socket socket) {
        if (error) {
          return;
        }
        const auto caller = std::make_shared<tcp::socket>(std::move(socket));
        const auto called = std::make_shared<tcp::socket>(io, tcp::v4());
        called->bind({asio::ip::make_address_v4(from), 0});
        called->connect(to);
        for (const auto& [source, sink, bytes] : {std::tuple{caller, called, bounds.of_caller},
                                                  std::tuple{called, caller, bounds.of_called}}) {
          const auto pump = std::make_shared<Pump>();
          pump->from = source;
          pump->to = sink;
          pump->rest = bytes;
          pump->is_over = is_over;
          pump->read();
        }
      });
}

}  // namespace allium::control::test
