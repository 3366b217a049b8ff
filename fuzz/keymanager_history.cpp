// A saved history that is accepted is written and read the same, its steps can be told or refused, and an event that is
// accepted has one spelling.
#include "provision/keymanager_history.h"

#include "base/bytes.h"
#include "chain/keymanager_abi.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const base::ByteView bytes{data, size};
  const auto history = provision::KeyManagerHistory::parse(std::string{base::as_text(bytes)});
  if (history.ok()) {
    const std::string text = history->to_json();
    const auto again = provision::KeyManagerHistory::parse(text);
    REQUIRE(again.ok() && again->to_json() == text);
    (void)provision::steps_of(*history);
  }
  // The data of each event: no fuzzer finds a topic.
  const chain::LogRecord samples[] = {chain::keymanager::write(chain::keymanager::Onboarded{}),
                                      chain::keymanager::write(chain::keymanager::JoinRequested{}),
                                      chain::keymanager::write(chain::keymanager::TcbAllowed{}),
                                      chain::keymanager::write(chain::keymanager::MachineAllowed{}),
                                      chain::keymanager::write(chain::keymanager::ContainerChanged{})};
  for (chain::LogRecord log : samples) {
    log.data = base::to_bytes(bytes);
    const auto event = chain::keymanager::read(log);
    if (event.ok() && *event) REQUIRE(chain::keymanager::write(**event).data == log.data);
  }
  const auto evidence = provision::evidence_in(bytes, chain::Word{});
  REQUIRE(!evidence);
  return 0;
}
