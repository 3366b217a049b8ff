// What a workload asks a threshold root for: as one node sends it to another ('b'), as the body of an HTTP request
// ('j'), and in the shapes of NEAR's MPC contract ('m' a request, 'a' an answer); and whose key a server says that it
// asks for ('s'). What is accepted is written again as
// the same bytes, or as the same meaning where JSON has many spellings, and can be asked for.
#include "cluster/application.h"
#include "require.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest{data + 1, size - 1};
  const std::string text{base::as_text(rest)};
  const auto usable = [](const cluster::Application& application) {
    REQUIRE(application.app_id(base::Realm::simulated).ok());
    REQUIRE(application.statement(curves::bls::G2::Encoded{}).ok());
    const auto body = cluster::Application::parse_json(application.json());
    REQUIRE(body.ok());
    REQUIRE(body->bytes() == application.bytes());
  };
  switch (data[0]) {
    case 'b': {
      const auto read = cluster::Application::parse(rest);
      if (!read) break;
      REQUIRE(base::equal(read->bytes(), rest));
      usable(*read);
      break;
    }
    case 'j': {
      const auto read = cluster::Application::parse_json(text);
      if (!read) break;
      usable(*read);
      const auto sent = cluster::Application::parse(read->bytes());
      REQUIRE(sent.ok());
      REQUIRE(sent->bytes() == read->bytes());
      break;
    }
    case 'm': {
      const auto read = cluster::MpcRequest::parse(text);
      if (!read) break;
      const auto again = cluster::MpcRequest::parse(read->json());
      REQUIRE(again.ok());
      REQUIRE(*again == *read);
      break;
    }
    case 'a': {
      const auto read = keys::ckd::parse_mpc_answer(text);
      if (!read) break;
      const auto again = keys::ckd::parse_mpc_answer(base::JsonOut{keys::ckd::mpc_answer(*read)}.compact());
      REQUIRE(again.ok());
      REQUIRE(*again == *read);
      break;
    }
    case 's': {
      const auto read = keys::ckd::AccountPath::parse(rest);
      if (read) REQUIRE(base::equal(read->bytes(), rest));
      break;
    }
    default:
      break;
  }
  return 0;
}
