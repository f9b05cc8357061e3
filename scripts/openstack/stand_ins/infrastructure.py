"""Heat resources that stand in for those of Nova, Neutron, Octavia and Cinder.

Each is the real resource type with its own properties, attributes, constraints that need nobody's answer, and rules of
replacement: what the real type would refuse in a template is refused. Only what it would ask its service for is not
asked: the thing "exists" once it has an id. Addresses follow from the resource's number in Heat's database, so they
differ from each other and stay; they are of this machine, so that nothing that a worker sends to a node leaves it.

A server does what a node's first boot does at its end: it finds in its user data where to report, and reports there. Its
flavor may say otherwise, in words separated by dots:
  m1.fails        it cannot be made
  m1.slow30       it takes 30 seconds to be made
  m1.fails-from2  it cannot be made if its name ends in a number of 2 or more
"""

import base64
import json
import re
import time
import urllib.request
import uuid

from heat.common import exception
from heat.engine import resource
from heat.engine.resources.openstack.cinder import volume
from heat.engine.resources.openstack.neutron import (
    floatingip, net, port, router, security_group, security_group_rule, subnet,
)
from heat.engine.resources.openstack.nova import server, server_group
from heat.engine.resources.openstack.octavia import (
    health_monitor, listener, loadbalancer, pool, pool_member,
)

# What Nova takes, encoded.
LARGEST_USER_DATA = 65535

FIXED, FLOATING, VIRTUAL = (127, 10), (127, 20), (127, 30)


class Text:
    """Stands in for constraints that ask whether a name is known to a service."""

    message = "Value must not be empty"

    def validate(self, value, context):
        return bool(value)


class Optional(Text):
    """Of a key pair Heat takes an empty name for none."""

    def validate(self, value, context):
        return True


def address(prefix, number):
    return "%d.%d.%d.%d" % (*prefix, number // 250 % 250, number % 250 + 1)


class StandIn:
    """What all have in common; comes before the real type in the order of resolution."""

    @classmethod
    def is_service_available(cls, context):
        return True, None

    def translation_rules(self, properties):
        return []

    def validate(self):
        return resource.Resource.validate(self)

    def handle_create(self):
        self.resource_id_set(str(uuid.uuid4()))
        return time.time()

    def check_create_complete(self, begun):
        return True

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        return None

    def check_update_complete(self, updated):
        return True

    def handle_delete(self):
        return None

    def check_delete_complete(self, deleted):
        return True

    def handle_check(self):
        return None

    def needs_replace_failed(self):
        return True

    def prepare_for_replace(self):
        pass

    def restore_prev_rsrc(self, convergence=False):
        pass

    def get_reference_id(self):
        return self.resource_id or self.name

    def _show_resource(self):
        return {}

    def part(self, name):
        """The id of something that the service would have made along with this."""
        return str(uuid.uuid5(uuid.UUID(self.resource_id), name))

    def _resolve_attribute(self, name):
        known = {
            "fixed_ips": lambda: [{"subnet_id": self.part("subnet"), "ip_address": address(FIXED, self.id)}],
            "subnets": lambda: [{"id": self.part("subnet"), "cidr": "%d.%d.0.0/16" % FIXED}],
            "first_address": lambda: address(FIXED, self.id),
            "vip_address": lambda: address(VIRTUAL, self.id),
            "vip_port_id": lambda: self.part("port"),
            "floating_ip_address": lambda: address(FLOATING, self.id),
        }
        if name in known:
            return known[name]() if self.resource_id else None
        return self.properties[name] if name in self.properties else None


class Server(StandIn, server.Server):
    def handle_create(self):
        words = self.properties[self.FLAVOR].split(".")
        index = re.search(r"\d+$", self._server_name() or "")
        for word in words:
            limit = re.fullmatch(r"fails-from(\d+)", word)
            too_many = limit and index and int(index.group()) >= int(limit.group(1))
            if word == "fails" or too_many:
                raise exception.Error("No valid host was found. There are not enough hosts available.")
        return super().handle_create()

    def check_create_complete(self, begun):
        slow = re.search(r"\.slow(\d+)", self.properties[self.FLAVOR])
        if slow and time.time() < begun + int(slow.group(1)):
            return False
        self._boot()
        return True

    def _boot(self):
        user_data = self.get_software_config(self.properties[self.USER_DATA])
        encoded = len(base64.b64encode(user_data.encode()))
        if encoded > LARGEST_USER_DATA:
            raise exception.Error("User data too large. User data must be no larger than 64KB.")
        url, token = (self._setting(user_data, name) for name in ("ready_url", "ready_token"))
        body = json.dumps({"status": "SUCCESS", "reason": "booted", "id": self._server_name()})
        headers = {"Content-Type": "application/json", "X-Auth-Token": token}
        request = urllib.request.Request(url, body.encode(), headers, method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def _setting(self, user_data, name):
        """A value of the JSON that a node is given, however it is packed into its user data."""
        packed = re.findall(r"data:[^,\s\"]*(?:;base64)?,[^\"\s]+", user_data)
        unpacked = [urllib.request.urlopen(url).read().decode(errors="replace") for url in packed]
        for text in [user_data, user_data.replace('\\"', '"'), *unpacked]:
            found = re.search(r'"%s":\s*("(?:[^"\\]|\\.)*")' % name, text)
            if found:
                return json.loads(found.group(1))
        raise exception.Error("the node's user data has no %s" % name)


TYPES = {
    "Cinder::Volume": volume.CinderVolume,
    "Cinder::VolumeAttachment": volume.CinderVolumeAttachment,
    "Neutron::FloatingIP": floatingip.FloatingIP,
    "Neutron::FloatingIPAssociation": floatingip.FloatingIPAssociation,
    "Neutron::Net": net.Net,
    "Neutron::Port": port.Port,
    "Neutron::Router": router.Router,
    "Neutron::RouterInterface": router.RouterInterface,
    "Neutron::SecurityGroup": security_group.SecurityGroup,
    "Neutron::SecurityGroupRule": security_group_rule.SecurityGroupRule,
    "Neutron::Subnet": subnet.Subnet,
    "Nova::ServerGroup": server_group.ServerGroup,
    "Octavia::HealthMonitor": health_monitor.HealthMonitor,
    "Octavia::Listener": listener.Listener,
    "Octavia::LoadBalancer": loadbalancer.LoadBalancer,
    "Octavia::Pool": pool.Pool,
    "Octavia::PoolMember": pool_member.PoolMember,
}

ASK_A_SERVICE = (
    "cinder.snapshot", "cinder.volume", "cinder.vtype", "glance.image", "neutron.network", "neutron.port",
    "neutron.qos_policy", "neutron.router", "neutron.security_group", "neutron.segment", "neutron.subnet",
    "neutron.subnetpool", "nova.flavor", "nova.server", "octavia.availabilityzone",
    "octavia.flavor", "octavia.listener", "octavia.loadbalancer", "octavia.pool",
)


def resource_mapping():
    made = {f"StandIn::{name}": type(real.__name__, (StandIn, real), {}) for name, real in TYPES.items()}
    return {"StandIn::Nova::Server": Server, **made}


def constraint_mapping():
    return {"nova.keypair": Optional, **{name: Text for name in ASK_A_SERVICE}}
