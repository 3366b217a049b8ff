// An export that verifies holds exactly the leaves that its checkpoint signs, each in its one spelling.
#include "audit/verify.h"

#include "audit/leaf.h"
#include "crypto/hash.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  static const auto key = crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes("fuzz log")));
  static const audit::LogTrust trust{"log.example/fuzz",
                                     {{"log.example/fuzz", audit::NoteKeyType::ed25519, key->public_key()}}};
  auto text = base::as_text({data, size});
  const auto report = audit::verify_export(text, trust);
  if (!report) return 0;
  REQUIRE(report->leaves == report->head.size + report->unpublished);
  audit::Frontier frontier;
  text.remove_prefix(text.find('\n') + 1);
  while (!text.starts_with('\n')) {
    const auto line = text.substr(0, text.find('\n'));
    REQUIRE(audit::Leaf::parse(line).value().encode().value() == line);
    if (frontier.size() < report->head.size) frontier.append(audit::leaf_hash(base::as_bytes(line)));
    text.remove_prefix(line.size() + 1);
  }
  REQUIRE(frontier.head() == report->head);
  return 0;
}
