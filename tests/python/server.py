"""An unmodified oslo.messaging RPC server, for what calls it."""

import time

import peer

import oslo_messaging
from magnum.common import exception


class Endpoint:
    """One method for each way in which a call can end."""

    target = oslo_messaging.Target(version="1.1")

    def echo(self, ctxt, value):
        return value

    def none(self, ctxt):
        return None

    def context(self, ctxt):
        """What the request's context looked like from here."""
        return ctxt

    def boom(self, ctxt, text):
        raise ValueError(text)

    def refuse(self, ctxt, text):
        raise exception.InvalidParameterValue(text)

    def slow(self, ctxt, seconds):
        time.sleep(seconds)
        return seconds


class Spaced:
    """The same names may mean something else in a namespace."""

    target = oslo_messaging.Target(namespace="spaced", version="1.0")

    def echo(self, ctxt, value):
        return {"spaced": value}


def main():
    parser = peer.parser(__doc__)
    parser.add_argument("--server", default="python", help="the name of this server on the topic")
    options = parser.parse_args()
    conf, url = peer.configure(options)
    transport = oslo_messaging.get_rpc_transport(conf, url)
    target = oslo_messaging.Target(exchange=options.exchange, topic=options.topic, server=options.server)
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint(), Spaced()])
    server.start()
    peer.ready()
    peer.wait_for_end()
    server.stop()
    server.wait()
    transport.cleanup()


if __name__ == "__main__":
    main()
