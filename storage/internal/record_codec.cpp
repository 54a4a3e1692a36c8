// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/record_codec.hpp"

#include <array>

#include "crypto_accel/base/bytes.hpp"

namespace allium::storage::internal {
namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::uint32_t kNoEncryptionKey = 0;
constexpr std::size_t kPreambleBytes = 1 + 4;

class Writer {
 public:
  Writer() {
    number(kRecordVersion, 1);
    number(kNoEncryptionKey, 4);
  }

  Writer& number(std::uint64_t value, std::size_t byte_count) {
    std::array<std::uint8_t, 8> bytes{};
    store_be(bytes.data(), value, byte_count);
    record_.append(reinterpret_cast<const char*>(bytes.data()), byte_count);
    return *this;
  }

  Writer& history(const MessageHistory& history) {
    number(history.settled().asked, 8)
        .number(history.settled().expiry_ms, 8)
        .number(history.settled().timestamp_ms, 8);
    number(history.steps().size(), 1);
    for (const MessageHistory::Step& step : history.steps()) {
      number(step.asked, 8)
          .number(step.expiry_ms, 8)
          .number(step.timestamp_ms, 8)
          .number(static_cast<std::uint8_t>(step.kind), 1);
    }
    return *this;
  }

  Writer& bytes(std::string_view bytes) {
    record_.append(bytes);
    return *this;
  }

  std::string take() { return std::move(record_); }

 private:
  std::string record_;
};

std::uint64_t number_at(std::string_view record, std::size_t offset, std::size_t byte_count) {
  return load_be(reinterpret_cast<const std::uint8_t*>(record.data()) + offset, byte_count);
}

tl::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::io, "a record of the message store is damaged (" + std::string(what) +
                            "): restore a backup, or start with an empty directory");
}

constexpr std::size_t kHistoryBytesMin = 8 + 8 + 8 + 1;
constexpr std::size_t kStepBytes = 8 + 8 + 8 + 1;
constexpr std::size_t kHistoryBytesMax = kHistoryBytesMin + MessageHistory::kStepsMax * kStepBytes;

/// Takes it from the front of `rest`, which has kHistoryBytesMin bytes at least.
Result<MessageHistory> take_history(std::string_view& rest) {
  const MessageHistory::Step settled{number_at(rest, 0, 8), number_at(rest, 8, 8),
                                     MessageHistory::Kind::set, number_at(rest, 16, 8)};
  const std::size_t count = number_at(rest, 24, 1);
  rest.remove_prefix(kHistoryBytesMin);
  if (count > MessageHistory::kStepsMax || rest.size() < count * kStepBytes) {
    return damaged("a history of " + std::to_string(count) + " steps");
  }
  std::vector<MessageHistory::Step> steps;
  for (std::size_t i = 0; i < count; ++i, rest.remove_prefix(kStepBytes)) {
    const std::uint64_t kind = number_at(rest, 24, 1);
    if (kind > static_cast<std::uint8_t>(MessageHistory::Kind::remove)) {
      return damaged("a step of kind " + std::to_string(kind));
    }
    steps.push_back({number_at(rest, 0, 8), number_at(rest, 8, 8),
                     static_cast<MessageHistory::Kind>(kind), number_at(rest, 16, 8)});
    if (i > 0 && steps[i].asked < steps[i - 1].asked) {
      return damaged("steps of a history out of order");
    }
  }
  return MessageHistory(settled, std::move(steps));
}

/// What follows the preamble, of `bytes_min` to `bytes_max` bytes.
Result<std::string_view> content_of(std::string_view value, std::size_t bytes_min,
                                    std::size_t bytes_max) {
  if (value.size() < kPreambleBytes) {
    return damaged("shorter than its preamble");
  }
  if (number_at(value, 0, 1) != kRecordVersion) {
    return damaged("unknown record version " + std::to_string(number_at(value, 0, 1)));
  }
  if (number_at(value, 1, 4) != kNoEncryptionKey) {
    return damaged("encrypted with key " + std::to_string(number_at(value, 1, 4)));
  }
  value.remove_prefix(kPreambleBytes);
  if (value.size() < bytes_min || value.size() > bytes_max) {
    return damaged("its length is " + std::to_string(value.size()));
  }
  return value;
}

