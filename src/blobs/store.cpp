#include "blobs/store.h"

#include "blobs/internal/uri.h"

namespace attestry::blobs {

std::string_view to_text(Type type) noexcept { return type == Type::config ? "config" : "secret"; }

base::Result<Type> type_from(std::string_view text) {
  if (text == "config") return Type::config;
  if (text == "secret") return Type::secret;
  return base::Error{base::Code::malformed, "not a type of blob", "config or secret", std::string{text.substr(0, 40)}};
}

std::vector<base::Result<base::Bytes>> BlobStore::get_many(std::span<const Wanted> wanted, base::Deadline deadline) {
  std::vector<base::Result<base::Bytes>> out;
  out.reserve(wanted.size());
  for (const Wanted& one : wanted) out.push_back(get(one.place, one.id, deadline));
  return out;
}

base::Result<std::vector<base::AppRef>> BlobStore::apps(base::Deadline) {
  return base::Error{base::Code::usage, name() + " cannot tell whose blobs it holds", {}, uri()};
}

base::Result<std::vector<base::Digest32>> BlobStore::list(const Place&, base::Deadline) {
  return base::Error{base::Code::usage,
                     name() + " cannot list what it holds",
                     {},
                     uri(),
                     "Name the ids with --ids, or list them from a backend that can (file, s3, vault, github)."};
}

std::string shown_uri(std::string_view uri) {
  const auto parsed = parse_uri(uri);
  return parsed ? parsed->shown() : hide_user_info(uri);
}

}  // namespace attestry::blobs
