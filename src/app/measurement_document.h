// A measurement's document made from what evidence says: nobody types 96 hex digits.
#pragma once
#include <string>
#include <vector>

#include "app/cli.h"

namespace attestry::app {

struct MeasurementDocumentOptions {
  std::string evidence;  ///< file: a verdict of `attestry verify --format json`, or evidence
  bool unverified = false;
  std::vector<std::string> claims;
  std::string set;
  std::string role;
  std::string name;
  std::string not_before;
  std::string not_after;
  std::string source;
  std::string commit;
  std::string statement;  ///< file whose SHA-256 goes into the document
  std::string by;
};

/// JSON of a governance::Measurement. Error `denied` when the evidence was not shown to be genuine and `unverified`
/// does not say that this is meant.
base::Result<std::string> make_measurement_document(Context& context, const MeasurementDocumentOptions& options);

}  // namespace attestry::app