template <typename MarksOf>
Result<MarksOf> decode_marks(std::string_view value) {
  constexpr std::size_t kMarkBytes = 16;
  const auto content = content_of(value, kMarkBytes, MarksOf::kMarksMax * kMarkBytes);
  if (!content) {
    return tl::unexpected(content.error());
  }
  if (content->size() % kMarkBytes != 0) {
    return damaged("its length is " + std::to_string(content->size()));
  }
  std::vector<Mark> marks;
  for (std::size_t offset = 0; offset < content->size(); offset += kMarkBytes) {
    marks.push_back({number_at(*content, offset, 8), number_at(*content, offset + 8, 8)});
  }
  if (!MarksOf::are_in_order(marks)) {
    return damaged("marks of an account out of order");
  }
  return MarksOf(std::move(marks));
}

}  // namespace

std::string encode_format(std::uint32_t version) {
  std::string value(4, '\0');
  store_be(reinterpret_cast<std::uint8_t*>(value.data()), version, 4);
  return value;
}

std::string encode_header(const Header& header) {
  return Writer()
      .number(header.timestamp_ms, 8)
      .number(header.expiry_ms, 8)
      .number(header.stored, 8)
      .number(header.data_bytes, 4)
      .history(header.history)
      .bytes(header.hash)
      .take();
}

std::string encode_place(const Place& place) {
  return Writer()
      .number(static_cast<std::uint16_t>(place.space), 2)
      .number(place.sequence, 8)
      .take();
}

std::string encode_revocation(const Revocation& revocation) {
  return Writer()
      .number(revocation.timestamp_ms, 8)
      .number(revocation.asked, 8)
      .number(revocation.is_lifted ? 1 : 0, 1)
      .take();
}

std::string encode_trace(const Trace& trace) {
  return Writer().history(trace.history).number(trace.until_ms, 8).take();
}

std::string encode_marks(const std::vector<Mark>& marks) {
  Writer writer;
  for (const Mark& mark : marks) {
    writer.number(mark.asked, 8).number(mark.time_ms, 8);
  }
  return writer.take();
}

std::string encode_outbox_marks(const std::vector<OutboxMark>& marks) {
  Writer writer;
  for (const OutboxMark& mark : marks) {
    writer.number(mark.asked, 8).number(mark.timestamp_ms, 8).number(mark.hash.size(), 1);
    writer.bytes(mark.hash);
  }
  return writer.take();
}

std::string encode_totals(const Totals& totals) {
  return Writer()
      .number(totals.next_sequence, 8)
      .number(totals.messages, 8)
      .number(totals.accounts, 8)
      .number(totals.bytes_used, 8)
      .number(totals.latest_asked, 8)
      .take();
}

std::string encode_mailbox(const Mailbox& mailbox) {
  return Writer().number(mailbox.messages, 8).number(mailbox.marks, 8).take();
}

std::string encode_bytes(std::string_view bytes) {
  return Writer().bytes(bytes).take();
}

Result<std::uint32_t> decode_format(std::string_view value) {
  if (value.size() != 4) {
    return damaged("the format's version");
  }
  return static_cast<std::uint32_t>(number_at(value, 0, 4));
}

