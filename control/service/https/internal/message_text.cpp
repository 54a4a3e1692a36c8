// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/message_text.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include <boost/beast/http/status.hpp>

namespace allium::control {
namespace {

namespace http = boost::beast::http;

bool is_control(char character) noexcept {
  const auto byte = static_cast<unsigned char>(character);
  return byte < 0x20 || byte == 0x7f;
}

bool is_token_character(char character) noexcept {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(character) != std::string_view::npos;
}

void append_clean(std::string& text, std::string_view value) {
  std::copy_if(value.begin(), value.end(), std::back_inserter(text),
               [](char character) { return !is_control(character); });
}

void append_header(std::string& text, std::string_view name, std::string_view value) {
  append_clean(text, name);
  text += ": ";
  append_clean(text, value);
  text += "\r\n";
}

bool is_own_header(std::string_view name) noexcept {
  static constexpr std::array<std::string_view, 4> kOwn = {"Host", "Content-Length",
                                                           "Transfer-Encoding", "Connection"};
  return std::any_of(kOwn.begin(), kOwn.end(), [name](std::string_view own) {
    return boost::beast::iequals({own.data(), own.size()}, {name.data(), name.size()});
  });
}

}  // namespace

std::string answer_head(const HttpResponse& response, const ServerHeaders& added) {
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + ' ';
  const auto reason = http::obsolete_reason(http::int_to_status(response.status));
  text.append(reason.data(), reason.size());
  text += "\r\n";
  append_header(text, "Server", added.server);
  append_header(text, "Date", added.date);
  append_header(text, "Content-Length", std::to_string(response.body.size()));
  if (!response.content_type.empty()) {
    append_header(text, "Content-Type", response.content_type);
  }
  for (const auto& [name, value] : response.headers) {
    append_header(text, name, value);
  }
  if (added.keep_alive == KeepAlive::no) {
    append_header(text, "Connection", "close");
  }
  text += "\r\n";
  return text;
}

std::string request_head(std::string_view method, std::string_view host, std::string_view target,
                         const HttpHeaders& headers, std::size_t body_bytes) {
  std::string text(method);
  text += ' ';
  text += target;
  text += " HTTP/1.1\r\n";
  append_header(text, "Host", host);
  if (method != "GET") {
    append_header(text, "Content-Length", std::to_string(body_bytes));
  }
  for (const auto& [name, value] : headers) {
    append_header(text, name, value);
  }
  text += "\r\n";
  return text;
}

bool is_request_text(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char character) {
    return character > ' ' && character < '\x7f';
  });
}

bool are_headers(const HttpHeaders& headers) noexcept {
  return std::all_of(headers.begin(), headers.end(), [](const auto& header) {
    const auto& [name, value] = header;
    return !name.empty() && std::all_of(name.begin(), name.end(), is_token_character) &&
           std::none_of(value.begin(), value.end(), is_control) && !is_own_header(name);
  });
}

HttpHeaders headers_of(const http::fields& fields) {
  HttpHeaders headers;
  for (const auto& field : fields) {
    const auto name = field.name_string();
    const auto value = field.value();
    headers.emplace_back(std::string(name.data(), name.size()),
                         std::string(value.data(), value.size()));
  }
  return headers;
}

std::string http_date(std::int64_t unix_seconds) {
  const std::time_t seconds = unix_seconds;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  // The process never leaves the C locale, so the names of days and months are English.
  const std::size_t length =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), length};
}

}  // namespace allium::control
