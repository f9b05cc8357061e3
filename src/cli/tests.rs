use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use clap::CommandFactory;
use mesos_conductor_proto::{codec::Map, failure::Failure};
use serde_json::{Value, json};

use super::{conductor::Conductor, *};

/// A conductor that gives prepared answers and keeps what it was asked.
#[derive(Default)]
pub(super) struct Scripted {
    answers: Mutex<VecDeque<Result<Value, Error>>>,
    asked: Mutex<Vec<(String, Map)>>,
}

impl Scripted {
    pub(super) fn new(answers: impl IntoIterator<Item = Result<Value, Error>>) -> Self {
        Self { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() }
    }

    /// The methods asked, those of objects as `Bay.get_by_uuid`.
    pub(super) fn methods(&self) -> Vec<String> {
        let name = |(method, args): &(String, Map)| match (args.get("objname"), args.get("objmethod")) {
            (Some(object), Some(method)) => {
                format!("{}.{}", object.as_str().unwrap(), method.as_str().unwrap())
            }
            (None, Some(action)) => action.as_str().unwrap().to_owned(),
            (_, None) => method.clone(),
        };
        self.asked.lock().unwrap().iter().map(name).collect()
    }

    /// The arguments of the first request for this method.
    pub(super) fn args(&self, method: &str) -> Value {
        let asked = self.asked.lock().unwrap();
        let (_, args) = asked.iter().find(|(name, _)| name == method).unwrap();
        Value::Object(args.clone())
    }
}

#[async_trait]
impl Conductor for Scripted {
    async fn call(&self, method: &str, args: Map) -> Result<Value, Error> {
        self.asked.lock().unwrap().push((method.to_owned(), args));
        self.answers.lock().unwrap().pop_front().expect("one more question than the test has answers")
    }

    async fn cast(&self, method: &str, args: Map) -> Result<(), Error> {
        self.asked.lock().unwrap().push((method.to_owned(), args));
        Ok(())
    }
}

pub(super) fn failure(class: &str, message: &str) -> Result<Value, Error> {
    Err(Error::Failure(Box::new(Failure::magnum(class, 404, message))))
}

/// What a command printed.
#[derive(Clone, Default)]
pub(super) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Printed {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// An output with what it prints as results and as progress.
pub(super) fn output(format: Format, terminal: bool) -> (Output, Printed, Printed) {
    let (results, progress) = (Printed::default(), Printed::default());
    let output = Output::new(format, Box::new(results.clone()), Box::new(progress.clone()), terminal);
    (output, results, progress)
}

/// The command of a command line.
pub(super) fn parse(line: &str) -> Command {
    Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}")).command
}

/// Runs a command that needs no broker; gives the exit code and what was printed.
fn run_line(line: &str) -> (u8, String, String) {
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    let (mut output, results, notes) = output(cli.global.format, false);
    let code = match run(cli, &mut output) {
        Ok(()) => 0,
        Err(error) => {
            output.fault(&error);
            error.exit_code()
        }
    };
    (code, results.text(), notes.text())
}

#[test]
fn the_arguments_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn configuration_flags_stand_before_or_after_the_command() {
    for line in [
        "x --config-file a --config-file b serve --set c.d=e",
        "x serve --config-file a --config-file b --set c.d=e",
    ] {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let after_both: Vec<_> =
            cli.global.config_file.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(after_both, ["a", "b"], "{line}");
        assert_eq!(cli.global.overrides, ["c.d=e"], "{line}");
    }
}

#[test]
fn faults_of_the_configuration_are_told_with_their_own_exit_code() {
    let (code, results, notes) =
        run_line("x config check --set database.max_pool_size=x --set conductor.poll_interval=soon");
    assert_eq!((code, results.as_str()), (78, ""));
    assert!(notes.contains("has 2 faults"), "{notes}");
    assert!(notes.contains("--set database.max_pool_size: [database] max_pool_size"), "{notes}");
    assert!(notes.contains("--set conductor.poll_interval: [conductor] poll_interval"), "{notes}");
}

