// SPDX-License-Identifier: Apache-2.0
#include "tools/client/storage_answer.hpp"

#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/fast_lane.hpp"

namespace allium::client {

bool StorageAnswer::add(Bytes x_r) {
  constexpr std::size_t kHeaderBytes = control::FastLane::kPieceHeaderBytes;
  const auto header = control::parse_inner_header(x_r);
  if (!header || header->kind != control::InnerHeader::response || header->flags != 0 ||
      header->id != id_ || header->content.size() < kHeaderBytes) {
    ++refused_;
    return false;
  }
  const std::size_t index = load_be(header->content.data(), 2);
  const std::size_t count = load_be(header->content.data() + 2, 2);
  const bool fits = count >= 1 && count <= kPiecesMax && index < count &&
                    (count_ == 0 || count_ == count) && !pieces_[index];
  if (!fits) {
    ++refused_;
    return false;
  }
  count_ = count;
  pieces_[index].emplace(header->content.begin() + kHeaderBytes, header->content.end());
  return ++have_ == count_;
}

Result<StorageAnswer::Content> StorageAnswer::content() const {
  std::string text;
  for (std::size_t i = 0; i < count_; ++i) {
    text += pieces_[i].value_or("");
  }
  Result<boost::json::value> answer = control::parse_bt(text);
  boost::json::object* const fields = answer ? answer->if_object() : nullptr;
  const boost::json::value* const code = fields == nullptr ? nullptr : fields->if_contains("code");
  boost::json::value* const body = fields == nullptr ? nullptr : fields->if_contains("body");
  if (code == nullptr || !code->is_int64() || body == nullptr || code->get_int64() < 100 ||
      code->get_int64() > 599) {
    return fail(Errc::malformed, "the node's answer is none: no code and body in bt");
  }
  return Content{static_cast<int>(code->get_int64()), std::move(*body)};
}

}  // namespace allium::client
