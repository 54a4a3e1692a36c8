// SPDX-License-Identifier: Apache-2.0
#pragma once

// A body for Beast's parsers that grows as bytes come. (Beast's own reserves what Content-Length
// announces, so a stranger's header of 30 bytes would take 10 MiB.)

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/optional.hpp>

namespace allium::control {

struct GrowingBody {
  using value_type = std::string;

  static constexpr std::uint64_t kReservedBytesMax = 16UL * 1024;

  class reader {  // NOLINT(readability-identifier-naming): Beast's name
   public:
    template <bool kIsRequest, typename Fields>
    reader(boost::beast::http::header<kIsRequest, Fields>& /*header*/, value_type& body)
        : body_(body) {}

    void init(const boost::optional<std::uint64_t>& announced_bytes,
              boost::system::error_code& error) {
      announced_bytes_ = announced_bytes.value_or(0);
      body_.reserve(static_cast<std::size_t>(std::min(announced_bytes_, kReservedBytesMax)));
      error = {};
    }

    template <typename Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      std::size_t byte_count = 0;
      for (const boost::asio::const_buffer part : boost::beast::buffers_range_ref(buffers)) {
        make_room(part.size());
        body_.append(static_cast<const char*>(part.data()), part.size());
        byte_count += part.size();
      }
      error = {};
      return byte_count;
    }

    void finish(boost::system::error_code& error) { error = {}; }

   private:
    /// By a quarter at a time, and not beyond what was announced: std::string would double, so that 10 MiB would cost 16.
    void make_room(std::size_t more) {
      const std::size_t needed = body_.size() + more;
      if (needed <= body_.capacity()) {
        return;
      }
      std::size_t room = std::max(needed, body_.size() + body_.size() / 4);
      if (announced_bytes_ >= needed) {
        room = static_cast<std::size_t>(std::min<std::uint64_t>(room, announced_bytes_));
      }
      value_type larger;
      larger.reserve(room);
      larger.append(body_);
      body_.swap(larger);
    }

    value_type& body_;
    std::uint64_t announced_bytes_ = 0;
  };
};

}  // namespace allium::control
