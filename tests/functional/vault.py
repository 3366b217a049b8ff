"""A server with Vault's HTTP API, for tests that say exactly which request they send."""

from harness import request, start_dev


def vault_url(server):
    return next(line.split()[1] for line in server.lines if line.startswith("  vault "))


class Vault:
    """Requests with a root token, or with another one's `token`."""

    def __init__(self, server):
        self.server = server
        self.url = vault_url(server)
        self.root = self.operator_token("root")

    @classmethod
    def start(cls, data, *arguments):
        return cls(start_dev(data, "--set=vault.listen=127.0.0.1:0", *arguments))

    def stop(self):
        assert self.server.terminate() == 0, self.server.output

    def operator_token(self, *policies, **more):
        answer = self.server.call("POST", "/v1/vault/tokens", {"policies": list(policies), **more})
        assert answer.status == 200, answer
        return answer.json()["auth"]["client_token"]

    def call(self, method, path, body=None, token=None, namespace=None):
        headers = {"X-Vault-Token": self.root if token is None else token}
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        return request(self.url, method, "/v1/" + path, body, headers)

    def done(self, method, path, body=None, **how):
        """The same, which must succeed; its data or auth."""
        answer = self.call(method, path, body, **how)
        assert answer.status in (200, 204), answer
        return (answer.json()["data"] or answer.json()["auth"]) if answer.status == 200 else None

    def policy(self, name, rules, **how):
        self.done("PUT", f"sys/policies/acl/{name}", {"policy": rules}, **how)

    def token(self, *policies, token=None, namespace=None, **more):
        made = self.done(
            "POST", "auth/token/create", {"policies": list(policies), **more}, token=token, namespace=namespace
        )
        return made["client_token"]

    def alive(self, token, namespace=None):
        return self.call("GET", "auth/token/lookup-self", token=token, namespace=namespace).status == 200
