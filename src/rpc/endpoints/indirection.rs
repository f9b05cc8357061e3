//! The indirection API: magnum-api reads and writes its objects through the conductor.
//!
//! Three methods serve every object. What an object can do is a [`Class`] in its own file; another object is another
//! file and a row of [`CLASSES`].

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::Value;

use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, Argument, bind, optional, required};
use crate::rpc::method::{Action, Answers, Call, CallError, Method};

mod app;
mod bay;
mod bay_lock;
mod bay_model;
mod magnum_service;
mod verbs;
mod x509_key_pair;

pub(super) use app::filter as app_filter;
pub(super) use verbs::{Editable, page as page_of, sorted};

/// Every class with methods that a client may call.
static CLASSES: &[&Class] = &[
    &app::CLASS,
    &bay::CLASS,
    &bay_model::CLASS,
    &x509_key_pair::CLASS,
    &magnum_service::CLASS,
    &bay_lock::CLASS,
];

/// An object's name and its remotable methods.
struct Class {
    name: &'static str,
    methods: &'static [Remotable],
}

/// A method of a class or of its instances.
struct Remotable {
    name: &'static str,
    writes: bool,
    run: Run,
}

enum Run {
    /// Called by `object_class_action`, with arguments of its own.
    OfClass { takes: &'static [Argument], run: for<'a> fn(&'a Ask<'a>) -> Answer<'a> },
    /// Called by `object_action`, on the object that comes with it.
    OfInstance(for<'a> fn(&'a Deed<'a>) -> Answer<'a>),
}

type Answer<'a> = BoxFuture<'a, Result<Action, CallError>>;

/// One call of a class's method.
struct Ask<'a> {
    call: &'a Call<'a>,
    takes: &'static [Argument],
    arguments: Map,
    /// The version to answer at.
    version: Version,
}

/// One call of an instance's method.
struct Deed<'a> {
    call: &'a Call<'a>,
    object: Object,
}

impl Remotable {
    const fn read(
        name: &'static str,
        takes: &'static [Argument],
        run: for<'a> fn(&'a Ask<'a>) -> Answer<'a>,
    ) -> Self {
        Self { name, writes: false, run: Run::OfClass { takes, run } }
    }

    const fn write(
        name: &'static str,
        takes: &'static [Argument],
        run: for<'a> fn(&'a Ask<'a>) -> Answer<'a>,
    ) -> Self {
        Self { name, writes: true, run: Run::OfClass { takes, run } }
    }

    /// A method of an instance that changes something.
    const fn act(name: &'static str, run: for<'a> fn(&'a Deed<'a>) -> Answer<'a>) -> Self {
        Self { name, writes: true, run: Run::OfInstance(run) }
    }

    /// A method of an instance that only reads.
    const fn look(name: &'static str, run: for<'a> fn(&'a Deed<'a>) -> Answer<'a>) -> Self {
        Self { name, writes: false, run: Run::OfInstance(run) }
    }

    fn is_of_class(&self) -> bool {
        matches!(self.run, Run::OfClass { .. })
    }
}

/// A remotable method, for those who list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotableMethod {
    pub object: &'static str,
    pub method: &'static str,
    /// Of the class (`object_class_action`), else of an instance (`object_action`).
    pub of_class: bool,
    pub writes: bool,
    /// Its arguments; those of an instance's method are not looked at.
    pub takes: Vec<&'static str>,
}

/// Every remotable method of every object.
pub fn remotable_methods() -> impl Iterator<Item = RemotableMethod> {
    let of_class = |class: &'static Class| {
        class.methods.iter().map(|method| RemotableMethod {
            object: class.name,
            method: method.name,
            of_class: method.is_of_class(),
            writes: method.writes,
            takes: match &method.run {
                Run::OfClass { takes, .. } => takes.iter().map(|taken| taken.name).collect(),
                Run::OfInstance(_) => Vec::new(),
            },
        })
    };
    CLASSES.iter().copied().flat_map(of_class)
}

