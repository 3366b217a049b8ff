// The only file of base that needs threads and a library; not part of the WebAssembly build.
#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <memory>

#include "base/json_writer.h"
#include "base/mutex.h"

namespace attestry::base {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::logger> make_logger(LogLevel level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("attestry", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  constexpr const char* kText = "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
  constexpr const char* kJson = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(format == LogFormat::json ? kJson : kText,
                                                                    spdlog::pattern_time_type::utc));
  logger->set_level(to_spdlog(level));
  return logger;
}

struct Output {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format;
};

class Outputs {
 public:
  void set(LogLevel level, LogFormat format) {
    Output made{make_logger(level, format), format};
    MutexLock lock{mutex_};
    output_ = std::move(made);
  }
  Output get() {
    MutexLock lock{mutex_};
    return output_;
  }

 private:
  Mutex mutex_;
  Output output_ ATTESTRY_GUARDED_BY(mutex_){make_logger(LogLevel::info, LogFormat::text), LogFormat::text};
};

// Never destroyed, so that destructors of other objects may still log while the process ends.
Outputs& outputs() {
  static Outputs& instance = *new Outputs;
  return instance;
}

// A value that could be taken for another field or another line is written as a JSON string.
void append_text_value(std::string& out, std::string_view value) {
  const bool plain = !value.empty() && std::ranges::all_of(value, [](char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '=' && c != '\\';
  });
  if (plain) {
    out += value;
  } else {
    append_json_string(out, value);
  }
}

std::string text_line(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line;
  append_text_value(line, event);
  for (const auto& [name, value] : fields) {
    line.append(1, ' ').append(name).append(1, '=');
    append_text_value(line, value);
  }
  return line;
}

std::string json_members(std::string_view event, std::initializer_list<LogField> fields) {
  std::string line{"\"event\":"};
  append_json_string(line, event);
  for (const auto& [name, value] : fields) {
    line += ',';
    append_json_string(line, name);
    line += ':';
    append_json_string(line, value);
  }
  return line;
}

}  // namespace

void log_configure(LogLevel level, LogFormat format) { outputs().set(level, format); }

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const Output output = outputs().get();
  if (!output.logger->should_log(to_spdlog(level))) return;
  const std::string line = output.format == LogFormat::json ? json_members(event, fields) : text_line(event, fields);
  output.logger->log(to_spdlog(level), spdlog::string_view_t{line.data(), line.size()});
}

}  // namespace attestry::base
