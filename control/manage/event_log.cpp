// SPDX-License-Identifier: Apache-2.0
#include "control/manage/event_log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <cctype>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace allium::control {
namespace {

std::string_view level_name(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

/// Plain words as they are, others in quotes.
std::string value_text(const std::string& value) {
  const bool is_plain =
      !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
        return std::isgraph(c) != 0 && c != '"' && c != '=';
      });
  return is_plain ? value : boost::json::serialize(boost::json::value(value));
}

}  // namespace

std::string event_line(LogLevel level, LogFormat format, std::string_view event,
                       std::initializer_list<EventLog::Field> fields) {
  if (format == LogFormat::json) {
    boost::json::object object = {{"level", level_name(level)}, {"ev", event}};
    for (const auto& [key, value] : fields) {
      object[key] = value;
    }
    return boost::json::serialize(object);
  }
  std::string line = "level=" + std::string(level_name(level)) + " ev=" + std::string(event);
  for (const auto& [key, value] : fields) {
    line += ' ' + std::string(key) + '=' + value_text(value);
  }
  return line;
}

EventLog::EventLog(LogLevel level, LogFormat format)
    : logger_(std::make_shared<spdlog::logger>("alliumd",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())),
      level_(level),
      format_(format) {
  logger_->set_pattern("%v");
  logger_->set_level(spdlog::level::trace);
  logger_->flush_on(spdlog::level::trace);
}

void EventLog::write(LogLevel level, std::string_view event,
                     std::initializer_list<Field> fields) const {
  if (level >= level_) {
    logger_->log(spdlog::level::info, "{}", event_line(level, format_, event, fields));
  }
}

void EventLog::debug(std::string_view event, std::initializer_list<Field> fields) const {
  write(LogLevel::debug, event, fields);
}

void EventLog::info(std::string_view event, std::initializer_list<Field> fields) const {
  write(LogLevel::info, event, fields);
}

void EventLog::warn(std::string_view event, std::initializer_list<Field> fields) const {
  write(LogLevel::warn, event, fields);
}

void EventLog::error(std::string_view event, std::initializer_list<Field> fields) const {
  write(LogLevel::error, event, fields);
}

}  // namespace allium::control
