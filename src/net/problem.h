// Errors over HTTP: RFC 9457 problem documents (ARCHITECTURE 3.14, FORMATS 12).
#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "net/http.h"

namespace attestry::net {

struct ProblemExtras {
  std::optional<int> status;            ///< instead of the code's own: 408, 431, 501 have no code of their own
  std::string checks_json;              ///< array, already JSON; empty: no `checks` member
  std::optional<unsigned> retry_after;  ///< seconds; 429 and 503 say 1 when nobody knows better
  std::string instance;                 ///< a URI reference of this occurrence; empty: no member
  std::string appraisal;                ///< id of the stored appraisal that explains it; empty: no member
};

/// {"type":"urn:attestry:error:<slug>","title","status","detail","code","remedy","trace_id",
///  "expected"?,"found"?,"checks"?,"appraisal"?,"instance"?} as application/problem+json with Cache-Control: no-store.
Response problem(const base::Error& error, const TraceContext& trace, const ProblemExtras& extras = {});

/// The same document back into an Error, for programs that talk to a server; nullopt when `reply` is none of ours.
std::optional<base::Error> error_from_problem(const Response& reply);

}  // namespace attestry::net
