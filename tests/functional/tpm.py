"""A TPM 2.0 of a test's own: swtpm, which is the reference implementation behind a socket."""

import contextlib
import pathlib
import socket
import struct
import subprocess
import time

from harness import PATIENCE
from ports import free_ports

PCR_EXTEND, PASSWORD, SHA256 = 0x182, 0x40000009, 0x000B


class Tpm:
    """`folder` is its chip: another folder is another TPM. Stopped and started again its PCRs begin anew."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.port = free_ports(2)[0]
        while not self.try_start():  # somebody else has taken a port meanwhile
            self.port = free_ports(2)[0]

    @property
    def tcti(self):
        return f"swtpm:host=127.0.0.1,port={self.port}"

    def start(self):
        assert self.try_start(), "swtpm ended"

    def try_start(self):
        """False when it ended at once."""
        where = "type=tcp,bindaddr=127.0.0.1,port="
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "swtpm",
            "socket",
            "--tpm2",
            "--tpmstate",
            f"dir={self.folder}",
            "--server",
            f"{where}{self.port}",
        ]
        command += ["--ctrl", f"{where}{self.port + 1}", "--flags", "not-need-init,startup-clear"]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError):
                for port in (self.port + 1, self.port):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                return True
        raise AssertionError("swtpm does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def extend(self, pcr):
        """TPM2_PCR_Extend with a digest of ones (TPM 2.0 part 3, 22.2)."""
        session = struct.pack(">IHBH", PASSWORD, 0, 0, 0)
        body = struct.pack(">II", pcr, len(session)) + session + struct.pack(">IH", 1, SHA256) + b"\x01" * 32
        command = struct.pack(">HII", 0x8002, 10 + len(body), PCR_EXTEND) + body
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as channel:
            channel.sendall(command)
            answer = channel.recv(4096)
        assert struct.unpack(">I", answer[6:10])[0] == 0, answer.hex()


@contextlib.contextmanager
def tpm(folder):
    one = Tpm(folder)
    try:
        yield one
    finally:
        one.stop()
