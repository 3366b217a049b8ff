"""An operator's side, written from the formats: Ed25519 keys, DSSE envelopes, approvals."""

import base64
import datetime
import hashlib
import json
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PAYLOAD_TYPE = "application/vnd.attestry.approval.v1+json"


def canonical(value):
    """RFC 8785 for what approvals hold: strings and integers."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def rfc3339(seconds_from_now):
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def pre_authentication(payload, payload_type=PAYLOAD_TYPE):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


def public_hex(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def envelope(payload, keys, payload_type=PAYLOAD_TYPE):
    message = pre_authentication(payload, payload_type)
    return {
        "payloadType": payload_type,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(key.sign(message)).decode()} for key in keys],
    }


class Operator:
    """One key, on one server, for one tenant."""

    def __init__(self, server, tenant="default", add=True):
        self.server, self.tenant = server, tenant
        self.key = Ed25519PrivateKey.generate()
        if add:
            self.add()

    @property
    def public(self):
        return public_hex(self.key)

    def path(self, rest):
        return f"/v1/tenants/{self.tenant}{rest}"

    def add(self, name="an operator"):
        reply = self.server.call("PUT", self.path(f"/operators/{self.public}"), {"name": name})
        assert reply.status == 200, reply

    def app(self, app):
        reply = self.server.call("GET", self.path("/apps/" + urllib.parse.quote(app, safe="")))
        assert reply.status == 200, reply
        return reply.json()

    def blob(self, content):
        if not isinstance(content, bytes):
            content = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        reply = self.server.call("POST", self.path("/blobs"), content, {"Content-Type": "application/octet-stream"})
        assert reply.status == 201, reply
        assert reply.json() == {"id": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return reply.json()["id"]

    def secret(self, app, name, value):
        body = {"value": base64.urlsafe_b64encode(value).decode().rstrip("=")}
        path = self.path(f"/apps/{urllib.parse.quote(app, safe='')}/secrets/{name}")
        reply = self.server.call("PUT", path, body)
        assert reply.status == 201, reply
        return reply.json()["id"]

    def payload(self, app, action, subject, /, **changes):
        """What an approval that would be accepted now says."""
        state = None if action == "app.create" else self.app(app)
        said = {
            "v": 1,
            "audience": self.server.origin,
            "realm": "simulated",
            "tenant": self.tenant,
            "app": app,
            "action": action,
            "subject": subject,
            "policy_sha256": (state["policy"] or "") if state else "",
            "seq": state["seq"] + 1 if state else 1,
            "prev": state["prev"] if state else "",
            "expires": rfc3339(3600),
        }
        return canonical({**said, **changes})

    def send(self, document):
        return self.server.call("POST", "/v1/approvals", document)

    def try_to(self, app, action, subject, /, keys=None, **changes):
        return self.send(envelope(self.payload(app, action, subject, **changes), keys or [self.key]))

    def approve(self, app, action, subject, /, keys=None, **changes):
        reply = self.try_to(app, action, subject, keys, **changes)
        assert reply.status == 201, reply
        return reply.json()

    def make_app(self, app, mrtd, configuration=None, secrets=None, policy=None):
        """An app that releases to the TD of that measurement. Returns the content ids."""
        ids = {}
        self.approve(app, "app.create", app)
        ids["policy"] = self.blob(policy or {"format": 1, "name": "test"})
        self.approve(app, "policy.approve", ids["policy"])
        ids["identity"] = self.blob({"name": f"{app} at {mrtd[:8]}", "claims": {"mrtd": [mrtd]}})
        self.approve(app, "identity.approve", ids["identity"])
        for name, value in (secrets or {}).items():
            ids[name] = self.secret(app, name, value)
            self.approve(app, "secret.approve", ids[name])
        if configuration is not None:
            ids["configuration"] = self.blob(configuration)
            self.approve(app, "configuration.approve", ids["configuration"])
        return ids
