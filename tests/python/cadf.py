"""What pycadf has against a payload: it is taken apart and put together again as the library's own types, which check
each value that they are given.
"""

from pycadf import attachment, cadftype, event, resource

# What OpenStack's services say of an initiator beside the fields of a CADF resource.
BESIDE = {"user_id", "project_id", "domain_id", "request_id", "global_request_id", "attachments"}


def faults(payload):
    """A list of texts, empty for a valid event; None for what does not say that it is an event."""
    if not isinstance(payload, dict) or payload.get("typeURI") != cadftype.CADF_VERSION_1_0_0 + "event":
        return None
    unknown = sorted(set(payload) - set(event.EVENT_KEYNAMES))
    if unknown:
        return [f"{name} is no attribute of an event" for name in unknown]
    try:
        given = {name: payload.get(name) for name in ("eventType", "id", "eventTime", "action", "outcome")}
        missing = [f"{name} is missing" for name, value in given.items() if not value]
        parts = {name: _resource(payload[name]) for name in ("initiator", "target", "observer")}
        rebuilt = event.Event(**given, **parts)
        return missing + ([] if rebuilt.is_valid() else ["the event is not valid"])
    except (KeyError, TypeError, ValueError) as fault:
        return [f"{type(fault).__name__}: {fault}"]


def _resource(given):
    rebuilt = resource.Resource(**{name: value for name, value in given.items() if name not in BESIDE})
    for one in given.get("attachments", []):
        rebuilt.add_attachment(attachment.Attachment(**one))
    if not rebuilt.is_valid():
        raise ValueError(f"{given} is no valid resource")
    return rebuilt
