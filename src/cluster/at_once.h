// One question to several nodes at the same time: a node that is slow keeps nobody waiting but whoever asked.
#pragma once
#include <cstddef>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/result.h"

namespace attestry::cluster {

/// `ask(place)`, a Result<T>, for the places below `count`, each on a thread of its own; answers in their order. Where
/// this process may have no further thread the answer is `unavailable`. Blocks until all have answered. `ask` must not
/// throw: nobody could catch it, and the process would end.
template <class T, class Ask>
std::vector<base::Result<T>> at_once(std::size_t count, Ask ask) {
  std::vector<std::optional<base::Result<T>>> answers(count);
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      try {
        threads.emplace_back([&, i] { answers[i].emplace(ask(i)); });
      } catch (const std::system_error&) {
        answers[i].emplace(base::Error{base::Code::unavailable, "asking a node", "a thread to ask it on",
                                       "none: this process has as many as it may"});
      }
    }
  }
  std::vector<base::Result<T>> out;
  out.reserve(count);
  for (auto& answer : answers) out.push_back(*std::move(answer));
  return out;
}

}  // namespace attestry::cluster
