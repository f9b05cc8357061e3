"""An unmodified oslo.messaging notification listener that prints what it gets, one notification a line."""

import threading

import cadf
import peer

import oslo_messaging

PRIORITIES = ("audit", "debug", "info", "warn", "error", "critical", "sample")


class Printer:
    """An endpoint with one method for each priority, as the library wants it."""

    def __init__(self):
        for priority in PRIORITIES:
            setattr(self, priority, self._printer(priority))

    @staticmethod
    def _printer(priority):
        def show(ctxt, publisher_id, event_type, payload, metadata):
            peer.emit(
                {
                    "priority": priority,
                    "ctxt": ctxt,
                    "publisher_id": publisher_id,
                    "event_type": event_type,
                    "payload": payload,
                    "metadata": metadata,
                    "cadf_faults": cadf.faults(payload),
                }
            )

        return show


def main():
    parser = peer.parser(__doc__)
    parser.add_argument("--pool", help="the name of an own queue, beside other listeners")
    options = parser.parse_args()
    conf, url = peer.configure(options)
    make_transport = peer.library("get_notification_transport", "get_transport")
    transport = make_transport(conf, url)
    target = oslo_messaging.Target(exchange=options.exchange, topic=options.topic)
    listener = oslo_messaging.get_notification_listener(transport, [target], [Printer()], pool=options.pool)
    if int(peer.RELEASE.split(".")[0]) < 5:
        # The default executor of these releases consumes within start(). The others, which do not, acknowledge in
        # other threads than they consume in, and kombu can not be used so.
        threading.Thread(target=listener.start, daemon=True).start()
        peer.ready()
        peer.wait_for_end()
        return
    listener.start()
    peer.ready()
    peer.wait_for_end()
    listener.stop()
    listener.wait()
    transport.cleanup()


if __name__ == "__main__":
    main()
