//! Where and with what a run was made: numbers without that mean nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use time::OffsetDateTime;
use time::macros::format_description;

/// What the numbers depend on.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// How many processes wanted to run when the run began, on average over a minute.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn look() -> anyhow::Result<Self> {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let names: Vec<&str> =
            cpuinfo.lines().filter(|line| line.starts_with("model name")).filter_map(value).collect();
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let memory = meminfo.lines().next().and_then(value).context("/proc/meminfo")?;
        let memory: u64 = memory.trim_end_matches(" kB").parse()?;
        let load = fs::read_to_string("/proc/loadavg")?;
        let git = |args: &[&str]| said(Path::new("git"), args);
        let changed =
            !git(&["status", "--porcelain", "-uno", "--", "src", "proto", "bench", "sandbox"])?.is_empty();
        Ok(Self {
            date: OffsetDateTime::now_utc().format(&format)?,
            commit: git(&["rev-parse", "--short", "HEAD"])? + if changed { " with changes" } else { "" },
            processor: format!("{} x {}", names.len(), names.first().copied().unwrap_or("unknown")),
            memory_gib: memory / 1024 / 1024,
            // What follows the version is a name that the machine's owner gave.
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .split(['-', '+'])
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

/// The versions of a Python and of what the server in Python is made of.
pub(crate) fn python_versions(python: &Path) -> anyhow::Result<String> {
    let versions = "import platform; from importlib.metadata import version as v; print('Python ' + \\
        platform.python_version() + ''.join(f', {name} {v(name)}' for name in \\
        ('oslo.messaging', 'SQLAlchemy', 'psycopg')))";
    said(python, &["-c", versions])
}

fn said(program: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(args).output();
    let output = output.with_context(|| program.display().to_string())?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn value(line: &str) -> Option<&str> {
    line.split_once(':').map(|(_, value)| value.trim())
}
