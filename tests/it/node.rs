//! Node, with the packages that the tests and the example in it need.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// The folders of packages that `scripts/example-peers.sh` makes.
fn packages() -> OsString {
    let made = || {
        let folder = |name: &str| format!("{}/target/node/{name}/node_modules", env!("CARGO_MANIFEST_DIR"));
        format!("{}:{}", folder("example"), folder("asyncapi")).into()
    };
    let packages = std::env::var_os("CONDUCTOR_TEST_NODE_PATH").unwrap_or_else(made);
    assert!(
        std::env::split_paths(&packages).all(|folder| folder.exists()),
        "{} is not there: scripts/example-peers.sh (or `make test`) makes it, CONDUCTOR_TEST_NODE_PATH names it",
        packages.display()
    );
    packages
}

/// Runs a script to its end and returns what it printed.
pub(crate) async fn run(script: &Path, prepare: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut node = Command::new("node");
    node.arg(script).env("NODE_PATH", packages()).stdin(Stdio::null()).kill_on_drop(true);
    prepare(&mut node);
    let output = node.output().await.expect("Node starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{out}\n{err}", script.display(), output.status);
    out.into_owned()
}