#[test]
fn check_lists_warnings_and_notes() {
    let line = "x config check --set conductor.topik=a --set conductor.workers=2";
    let (code, results, _) = run_line(line);
    assert_eq!(code, 0);
    assert!(
        results.contains("warning: --set conductor.topik: [conductor] topik is not an option"),
        "{results}"
    );
    assert!(
        results.contains("note: --set conductor.workers: [conductor] workers is not used here"),
        "{results}"
    );
    assert!(results.ends_with("no faults and 1 warning\n"), "{results}");
    let (_, json, _) = run_line(&format!("{line} --format json"));
    let list: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert!(list.iter().any(|warning| warning["kind"] == "warning"), "{json}");
}

#[test]
fn show_prints_what_is_in_effect() {
    let (_, results, _) = run_line("x config show --set conductor.topic=t");
    assert!(results.contains("# from --set conductor.topic\ntopic = t\n"), "{results}");
    let (_, json, _) = run_line("x config show --set conductor.topic=t --format json");
    let shown: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(shown["conductor"]["topic"], json!({ "value": "t", "origin": "--set conductor.topic" }));
}

#[test]
fn every_generated_key_is_new_and_usable() {
    let (_, first, _) = run_line("x config keygen");
    let (_, second, _) = run_line("x config keygen");
    assert_ne!(first, second);
    let (code, ..) = run_line(&format!("x config check --set conductor.encryption_key={first}"));
    assert_eq!(code, 0);
}

#[tokio::test]
async fn call_prints_the_answer_and_cast_waits_for_none() {
    let conductor = Scripted::new([Ok(json!({"a": [1]}))]);
    let (mut output, results, _) = output(Format::Table, false);
    for line in ["x call ping_conductor --args {\"x\":1}", "x call bay_delete --cast --args {\"uuid\":\"u\"}"]
    {
        let Command::Call(call) = parse(line) else { panic!("{line}") };
        call.run_on(&conductor, &mut output).await.unwrap();
    }
    assert_eq!(conductor.args("ping_conductor"), json!({"x": 1}));
    assert_eq!(conductor.args("bay_delete"), json!({"uuid": "u"}));
    assert_eq!(results.text(), "{\n  \"a\": [\n    1\n  ]\n}\n");
}

#[test]
fn arguments_that_are_no_object_are_refused_without_repeating_them() {
    let error =
        Cli::try_parse_from(["x", "call", "m", "--context", "{\"auth_token\": \"s3cret\""]).unwrap_err();
    assert!(error.to_string().contains("not JSON: line 1"), "{error}");
    let error = Cli::try_parse_from(["x", "call", "m", "--args", "[1]"]).unwrap_err();
    assert!(error.to_string().contains("a JSON object is expected"), "{error}");
}

#[test]
fn a_table_is_aligned_and_json_is_whole() {
    let rows: Vec<Map> = serde_json::from_value(json!([
        {"uuid": "1", "name": "long name", "hidden": {"a": 1}},
        {"uuid": "22", "name": null, "addresses": ["a", "b"]},
    ]))
    .unwrap();
    let columns = ["uuid", "name", "addresses"];
    let (mut table, results, _) = output(Format::Table, false);
    table.rows(&rows, &columns).unwrap();
    assert_eq!(results.text(), "UUID  NAME       ADDRESSES\n1     long name\n22               a, b\n");
    let (mut whole, results, _) = output(Format::Json, false);
    whole.rows(&rows, &columns).unwrap();
    let read: Vec<Map> = serde_json::from_str(&results.text()).unwrap();
    assert_eq!(read, rows);
}

#[test]
fn a_terminal_gets_one_line_that_changes() {
    let (mut to_terminal, _, progress) = output(Format::Table, true);
    to_terminal.progress("longer");
    to_terminal.progress("short");
    to_terminal.note("done");
    assert_eq!(progress.text(), "\rlonger\rshort \ndone\n");
    let (mut to_file, _, progress) = output(Format::Table, false);
    to_file.progress("longer");
    to_file.progress("short");
    to_file.note("done");
    assert_eq!(progress.text(), "longer\nshort\ndone\n");
}
