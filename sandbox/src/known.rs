//! The world a sandbox starts with: fixed ids, names and passwords, so that tests and demos need no set-up.

/// The region every catalog entry belongs to.
pub const REGION: &str = "RegionOne";

/// A domain that exists from the start.
#[derive(Debug, Clone, Copy)]
pub struct KnownDomain {
    pub id: &'static str,
    pub name: &'static str,
}

/// A project that exists from the start; all of them belong to [`DEFAULT_DOMAIN`].
#[derive(Debug, Clone, Copy)]
pub struct KnownProject {
    pub id: &'static str,
    pub name: &'static str,
}

/// A user that exists from the start. The passwords open nothing but a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct KnownUser {
    pub id: &'static str,
    pub name: &'static str,
    pub password: &'static str,
    pub domain: KnownDomain,
}

pub const DEFAULT_DOMAIN: KnownDomain = KnownDomain { id: "default", name: "Default" };
/// The domain in which the users of trusts are made.
pub const TRUSTEE_DOMAIN: KnownDomain =
    KnownDomain { id: "7d0aa110000000000000000000000001", name: "magnum" };

pub const ADMIN_PROJECT: KnownProject =
    KnownProject { id: "9a0e0000000000000000000000000001", name: "admin" };
pub const SERVICE_PROJECT: KnownProject =
    KnownProject { id: "9a0e0000000000000000000000000002", name: "service" };
pub const DEMO_PROJECT: KnownProject = KnownProject { id: "9a0e0000000000000000000000000003", name: "demo" };
pub const OTHER_PROJECT: KnownProject =
    KnownProject { id: "9a0e0000000000000000000000000004", name: "other" };

/// The cloud's administrator.
pub const ADMIN_USER: KnownUser = KnownUser {
    id: "05e20000000000000000000000000001",
    name: "admin",
    password: "admin-secret",
    domain: DEFAULT_DOMAIN,
};
/// The service user; role `admin`, also when scoped to a project of a tenant.
pub const SERVICE_USER: KnownUser = KnownUser {
    id: "05e20000000000000000000000000002",
    name: "magnum",
    password: "magnum-secret",
    domain: DEFAULT_DOMAIN,
};
/// A tenant with the roles `member` and `heat_stack_owner` on [`DEMO_PROJECT`].
pub const DEMO_USER: KnownUser = KnownUser {
    id: "05e20000000000000000000000000003",
    name: "demo",
    password: "demo-secret",
    domain: DEFAULT_DOMAIN,
};
/// A second tenant, with the same roles on [`OTHER_PROJECT`].
pub const OTHER_USER: KnownUser = KnownUser {
    id: "05e20000000000000000000000000004",
    name: "other",
    password: "other-secret",
    domain: DEFAULT_DOMAIN,
};
/// Role `admin` on [`TRUSTEE_DOMAIN`].
pub const TRUSTEE_DOMAIN_ADMIN: KnownUser = KnownUser {
    id: "05e20000000000000000000000000005",
    name: "trustee_domain_admin",
    password: "trustee-domain-secret",
    domain: TRUSTEE_DOMAIN,
};

pub(crate) const DOMAINS: [KnownDomain; 2] = [DEFAULT_DOMAIN, TRUSTEE_DOMAIN];
pub(crate) const PROJECTS: [KnownProject; 4] = [ADMIN_PROJECT, SERVICE_PROJECT, DEMO_PROJECT, OTHER_PROJECT];
pub(crate) const USERS: [KnownUser; 5] =
    [ADMIN_USER, SERVICE_USER, DEMO_USER, OTHER_USER, TRUSTEE_DOMAIN_ADMIN];

/// Every role of the deployment, as `(id, name)`.
pub(crate) const ROLES: [(&str, &str); 5] = [
    ("401e0000000000000000000000000001", "admin"),
    ("401e0000000000000000000000000002", "member"),
    ("401e0000000000000000000000000003", "reader"),
    ("401e0000000000000000000000000004", "heat_stack_owner"),
    ("401e0000000000000000000000000005", "heat_stack_user"),
];
