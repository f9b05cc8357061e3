"""An unmodified oslo.messaging RPC client, driven over stdin.

A command is {"op": "call" | "cast" | "fanout", "method": ..., "args": {...}, "context": {...}} with, if wanted,
"id", "timeout", "call_monitor_timeout", "namespace", "version" and "server". Commands run side by side; each is
answered, when it has ended, by {"id": ..., "ok": result} or {"id": ..., "error": {...}}. The command
{"op": "stray_replies"} is answered by the number of replies that no call was waiting for (a second reply to an
answered call is one).
"""

import logging
import threading

import peer

import oslo_messaging


class StrayReplies(logging.Handler):
    """Counts what the library only says in its log."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        if str(record.msg).startswith("No calling threads waiting for msg_id"):
            self.count += 1


def describe(error):
    """Everything by which a caller could tell the exception that was raised to it."""
    found = {
        "class": type(error).__name__,
        "module": type(error).__module__,
        "message": str(error),
        "base_classes": [f"{base.__module__}.{base.__name__}" for base in type(error).__mro__[1:]],
        "args": [str(arg) for arg in error.args],
        "kwargs": getattr(error, "kwargs", None),
        "code": getattr(error, "code", None),
    }
    if isinstance(error, oslo_messaging.RemoteError):
        found["remote"] = {"class": error.exc_type, "message": error.value}
    return found


def run(transport, options, command, strays):
    """Does one command and prints its answer."""
    answer = {"id": command.get("id")}
    try:
        if command["op"] == "stray_replies":
            answer["ok"] = strays.count
        else:
            answer["ok"] = send(transport, options, command)
    except Exception as error:  # Whatever it is, it is what a caller of the library would see.
        answer["error"] = describe(error)
    peer.emit(answer)


def send(transport, options, command):
    """One call, cast or fanout cast; a cast has no result."""
    target = oslo_messaging.Target(
        exchange=options.exchange,
        topic=options.topic,
        namespace=command.get("namespace"),
        version=command.get("version", "1.0"),
        server=command.get("server"),
        fanout=command["op"] == "fanout" or None,
    )
    # Releases before 6.3 know no call_monitor_timeout.
    monitor = {key: command[key] for key in ("call_monitor_timeout",) if key in command}
    make_client = peer.library("get_rpc_client", "RPCClient")
    client = make_client(transport, target, timeout=command.get("timeout", 60), **monitor)
    invoke = client.call if command["op"] == "call" else client.cast
    return invoke(command.get("context", {}), command["method"], **command.get("args", {}))


def main():
    parser = peer.parser(__doc__)
    parser.add_argument("--allow", action="append", help="modules whose exceptions may be raised again here")
    options = parser.parse_args()
    conf, url = peer.configure(options)
    strays = StrayReplies()
    driver = logging.getLogger("oslo_messaging._drivers.amqpdriver")
    driver.setLevel(logging.INFO)
    driver.addHandler(strays)
    allowed = options.allow or ["magnum.common.exception"]
    make_transport = peer.library("get_rpc_transport", "get_transport")
    transport = make_transport(conf, url, allowed_remote_exmods=allowed)
    peer.ready()
    running = []
    for command in peer.commands():
        thread = threading.Thread(target=run, args=(transport, options, command, strays))
        thread.start()
        running.append(thread)
    for thread in running:
        thread.join()
    transport.cleanup()


if __name__ == "__main__":
    main()
