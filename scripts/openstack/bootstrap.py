"""What Keystone has to hold before Heat and a conductor can work with it. May be run again.

usage: bootstrap.py KEYSTONE_URL HEAT_URL REGION PASSWORD
"""

import sys

from keystoneauth1 import session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client

keystone_url, heat_url, region, password = sys.argv[1:]
admin = v3.Password(
    auth_url=keystone_url,
    username="admin",
    password=password,
    project_name="admin",
    user_domain_id="default",
    project_domain_id="default",
)
keystone = client.Client(session=session.Session(auth=admin))


def named(manager, name, make, **where):
    """The one of that name, made if there is none."""
    return next((one for one in manager.list(**where) if one.name == name), None) or make()


def domain(name):
    return named(keystone.domains, name, lambda: keystone.domains.create(name))


def project(name):
    return named(keystone.projects, name, lambda: keystone.projects.create(name, "default"), domain="default")


def user(name, home, **of_project):
    make = lambda: keystone.users.create(name, domain=home, password=password, **of_project)
    return named(keystone.users, name, make, domain=home)


def role(name):
    return named(keystone.roles, name, lambda: keystone.roles.create(name))


# Heat gives the second to the users that it makes for nodes, and wants neither of anybody else by default.
roles = {name: role(name) for name in ("admin", "member", "heat_stack_user")}
service = project("service")
for name in ("heat", "conductor"):
    keystone.roles.grant(roles["admin"], user=user(name, "default"), project=service)

# Two users of one project, and one of another.
for of_project, names in {"demo": ("demo", "colleague"), "other": ("stranger",)}.items():
    home = project(of_project)
    for name in names:
        keystone.roles.grant(roles["member"], user=user(name, "default"), project=home)

# The domain of the users that Heat makes for nodes, and the one of a bay's trustees.
for name, administrator in (("heat", "heat_domain_admin"), ("bays", "bays_domain_admin")):
    home = domain(name)
    keystone.roles.grant(roles["admin"], user=user(administrator, home), domain=home)

heat = named(keystone.services, "heat", lambda: keystone.services.create("heat", "orchestration"))
known = {endpoint.interface for endpoint in keystone.endpoints.list(service=heat)}
for interface in {"public", "internal", "admin"} - known:
    keystone.endpoints.create(heat, f"{heat_url}/v1/%(tenant_id)s", interface=interface, region=region)
