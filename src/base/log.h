// Structured log lines on stderr. Thread-safe. Callers never pass secrets: crypto::Secret has no text form.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace attestry::base {

enum class LogLevel { debug, info, warning, error };
enum class LogFormat { text, json };

void log_configure(LogLevel level, LogFormat format);

/// log(LogLevel::info, "listening", {{"address", "127.0.0.1:8443"}});
using LogField = std::pair<std::string_view, std::string>;
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace attestry::base
