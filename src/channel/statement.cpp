#include "channel/statement.h"

#include "crypto/hash.h"

namespace attestry::channel {

base::Bytes Statement::transcript() const {
  base::LpWriter out;
  out.lp("attestry/channel/1").u8(static_cast<std::uint8_t>(role)).lp(audience);
  out.lp(base::ByteView{client_nonce}).lp(base::ByteView{server_nonce}).lp(base::ByteView{exporter});
  out.lp(own_spki).lp(peer_spki);
  return std::move(out).take();
}

base::FixedBytes<64> Statement::report_data() const { return crypto::sha512(transcript()); }

}  // namespace attestry::channel
