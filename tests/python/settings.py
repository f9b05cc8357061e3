"""Unmodified oslo.messaging beside the conductor: the same options, the same queues.

A command on stdin is {"op": "options"}: answered by the name and the default of every option of
[oslo_messaging_rabbit]; or {"op": "meet", "url": ..., "exchange": ..., "topic": ..., "server": ..., "method": ...,
"args": ..., "serve": ...}: a method of the server of that name (or of any) is called with the options in the URL's
query, answered by what it replied; with "serve" a server of its own is started on the topic before; or {"op": "part"},
which ends what "meet" began. One command is done after the other.
"""

import os
import sys
import tempfile

import peer

import oslo_messaging
from oslo_messaging._drivers import amqp, impl_rabbit


class Endpoint:
    """What the peer's own server offers."""

    def echo(self, ctxt, **kwargs):
        return {"python": kwargs}


class Meeting:
    """A transport with its options, and what uses it."""

    def __init__(self, conf, command):
        self.server = None
        self.transport = oslo_messaging.get_rpc_transport(conf, command["url"])
        self.where = {"exchange": command["exchange"], "topic": command["topic"]}
        if command["serve"]:
            mine = oslo_messaging.Target(server="python", **self.where)
            self.server = oslo_messaging.get_rpc_server(self.transport, mine, [Endpoint()], executor="threading")
            self.server.start()

    def call(self, command):
        theirs = oslo_messaging.Target(server=command["server"], **self.where)
        client = oslo_messaging.get_rpc_client(self.transport, theirs, timeout=15)
        return client.call({}, command["method"], **command["args"])

    def part(self):
        if self.server:
            self.server.stop()
            self.server.wait()
        self.transport.cleanup()


def options():
    """What the library would take, in its own order; what depends on the machine is not told."""
    found = amqp.amqp_opts + impl_rabbit.rabbit_opts
    return [[option.name, "(of the machine)" if option.sample_default else str(option.default)] for option in found]


def main():
    # The queue manager counts in a file, under a lock.
    os.environ["OS_OSLO_CONCURRENCY__LOCK_PATH"] = tempfile.mkdtemp()
    parser = peer.parser(__doc__)
    given = parser.parse_args(["--url", "rabbit://", "--topic", "none", *sys.argv[1:]])
    conf, _ = peer.configure(given)
    meeting = None
    for command in peer.commands():
        answer = {}
        try:
            if command["op"] == "options":
                answer["ok"] = options()
            elif command["op"] == "meet":
                meeting = Meeting(conf, command)
                answer["ok"] = meeting.call(command)
            else:
                meeting.part()
                answer["ok"] = None
        except Exception as error:  # Whatever it is, the test is to see it.
            answer["error"] = f"{type(error).__name__}: {error}"
        peer.emit(answer)


if __name__ == "__main__":
    main()