fn class(name: &str) -> Result<&'static Class, Fault> {
    let found = CLASSES.iter().copied().find(|class| class.name == name);
    found.ok_or_else(|| Fault::UnsupportedObject(name.to_owned()))
}

fn remotable(class: &'static Class, name: &str, of_class: bool) -> Result<&'static Remotable, Fault> {
    let found = class.methods.iter().find(|method| method.name == name && method.is_of_class() == of_class);
    found.ok_or_else(|| Fault::NotSupported { operation: format!("{}.{name}", class.name) })
}

/// Whether the method that a call means writes; one that there is not does not.
fn writes(object: Option<&Value>, method: Option<&Value>, of_class: bool) -> bool {
    let (Some(object), Some(method)) = (object.and_then(Value::as_str), method.and_then(Value::as_str))
    else {
        return false;
    };
    class(object).and_then(|class| remotable(class, method, of_class)).is_ok_and(|method| method.writes)
}

/// A method of an object's class.
pub(super) struct ObjectClassAction;

#[async_trait]
impl Method for ObjectClassAction {
    fn name(&self) -> &'static str {
        "object_class_action"
    }

    fn answers(&self) -> Answers {
        Answers::ClassMethod
    }

    fn writes(&self, call: &Call<'_>) -> bool {
        writes(call.args().get("objname"), call.args().get("objmethod"), true)
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[
            required("objname").text(),
            required("objmethod").text(),
            required("objver").text(),
            required("args").list(),
            required("kwargs").dict(),
        ];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let args = call.args();
        let objname = arguments::text(args, "objname")?.unwrap_or_default();
        let objmethod = arguments::text(args, "objmethod")?.unwrap_or_default();
        let version = objects::version_or_latest(objname, arguments::text(args, "objver")?)?;
        let method = remotable(class(objname)?, objmethod, true)?;
        let Run::OfClass { takes, run } = &method.run else {
            return Err(Fault::NotSupported { operation: format!("{objname}.{objmethod}") }.into());
        };
        let positional = args.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
        let keywords = args.get("kwargs").and_then(Value::as_object).cloned().unwrap_or_default();
        let arguments = bind(method.name, takes, &positional, keywords)?;
        run(&Ask { call, takes, arguments, version }).await
    }
}

/// A method of an object.
pub(super) struct ObjectAction;

#[async_trait]
impl Method for ObjectAction {
    fn name(&self) -> &'static str {
        "object_action"
    }

    fn answers(&self) -> Answers {
        Answers::Changes
    }

    fn writes(&self, call: &Call<'_>) -> bool {
        let name =
            call.args().get("objinst").and_then(Object::name_in).or_else(|| call.args().get("objname"));
        writes(name, call.args().get("objmethod"), false)
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[
            required("objinst").any_object(),
            required("objmethod").text(),
            required("args").list(),
            required("kwargs").dict(),
            optional("objname").text(),
        ];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let args = call.args();
        let named = arguments::text(args, "objname")?;
        let object = objects::read(args.get("objinst").unwrap_or(&Value::Null), named)?;
        let objmethod = arguments::text(args, "objmethod")?.unwrap_or_default();
        let unsupported = || Fault::NotSupported { operation: format!("{}.{objmethod}", object.name()) };
        let class = class(object.name()).map_err(|_| unsupported())?;
        let Run::OfInstance(run) = &remotable(class, objmethod, false)?.run else {
            return Err(unsupported().into());
        };
        run(&Deed { call, object }).await
    }
}

/// An object at an older version, for a client that got one it does not know.
pub(super) struct ObjectBackport;

#[async_trait]
impl Method for ObjectBackport {
    fn name(&self) -> &'static str {
        "object_backport"
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[required("objinst").any_object(), required("target_version").text()];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let args = call.args();
        let object = Object::decode(args.get("objinst").unwrap_or(&Value::Null))?;
        let version = objects::version_or_latest(object.name(), arguments::text(args, "target_version")?)?;
        Ok(Action::Answer(objects::backport(&object, version)?.to_primitive()))
    }
}
