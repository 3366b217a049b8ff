"""TCP between nodes, for faults at a chosen moment: a wire stands where a node's address is, passes bytes on, and can hold a
question of a change before the node hears it, hold what it answers, or swallow everything between two sides.

What a node says is encrypted. TLS tells the sizes all the same, and they tell what is asked: each message of a channel is a
header of 5 bytes in a record of its own and then its bytes (docs/formats/channel.md)."""

import os
import pathlib
import socket
import threading

from harness import PATIENCE

HEADER = 5 + 17  # bytes of a TLS record with the header of a message: the tag, and the kind of the content
FIRST_QUESTION = 3  # before it a caller says hello, shows its evidence and says which node it is
SMALLEST = 80  # the questions of a change; whoever only looks how a node is asks with less


class Connection:
    def __init__(self, wire, caller):
        self.wire, self.caller = wire, caller
        self.callee = socket.create_connection(("127.0.0.1", wire.target), timeout=PATIENCE)
        self.caller.settimeout(None)
        self.callee.settimeout(None)
        self.owner, self.lost = None, False
        self.messages, self.buffer = -1, b""
        self.question = None  # (what was read of it, its size) while it is not passed on whole

    def close(self):
        for end in (self.caller, self.callee):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def pump(self, source, target, forward):
        try:
            while data := source.recv(1 << 16):
                if self.swallowed():
                    self.lost = True
                elif not forward:
                    self.wire.answers(self)
                    target.sendall(data)
                else:
                    self.pass_records(data, target)
            if self.lost:
                return  # nobody hears of its end either
        except OSError:
            pass
        self.close()

    def swallowed(self):
        away = self.wire.wires.away
        if not away:
            return False
        return (self.whose() in away) != (self.wire.node in away)

    def whose(self):
        """The node that calls."""
        if self.owner is None:
            self.owner = self.wire.wires.owner_of(self.caller.getpeername()[1])
        return self.owner

    def pass_records(self, data, target):
        """A message's header is kept back until the message is there whole, and then both wait for the wire."""
        self.buffer += data
        while len(self.buffer) >= 5:
            size = 5 + int.from_bytes(self.buffer[3:5])
            if len(self.buffer) < size:
                return
            record, self.buffer = self.buffer[:size], self.buffer[size:]
            if record[0] == 23 and size == 5 + HEADER:
                self.messages += 1
                self.question = record
                continue
            if self.question is not None:
                # Larger messages go on in further records, which follow when the first may pass.
                record, self.question = self.question + record, None
                if self.messages >= FIRST_QUESTION and len(record) - 5 - HEADER > SMALLEST:
                    self.wire.asked(self)
            target.sendall(record)


class Wire:
    def __init__(self, wires, node, target):
        self.wires, self.node, self.target = wires, node, target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._change = threading.Condition()
        self._hold = None  # number of questions until the one to hold, or whose answer is to be held
        self._by = None  # whose questions count: whoever deals asks members for their keys, too
        self._answers, self._waiting, self.reached = False, None, False
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            try:
                connection = Connection(self, caller)
            except OSError:
                caller.close()
                continue
            self.connections.append(connection)
            for ends in ((connection.caller, connection.callee, True), (connection.callee, connection.caller, False)):
                threading.Thread(target=connection.pump, args=ends, daemon=True).start()

    def hold(self, question, by, answers=False):
        """That node's question of a change with that number from now on (0: the next), or the answer to it."""
        with self._change:
            self._by = by
            self._hold, self._answers, self._waiting, self.reached = question, answers, None, False

    def asked(self, connection):
        with self._change:
            if self._hold is None or connection.whose() != self._by:
                return
            self._hold -= 1
            if self._hold >= 0:
                return
            if self._answers:
                self._waiting = connection
            else:
                self._stop()

    def answers(self, connection):
        with self._change:
            if self._waiting is connection:
                self._stop()

    def _stop(self):
        self.reached = True
        self._change.notify_all()
        assert self._change.wait_for(lambda: self._hold is None, PATIENCE)

    def wait_until_held(self):
        with self._change:
            assert self._change.wait_for(lambda: self.reached, PATIENCE), f"node {self.node} is not asked"

    def release(self):
        with self._change:
            self._hold = self._waiting = None
            self._change.notify_all()

    def cut(self):
        """As when the machine goes: what was held is lost."""
        for connection in self.connections:
            connection.close()
        self.connections.clear()
        self.release()

    def end(self):
        self._listening.close()
        self.cut()


class Wires:
    """away: nodes that are parted from all others. Bytes between the two sides are lost, and nobody hears of it."""

    def __init__(self):
        self.wires, self.away, self.processes = {}, frozenset(), {}

    def make(self, node, port):
        self.wires[node] = Wire(self, node, port)
        return self.wires[node].address

    def __getitem__(self, node):
        return self.wires[node]

    def part(self, *nodes):
        self.away = frozenset(nodes)

    def heal(self):
        self.away = frozenset()
        for wire in self.wires.values():
            for connection in wire.connections:
                if connection.lost:
                    connection.close()

    def owner_of(self, port):
        """The node whose socket has that port on this machine."""
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == port and fields[9] != "0":
                name = f"socket:[{fields[9]}]"
                for node, process in list(self.processes.items()):
                    if holds(process.pid, name):
                        return node
        return None

    def end(self):
        for wire in self.wires.values():
            wire.end()


def holds(pid, name):
    folder = f"/proc/{pid}/fd"
    try:
        return any(os.readlink(f"{folder}/{fd}") == name for fd in os.listdir(folder))
    except OSError:
        return False