Result<Header> decode_header(std::string_view value) {
  constexpr std::size_t kFixedBytes = 28;
  const auto content = content_of(value, kFixedBytes + kHistoryBytesMin + 1,
                                  kFixedBytes + kHistoryBytesMax + kHashCharsMax);
  if (!content) {
    return tl::unexpected(content.error());
  }
  Header header;
  header.timestamp_ms = number_at(*content, 0, 8);
  header.expiry_ms = number_at(*content, 8, 8);
  header.stored = number_at(*content, 16, 8);
  header.data_bytes = static_cast<std::uint32_t>(number_at(*content, 24, 4));
  std::string_view rest = content->substr(kFixedBytes);
  auto history = take_history(rest);
  if (!history) {
    return tl::unexpected(std::move(history.error()));
  }
  if (rest.empty() || rest.size() > kHashCharsMax) {
    return damaged("a hash of " + std::to_string(rest.size()) + " characters");
  }
  header.history = *std::move(history);
  header.hash = rest;
  if (header.data_bytes > kDataBytesMax) {
    return damaged("a message of " + std::to_string(header.data_bytes) + " bytes");
  }
  return header;
}

Result<Place> decode_place(std::string_view value) {
  return content_of(value, 10, 10).map([](std::string_view content) {
    return Place{static_cast<Namespace>(number_at(content, 0, 2)), number_at(content, 2, 8)};
  });
}

Result<Revocation> decode_revocation(std::string_view value) {
  const auto content = content_of(value, 17, 17);
  if (!content) {
    return tl::unexpected(content.error());
  }
  const std::uint64_t is_lifted = number_at(*content, 16, 1);
  if (is_lifted > 1) {
    return damaged("a revocation of kind " + std::to_string(is_lifted));
  }
  return Revocation{number_at(*content, 0, 8), number_at(*content, 8, 8), is_lifted == 1};
}

Result<Trace> decode_trace(std::string_view value) {
  const auto content = content_of(value, kHistoryBytesMin + 8, kHistoryBytesMax + 8);
  if (!content) {
    return tl::unexpected(content.error());
  }
  std::string_view rest = *content;
  auto history = take_history(rest);
  if (!history) {
    return tl::unexpected(std::move(history.error()));
  }
  if (rest.size() != 8) {
    return damaged("its length is " + std::to_string(content->size()));
  }
  return Trace{*std::move(history), number_at(rest, 0, 8)};
}

Result<ShortenMarks> decode_shorten_marks(std::string_view value) {
  return decode_marks<ShortenMarks>(value);
}

Result<RemovalMarks> decode_removal_marks(std::string_view value) {
  return decode_marks<RemovalMarks>(value);
}

Result<std::vector<OutboxMark>> decode_outbox_marks(std::string_view value) {
  constexpr std::size_t kFixedBytes = 8 + 8 + 1;
  const auto content =
      content_of(value, kFixedBytes + 1, kOutboxMarksMax * (kFixedBytes + kHashCharsMax));
  if (!content) {
    return tl::unexpected(content.error());
  }
  std::vector<OutboxMark> marks;
  std::string_view rest = *content;
  while (!rest.empty()) {
    const std::size_t hash_chars = rest.size() < kFixedBytes ? 0 : number_at(rest, 16, 1);
    const bool is_good = hash_chars > 0 && hash_chars <= kHashCharsMax &&
                         rest.size() >= kFixedBytes + hash_chars && marks.size() < kOutboxMarksMax;
    if (!is_good) {
      return damaged("a mark of an outbox");
    }
    marks.push_back(
        {number_at(rest, 0, 8), number_at(rest, 8, 8), Hash(rest.substr(kFixedBytes, hash_chars))});
    rest.remove_prefix(kFixedBytes + hash_chars);
  }
  return marks;
}

Result<Totals> decode_totals(std::string_view value) {
  return content_of(value, 40, 40).map([](std::string_view content) {
    return Totals{number_at(content, 0, 8), number_at(content, 8, 8), number_at(content, 16, 8),
                  number_at(content, 24, 8), number_at(content, 32, 8)};
  });
}

Result<Mailbox> decode_mailbox(std::string_view value) {
  return content_of(value, 16, 16).map([](std::string_view content) {
    return Mailbox{number_at(content, 0, 8), number_at(content, 8, 8)};
  });
}

Result<std::string> decode_bytes(std::string_view value) {
  return content_of(value, 0, SIZE_MAX).map([](std::string_view content) {
    return std::string(content);
  });
}

}  // namespace allium::storage::internal
