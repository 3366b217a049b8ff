"""NEAR's MPC network and a keystore DAO for tests, behind tests/functional/near.py: BLS12-381 from py_ecc, everything else
written from docs/formats/keystore-registration.md. Strict: what the real contracts refuse is refused here."""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from near import Panic, base58, unbase58
from py_ecc.optimized_bls12_381 import (
    FQ,
    FQ2,
    G1,
    G2,
    add,
    field_modulus,
    is_on_curve,
    iso_map_G1,
    multiply,
    multiply_clear_cofactor_G1,
    normalize,
    optimized_swu_G1,
)
from workload import hkdf_expand, hkdf_extract, raw_public

TAG = b"NEAR BLS12381G1_XMD:SHA-256_SSWU_RO_"
TERA = 10**12
METHODS = ["request_key", "mark_vault_verified", "ban_vault"]
CODE = base58(b"\7" * 32)
REGISTERS = {"mrtd": 184, "rtmr0": 376, "rtmr1": 424, "rtmr2": 472, "rtmr3": 520}


def expand(message, length):
    """expand_message_xmd of RFC 9380 5.3.1 with SHA-256."""
    tag = TAG + bytes([len(TAG)])
    first = hashlib.sha256(bytes(64) + message + length.to_bytes(2, "big") + b"\0" + tag).digest()
    out, block = b"", bytes(32)
    for number in range(1, length // 32 + 1):
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = hashlib.sha256((mixed if number > 1 else first) + bytes([number]) + tag).digest()
        out += block
    return out


def hash_to_g1(message):
    uniform = expand(message, 128)
    fields = [FQ(int.from_bytes(uniform[at : at + 64], "big") % field_modulus) for at in (0, 64)]
    points = [iso_map_G1(*optimized_swu_G1(field)) for field in fields]
    return multiply_clear_cofactor_G1(add(*points))


def compressed(point):
    """The ZCash form: 48 bytes of G1, 96 of G2 (the imaginary part first)."""
    x, y = normalize(point)
    parts = [x.coeffs[1], x.coeffs[0]] if isinstance(x, FQ2) else [x.n]
    out = bytearray(b"".join(int(part).to_bytes(48, "big") for part in parts))
    sign = [int(part) for part in (y.coeffs[::-1] if isinstance(y, FQ2) else [y.n]) if int(part)]
    out[0] |= 0x80 | (0x20 if sign and sign[0] > (field_modulus - 1) // 2 else 0)
    return bytes(out)


def g1_of(raw):
    assert len(raw) == 48 and raw[0] & 0xC0 == 0x80, raw.hex()
    x = FQ(int.from_bytes(bytes([raw[0] & 0x1F]) + raw[1:], "big"))
    y = (x**3 + FQ(4)) ** ((field_modulus + 1) // 4)
    if (y.n > (field_modulus - 1) // 2) != bool(raw[0] & 0x20):
        y = -y
    point = (x, y, FQ(1))
    assert is_on_curve(point, FQ(4)), "on the curve"
    return point


def text(prefix, raw):
    return f"{prefix}:{base58(raw)}"


class Mpc:
    """One master scalar in the place of many shares."""

    def __init__(self, secret=0x13E0C575C3AC888B, domain=2):
        self.secret, self.domain = secret, domain
        self.public = compressed(multiply(G2, secret))
        self.lie = None  # function of the answer -> another
        self.asked = []  # (account, path)

    def public_key(self):
        return text("bls12381g2", self.public)

    def signature(self, account, path):
        app = hashlib.sha3_256(f"near-mpc v0.1.0 app_id derivation:{account},{path}".encode()).digest()
        return multiply(hash_to_g1(self.public + app), self.secret)

    def master(self, account, path=""):
        """What whoever asks as this account will have."""
        return hkdf_expand(hkdf_extract(b"", compressed(self.signature(account, path))), b"", 32)

    def request_app_private_key(self, account, args):
        assert set(args) == {"request"}, args
        request = args["request"]
        assert set(request) == {"derivation_path", "app_public_key", "domain_id"}, request
        if request["domain_id"] != self.domain:
            raise Panic(f"The provided domain ID, {request['domain_id']}, was not found.")
        scheme, key = request["app_public_key"].split(":")
        assert scheme == "bls12381g1"
        self.asked.append((account, request["derivation_path"]))
        nonce = 0x5EED + len(self.asked)
        blinded = multiply(g1_of(unbase58(key)), nonce)
        big_c = add(self.signature(account, request["derivation_path"]), blinded)
        out = {
            "big_y": text("bls12381g1", compressed(multiply(G1, nonce))),
            "big_c": text("bls12381g1", compressed(big_c)),
            "scheme": "Bls12381",
        }
        return self.lie(out) if self.lie else out


class Dao:
    """The keystore DAO's contract, its init account and one member who votes."""

    def __init__(self, chain, mpc, account="dao.testnet", init="init.testnet"):
        self.chain, self.mpc, self.account, self.init = chain, mpc, account, init
        self.init_key = Ed25519PrivateKey.generate()
        self.measurements, self.approved, self.proposals = [], set(), []
        self.verified, self.banned = set(), set()
        self.without_tee = True  # takes what has no evidence, as none in production does
        self.methods = METHODS  # of keys that it grants
        self.grants = True  # adds the key with the vote
        chain.accounts.update({account: 10**26, init: 10**26})
        chain.contracts[account] = self
        chain.grant(init, "ed25519:" + base58(raw_public(self.init_key)), "FullAccess")

    def init_key_text(self):
        return near_secret(self.init_key)

    def view(self, method, args):
        answers = {
            "is_keystore_approved": ({"public_key"}, lambda a: a["public_key"] in self.approved),
            "is_measurements_approved": ({"measurements"}, lambda a: a["measurements"] in self.measurements),
            "get_proposal": ({"proposal_id"}, lambda a: self.proposal(a["proposal_id"])),
            "is_vault_verified": ({"vault_id"}, lambda a: a["vault_id"] in self.verified),
            "is_vault_banned": ({"vault_id"}, lambda a: a["vault_id"] in self.banned),
            "is_vault_code_approved": ({"code_hash"}, lambda a: a["code_hash"] == CODE),
        }
        if method not in answers:
            return None
        names, answer = answers[method]
        assert set(args) == names, (method, args)
        if method == "is_measurements_approved":
            assert set(args["measurements"]) == set(REGISTERS), args
        return answer(args)

    def proposal(self, number):
        return dict(self.proposals[number]) if number < len(self.proposals) else None

    def call(self, signer, method, args, gas):
        """What a transaction's function call returns; `Panic` for what the contract refuses."""
        if method == "submit_keystore_registration":
            return self.submit(signer, args)
        if method == "request_key":
            if signer != self.account:
                raise Panic("Only this contract may call")
            assert gas >= 100 * TERA, gas
            return self.mpc.request_app_private_key(self.account, args)
        if method in ("mark_vault_verified", "ban_vault"):
            (self.verified if method == "mark_vault_verified" else self.banned).add(args["vault_id"])
            return None
        raise Panic("MethodNotFound")

    def submit(self, signer, args):
        assert set(args) <= {"public_key", "tdx_quote_hex", "app_id"}, args
        if signer != self.init:
            raise Panic(f"Only {self.init} can submit registrations")
        if args["public_key"] in self.approved:
            raise Panic("Keystore already approved")
        kind, digits = args["public_key"].split(":")
        key = unbase58(digits)
        assert len(key) == {"ed25519": 32, "ml-dsa-65": 1952}[kind]
        binding = key if kind == "ed25519" else hashlib.sha256(key).digest()
        quote = bytes.fromhex(args["tdx_quote_hex"])
        measured = None
        if not (self.without_tee and quote == f"NO_ATTESTATION:pubkey={binding.hex()}".encode()):
            if quote[:2] != b"\4\0" or len(quote) < 632:
                raise Panic("Failed to parse TDX quote")
            measured = {name: quote[at : at + 48].hex() for name, at in REGISTERS.items()}
            if measured not in self.measurements:
                raise Panic(f"Worker measurements not approved. MRTD={measured['mrtd']}")
            if quote[568:632] != binding + bytes(32):
                raise Panic("Public key mismatch: provided key doesn't match TDX quote")
        number = len(self.proposals)
        self.proposals.append(
            {
                "id": number,
                "public_key": args["public_key"],
                "measurements": measured,
                "submitter": signer,
                "created_at": 1,
                "votes_for": 0,
                "votes_against": 0,
                "status": "Pending",
            }
        )
        return number

    def vote(self, number, approve=True):
        with self.chain.lock:
            proposal = self.proposals[number]
            assert proposal["status"] == "Pending", proposal
            proposal["status"] = "Executed" if approve else "Rejected"
            if approve:
                self.approve(proposal["public_key"])
            self.chain.move()

    def approve(self, key):
        self.approved.add(key)
        if self.grants:
            self.give_key(key)

    def give_key(self, key, **other):
        permission = {"allowance": str(10**24), "receiver_id": self.account, "method_names": list(self.methods)}
        self.chain.grant(self.account, key, {"FunctionCall": {**permission, **other}})


class VaultContract:
    """A customer's vault, whose one key is the keystore's."""

    def __init__(self, chain, dao, account="vault.testnet"):
        self.chain, self.dao, self.account = chain, dao, account
        self.unlocked = False
        chain.accounts[account] = 10**24
        chain.code[account] = CODE
        chain.contracts[account] = self

    def give_key(self, key):
        permission = {"allowance": None, "receiver_id": self.account, "method_names": ["request_master"]}
        self.chain.grant(self.account, key, {"FunctionCall": permission})

    def view(self, method, args):
        if method != "get_state":
            return None
        return {
            "keystore_dao": self.dao.account,
            "mpc_contract": "mpc.testnet",
            "recovery": None,
            "unlocked": self.unlocked,
        }

    def call(self, signer, method, args, gas):
        if method != "request_master":
            raise Panic("MethodNotFound")
        if signer != self.account:
            raise Panic("Only this contract may call")
        assert gas >= 150 * TERA, gas
        return self.dao.mpc.request_app_private_key(self.account, args)


def near_secret(key):
    """ "ed25519:" and the base58 of seed and public key."""
    return "ed25519:" + base58(key.private_bytes_raw() + raw_public(key))


def hmac_sha256(key, label):
    return hmac.digest(key, label.encode(), "sha256")


def vault_path(master, vault):
    return hmac_sha256(master, f"secret-path:vault-master:{vault}").hex()


def vault_key(master, vault):
    """The key with which a keystore of that master calls a vault's contract."""
    return Ed25519PrivateKey.from_private_bytes(hmac_sha256(master, f"outlayer.near:{vault}"))
