"""A CA with a client of it, and a client of another CA: for listeners that ask who connects."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject, key, issuer, issuer_key, ca):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def issue(folder):
    """Files: CA certificate, client of it with its key, client of a stranger's CA."""
    out = []
    for name in ("ours", "theirs"):
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = folder / f"{name}-ca.pem"
        ca.write_bytes(_certificate(name, ca_key, name, ca_key, True))
        client = folder / f"{name}-client.pem"
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        client.write_bytes(_certificate("proxy", key, name, ca_key, False) + pem)
        out += [ca, client]
    return out[0], out[1], out[3]
