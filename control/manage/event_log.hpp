// SPDX-License-Identifier: Apache-2.0
#pragma once

// What alliumd tells its operator, a line an event: level, event, fields; as key=value or JSON, on standard error, where the
// journal takes it. No account, peer address or payload is ever a field.
//
//   Threads   any.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "control/manage/configuration.hpp"

namespace spdlog {
class logger;
}  // namespace spdlog

namespace allium::control {

class EventLog {
 public:
  using Field = std::pair<std::string_view, std::string>;

  EventLog(LogLevel level, LogFormat format);

  void debug(std::string_view event, std::initializer_list<Field> fields = {}) const;
  void info(std::string_view event, std::initializer_list<Field> fields = {}) const;
  void warn(std::string_view event, std::initializer_list<Field> fields = {}) const;
  void error(std::string_view event, std::initializer_list<Field> fields = {}) const;

 private:
  void write(LogLevel level, std::string_view event, std::initializer_list<Field> fields) const;

  std::shared_ptr<spdlog::logger> logger_;
  LogLevel level_;
  LogFormat format_;
};

/// One line, without its end.
[[nodiscard]] std::string event_line(LogLevel level, LogFormat format, std::string_view event,
                                     std::initializer_list<EventLog::Field> fields);

}  // namespace allium::control
