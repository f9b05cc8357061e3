//! What the documents say of the code is there, and what the code has is in the documents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mesos_conductor::operation::record::Kind;
use mesos_conductor::{operation, rpc};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first backquoted name in each heading of that level.
fn headings(text: &str, level: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(level)?.strip_prefix(" `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_method_has_its_heading_and_every_heading_its_method() {
    let served: BTreeSet<String> = rpc::method_names().map(str::to_owned).collect();
    assert_eq!(headings(&document("docs/RPC.md"), "###"), served);
}

/// The rows of the tables of remotable methods, as far as the code knows them.
fn remotable_rows(text: &str) -> BTreeSet<String> {
    let of_objects = text.lines().filter(|line| line.starts_with("| `") && line.contains('.'));
    let method = |line: &str| {
        let name = line.strip_prefix("| `")?.split_once("` |")?.0;
        let (object, method) = name.split_once('.')?;
        (object.starts_with(char::is_uppercase) && !method.contains(' ')).then_some(())?;
        let takes = line.split(" | ").nth(1)?;
        let of_class = takes.starts_with('`') && text.find(line)? < text.find("### `object_action`")?;
        Some(if of_class { format!("{name}({takes})") } else { name.to_owned() })
    };
    of_objects.filter_map(method).collect()
}

#[test]
fn every_remotable_method_has_its_row_and_every_row_its_method() {
    let served: BTreeSet<String> = rpc::remotable_methods()
        .map(|remotable| {
            let name = format!("{}.{}", remotable.object, remotable.method);
            let takes = format!("`{}`", remotable.takes.join("`, `"));
            if remotable.of_class { format!("{name}({takes})") } else { name }
        })
        .collect();
    assert_eq!(remotable_rows(&document("docs/RPC.md")), served);
}

#[test]
fn every_method_of_other_bay_types_is_named() {
    let text = document("docs/RPC.md");
    let (_, part) = text.split_once("### Methods for other types of bays").expect("the chapter is there");
    let (part, _) = part.split_once("\n## ").expect("another chapter follows");
    let named: BTreeSet<&str> = part.split('`').filter(|word| word.contains('_')).collect();
    assert_eq!(named, rpc::unsupported_names().collect::<BTreeSet<_>>());
}

#[test]
fn every_step_of_every_operation_is_in_the_architecture() {
    let text = document("docs/ARCHITECTURE.md");
    for kind in Kind::ALL {
        let steps = operation::steps::names(*kind);
        let row = format!("| `{}` | `{}` |", kind.as_str(), steps.join("`, `"));
        assert!(text.contains(&row), "docs/ARCHITECTURE.md lacks the row\n{row}");
    }
}

/// The paths that a document names between backquotes or as link targets.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    const ROOTS: [&str; 9] =
        ["config/", "docs/", "e2e/", "migrations/", "proto/", "sandbox/", "scripts/", "src/", "tests/"];
    text.split(['`', '(', ')', ' ', '\n', ',', ';'])
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| ROOTS.iter().any(|root| word.starts_with(root)))
        .filter(|word| !word.contains(['*', '<', '{']))
}

#[test]
fn every_path_that_a_document_names_exists() {
    for name in [
        "README.md",
        "SECURITY.md",
        "docs/ARCHITECTURE.md",
        "docs/BAYS.md",
        "docs/COMPATIBILITY.md",
        "docs/DECISIONS.md",
        "docs/E2E.md",
        "docs/GAPS.md",
        "docs/OPERATIONS.md",
        "docs/RPC.md",
    ] {
        let text = document(name);
        let missing: Vec<PathBuf> =
            paths(&text).map(|path| root().join(path)).filter(|path| !path.exists()).collect();
        assert!(missing.is_empty(), "{name} names what is not there: {missing:?}");
    }
}

#[test]
fn every_metric_is_in_the_operations_manual_with_its_help() {
    let text = document("docs/OPERATIONS.md");
    for (name, help) in mesos_conductor::telemetry::metrics::ALL {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        assert!(row.is_some_and(|row| row.contains(help.trim())), "docs/OPERATIONS.md lacks {name}: {help}");
    }
}

/// The functions that a text names between backquotes, each with the file named before it.
fn functions(text: &str) -> Vec<(&str, &str)> {
    let mut file = "";
    let mut found = Vec::new();
    for word in text.split('`').skip(1).step_by(2) {
        if word.ends_with(".rs") {
            file = word;
        } else if !file.is_empty() {
            found.push((file, word));
        }
    }
    found
}

#[test]
fn every_gap_has_tests_that_exist_or_says_why_not() {
    const GAPS: usize = 42;
    let text = document("docs/GAPS.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| G-"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(numbers, (1..=GAPS).map(|number| format!("G-{number}")).collect::<Vec<_>>());
    for row in rows {
        let [gap, _, here] = row[..] else { panic!("{row:?} has not three columns") };
        let shown = functions(here);
        let excused = here.contains("Not yet: ") || here.contains("Not here: ");
        assert!(!shown.is_empty() || excused, "{gap} has neither a test nor a reason");
        for (file, name) in shown {
            assert!(document(file).contains(&format!("fn {name}(")), "{gap}: {file} has no `{name}`");
        }
    }
}
