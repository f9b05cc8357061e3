//! The processes that are measured: started, looked at through `/proc`, ended.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::sleep;

/// How long a server may take to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(10);

/// In the kernel's table of connections.
const ESTABLISHED: &str = "01";

/// The CPU time of a process and of its children.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pid: u32,
    tick: Duration,
}

impl Cpu {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let asked = Command::new("getconf").arg("CLK_TCK").output().context("getconf")?;
        let per_second: u32 = String::from_utf8(asked.stdout)?.trim().parse().context("getconf CLK_TCK")?;
        Ok(Self { pid, tick: Duration::from_secs(1) / per_second })
    }

    /// In user and kernel mode, since the process began.
    pub(crate) fn read(&self) -> anyhow::Result<Duration> {
        Ok(self.tick * ticks(self.pid)?)
    }
}

/// Fields 14 to 17 of `stat`: its own time, and that of children it has waited for. Children that live are asked
/// themselves.
fn ticks(pid: u32) -> anyhow::Result<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the measured process has ended")?;
    // The second field is the program's name in parentheses, whatever it holds.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let mut total = 0;
    for field in fields.split(' ').skip(11).take(4) {
        total += field.parse::<u32>()?;
    }
    for child in children(pid) {
        // One that has ended meanwhile counts with its parent.
        total += ticks(child).unwrap_or_default();
    }
    Ok(total)
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let listed = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let numbers = |text: String| text.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<_>>();
    listed.flat_map(numbers).collect()
}

/// A server process. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts it, with both outputs in a file.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = fs::File::create(log)?;
        let errors = output.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child =
            child.with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        Cpu::of(self.child.id())
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(f64::from(kib) / 1024.0)
    }

    /// How many connections it has to these ports of this machine.
    pub(crate) fn connections(&self, ports: &HashSet<u16>) -> anyhow::Result<usize> {
        let pid = self.child.id();
        let open = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
        let sockets: HashSet<String> = open
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok()?.to_str().map(str::to_owned))
            .filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let table = fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
        let ours = table.lines().skip(1).filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (remote, state, inode) = (fields.get(2), fields.get(3), fields.get(9));
            let port = remote.and_then(|remote| u16::from_str_radix(remote.rsplit_once(':')?.1, 16).ok());
            state.is_some_and(|state| *state == ESTABLISHED)
                && port.is_some_and(|port| ports.contains(&port))
                && inode.is_some_and(|inode| sockets.contains(*inode))
        });
        Ok(ours.count())
    }

    /// Waits until a line of its log says what is looked for.
    pub(crate) async fn logged<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && self.child.try_wait()?.is_none() {
            let text = fs::read_to_string(&self.log)?;
            // The last line may not be written to its end yet.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(found) = whole.lines().find_map(&find) {
                return Ok(found);
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("a process did not start; its last words:\n{}", self.last_words())
    }

    /// The end of its log, for when something went wrong.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Tells it to stop, and waits.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let told = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let deadline = Instant::now() + PATIENCE;
        while told.success() && Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("a server did not end when it was told to; its last words:\n{}", self.last_words())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
