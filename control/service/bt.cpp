// SPDX-License-Identifier: Apache-2.0
#include "control/service/bt.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

#include "crypto_accel/base/check.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text, std::size_t elements_max = kBtElementsMax)
      : rest_(text), elements_max_(elements_max) {}

  Result<json::value> whole() {
    json::value value;
    if (!parse(value, 0)) {
      return fail(Errc::malformed, "not bt: " + std::string(problem_));
    }
    if (!rest_.empty()) {
      return fail(Errc::malformed, "not bt: something follows the value");
    }
    return value;
  }

  Result<std::vector<std::string_view>> split(std::size_t elements_max) {
    if (!skip('l')) {
      return fail(Errc::malformed, "not a bt list");
    }
    std::vector<std::string_view> elements;
    while (!skip('e')) {
      if (elements.size() == elements_max) {
        return fail(Errc::full, "a bt list of more than " + std::to_string(elements_max));
      }
      const std::string_view begin = rest_;
      if (!pass(1)) {
        return fail(Errc::malformed, "not a bt list: " + std::string(problem_));
      }
      elements.push_back(begin.substr(0, begin.size() - rest_.size()));
    }
    if (!rest_.empty()) {
      return fail(Errc::malformed, "not bt: something follows the list");
    }
    return elements;
  }

 private:
  bool refuse(std::string_view problem) {
    problem_ = problem;
    return false;
  }

  bool skip(char expected) {
    if (rest_.empty() || rest_.front() != expected) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }

  /// Over one value.
  bool pass(std::size_t depth) {
    if (!may_enter(depth)) {
      return false;
    }
    json::value number;
    std::string_view bytes;
    if (skip('i')) {
      return integer(number);
    }
    if (skip('l')) {
      while (!skip('e')) {
        if (!pass(depth + 1)) {
          return false;
        }
      }
      return true;
    }
    if (skip('d')) {
      while (!skip('e')) {
        if (!string(bytes) || !pass(depth + 1)) {
          return false;
        }
      }
      return true;
    }
    return string(bytes);
  }

  bool may_enter(std::size_t depth) {
    if (depth > kBtDepthMax) {
      return refuse("nested too deep");
    }
    return ++elements_ <= elements_max_ || refuse("too many elements");
  }

  bool parse(json::value& value, std::size_t depth) {
    if (!may_enter(depth)) {
      return false;
    }
    if (skip('i')) {
      return integer(value);
    }
    if (skip('l')) {
      return list(value.emplace_array(), depth);
    }
    if (skip('d')) {
      return dict(value.emplace_object(), depth);
    }
    std::string_view bytes;
    if (!string(bytes)) {
      return false;
    }
    value = bytes;
    return true;
  }

  template <typename T>
  bool digits(T& number, char end) {
    const char* last = rest_.data() + rest_.size();
    const auto [stop, error] = std::from_chars(rest_.data(), last, number);
    if (error != std::errc{} || stop == last || *stop != end) {
      return false;
    }
    rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()) + 1);
    return true;
  }

  bool integer(json::value& value) {
    std::int64_t number = 0;
    std::uint64_t large = 0;
    if (digits(number, 'e')) {
      value = number;
      return true;
    }
    if (digits(large, 'e')) {
      value = large;
      return true;
    }
    return refuse("no integer after i");
  }

  bool string(std::string_view& bytes) {
    std::size_t length = 0;
    if (!digits(length, ':') || length > rest_.size()) {
      return refuse("no string of the length it says");
    }
    bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  bool list(json::array& array, std::size_t depth) {
    while (!skip('e')) {
      json::value element;
      if (!parse(element, depth + 1)) {
        return false;
      }
      array.push_back(std::move(element));
    }
    return true;
  }

  bool dict(json::object& object, std::size_t depth) {
    while (!skip('e')) {
      std::string_view key;
      json::value element;
      if (!string(key) || !parse(element, depth + 1)) {
        return false;
      }
      object.insert_or_assign(key, std::move(element));
    }
    return true;
  }

  std::string_view rest_;
  std::string_view problem_;
  std::size_t elements_max_;
  std::size_t elements_ = 0;
};

void append_string(std::string& text, std::string_view bytes) {
  text += std::to_string(bytes.size());
  text += ':';
  text += bytes;
}

void append(std::string& text, const json::value& value);

void append_dict(std::string& text, const json::object& object) {
  std::vector<const json::key_value_pair*> members;
  for (const json::key_value_pair& member : object) {
    if (!member.value().is_null()) {
      members.push_back(&member);
    }
  }
  std::sort(members.begin(), members.end(), [](const auto* left, const auto* right) {
    return std::string_view(left->key()) < std::string_view(right->key());
  });
  text += 'd';
  for (const json::key_value_pair* member : members) {
    append_string(text, member->key());
    append(text, member->value());
  }
  text += 'e';
}

void append(std::string& text, const json::value& value) {
  switch (value.kind()) {
    case json::kind::int64:
      text += 'i' + std::to_string(value.get_int64()) + 'e';
      break;
    case json::kind::uint64:
      text += 'i' + std::to_string(value.get_uint64()) + 'e';
      break;
    case json::kind::bool_:
      text += value.get_bool() ? "i1e" : "i0e";
      break;
    case json::kind::array:
      text += 'l';
      for (const json::value& element : value.get_array()) {
        append(text, element);
      }
      text += 'e';
      break;
    case json::kind::object:
      append_dict(text, value.get_object());
      break;
    case json::kind::string:
      append_string(text, value.get_string());
      break;
    case json::kind::null:
      append_string(text, "");
      break;
    case json::kind::double_:
      ALLIUM_CHECK(value.kind() != json::kind::double_);  // bt has no floating point
  }
}

}  // namespace

Result<json::value> parse_bt(std::string_view text, std::size_t elements_max) {
  return Parser(text, elements_max).whole();
}

Result<std::vector<std::string_view>> split_bt_list(std::string_view text,
                                                    std::size_t elements_max) {
  return Parser(text).split(elements_max);
}

std::string serialise_bt(const json::value& value) {
  std::string text;
  append(text, value);
  return text;
}

}  // namespace allium::control
