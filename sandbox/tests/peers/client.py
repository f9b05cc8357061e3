"""The PyPI package `marathon` drives a Marathon through everything it can do; any disagreement is an exception.

    python client.py URL[,URL...] [USER PASSWORD]

The package talks to the first server that answers. Prints one line of JSON with what it did.
"""

import collections
import collections.abc
import json
import sys
import threading
import time

# The package's last release names what Python 3.10 has dropped; otherwise it is as published.
collections.Iterable = collections.abc.Iterable

from marathon import MarathonClient
from marathon.exceptions import ConflictError, MarathonHttpError, NotFoundError
from marathon.models import MarathonApp, MarathonGroup, MarathonHealthCheck
from marathon.models.events import MarathonDeploymentSuccess

DEADLINE = 30


def eventually(condition):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("the deadline has passed")


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"nothing was raised; expected {kind}")


def main():
    servers = sys.argv[1].split(",")
    user, password = (sys.argv[2:] + [None, None])[:2]
    client = MarathonClient(servers, username=user, password=password)
    did = []

    assert client.ping().strip().strip(b'"') == b"pong"
    info = client.get_info()
    release = tuple(int(part) for part in info.version.split(".")[:2])
    assert client.get_leader()["leader"] == info.leader
    did.append(f"version {info.version}")

    finished = []
    # The package stops at the first deployment event whose plan it cannot read: before 1.0 the stand-in tells steps as
    # lists, as `/v2/deployments` does there; from 1.7 on a plan lacks the groups that it leads from and to.
    hears = (1, 0) <= release < (1, 7)
    if hears:
        attached = threading.Event()

        def listen():
            for event in client.event_stream():
                attached.set()
                if isinstance(event, MarathonDeploymentSuccess):
                    finished.append(event.id)

        threading.Thread(target=listen, daemon=True).start()
        assert attached.wait(DEADLINE)

    def settled():
        eventually(lambda: not client.list_deployments() and not client.get_app("/web").deployments)

    check = MarathonHealthCheck(protocol="HTTP", path="/", interval_seconds=1, grace_period_seconds=5)
    app = MarathonApp(cmd="sleep 100", cpus=0.1, mem=16, instances=2, labels={"env": "prod"}, health_checks=[check])
    created = client.create_app("/web", app)
    assert created.id == "/web" and created.deployments, created
    eventually(lambda: client.get_app("/web").tasks_healthy == 2)
    settled()
    assert finished == ([created.deployments[0].id] if hears else []), finished
    assert [a.id for a in client.list_apps(label="env==prod", embed_tasks=True)] == ["/web"]
    tasks = client.list_tasks("/web")
    assert len(tasks) == 2 and all(t.health_check_results[0].alive for t in tasks)
    assert len(client.list_endpoints()) == 2
    did.append("create")

    assert raises(ConflictError, lambda: client.create_app("/web", app)).status_code == 409
    assert raises(NotFoundError, lambda: client.get_app("/none")).error_message == "App '/none' does not exist"
    invalid = raises(MarathonHttpError, lambda: client.create_app("/bad", MarathonApp(instances=1)))
    assert invalid.status_code == 422, invalid
    did.append("refusals")

    client.scale_app("/web", instances=3)
    eventually(lambda: client.get_app("/web").tasks_running == 3)
    settled()
    first = client.list_versions("/web")[-1]
    assert client.get_version("/web", first).instances == 2
    client.rollback_app("/web", first)
    eventually(lambda: client.get_app("/web").tasks_running == 2)
    settled()
    client.restart_app("/web")
    settled()
    did.append("scale, rollback, restart")

    victim = client.list_tasks("/web")[0].id
    assert client.kill_task("/web", victim).id == victim
    eventually(lambda: victim not in [t.id for t in client.list_tasks("/web")])
    eventually(lambda: client.get_app("/web").tasks_healthy == 2)
    did.append("kill")

    big = client.create_app("/big", MarathonApp(cmd="sleep 100", cpus=1000, mem=16))
    queued = eventually(lambda: [item for item in client.list_queue(embed_last_unused_offers=True)])
    assert queued[0].app.id == "/big" and queued[0].count == 1
    eventually(lambda: any(d.id == big.deployments[0].id for d in client.list_deployments()))
    client.delete_deployment(big.deployments[0].id)
    eventually(lambda: not client.list_deployments())
    raises(NotFoundError, lambda: client.get_app("/big"))
    did.append("queue, rollback of a create")

    child = MarathonApp(id="db", cmd="sleep 100", cpus=0.1, mem=16)
    client.create_group(MarathonGroup(id="/shop", apps=[child]))
    assert [a.id for a in client.get_group("/shop").apps] == ["/shop/db"]
    eventually(lambda: not client.list_deployments() and client.get_app("/shop/db").tasks_running == 1)
    client.delete_group("/shop")
    eventually(lambda: not client.list_deployments())
    client.delete_app("/web")
    eventually(lambda: not client.list_deployments() and not client.list_apps())
    did.append("groups, delete")
    print(json.dumps({"did": did, "deployments_seen": len(finished)}))


main()
