// Appraisals outside a server: exported files, and folders that keep each piece of evidence and collateral once.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/cli.h"
#include "app/operator.h"
#include "appraisal/appraisal_store.h"
#include "appraisal/stored_appraisal.h"
#include "base/result.h"

namespace attestry::app {

/// FOLDER/<id>.json, the document, and FOLDER/blobs/<sha256>. What is there stays; nothing is overwritten.
base::Status keep_in_folder(const std::string& folder, const appraisal::StoredAppraisal& appraisal);
/// The appraisals of a folder, by id.
base::Result<std::vector<base::Digest32>> ids_in_folder(const std::string& folder);
base::Result<appraisal::StoredAppraisal> load_from_folder(const std::string& folder,
                                                          const std::string& id_or_beginning);

/// A self-contained file, replaced whole; "-" writes to standard output.
base::Status write_export_file(Context& context, const std::string& path, const appraisal::StoredAppraisal& appraisal);

/// Where a command looks for an id.
struct AppraisalPlace {
  std::string folder;  ///< empty: the server
  OperatorOptions connection;
};

/// What somebody named: a file, an id or its beginning.
struct NamedAppraisal {
  std::string id;
  std::string verdict_json;
  std::string note{};                                     ///< a line about it: where it comes from, why it was refused
  std::optional<appraisal::StoredAppraisal> appraisal{};  ///< absent when only the verdict is known
  bool judged_there = false;  ///< a server holds it and judged it itself: it knows where the keys of a token came from
};
/// A file is an export, a document of a folder, or a verdict's JSON; anything else that is no id is `usage`.
base::Result<NamedAppraisal> find_appraisal(Context& context, const std::string& name, const AppraisalPlace& place);
/// With everything that it rests on.
struct WholeAppraisal {
  appraisal::StoredAppraisal appraisal;
  bool judged_there = false;
};
base::Result<WholeAppraisal> find_whole(Context& context, const std::string& name, const AppraisalPlace& place);
/// Whether find_appraisal() would read that as an appraisal or a verdict, rather than it being evidence.
bool names_appraisal(const std::string& name, const AppraisalPlace& place);

}  // namespace attestry::app
