//! RabbitMQ and PostgreSQL of the run's own: they are restarted, filled and cut off.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

/// A server that a script keeps for as long as its input is open. Each line told to it is answered by one.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    lines: Mutex<(Option<ChildStdin>, Lines<BufReader<ChildStdout>>)>,
    child: Child,
}

/// How long a server may take to end.
const END: Duration = Duration::from_secs(20);

impl Drop for Server {
    /// Waits for the end: whoever removes the server's directory before leaves a process that nobody can stop.
    #[expect(clippy::disallowed_methods, reason = "nothing else runs any more when the servers go")]
    fn drop(&mut self) {
        self.lines.get_mut().0.take();
        let deadline = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Server {
    /// Starts `script DIRECTORY PORT`, which prints the server's URL when it can be used.
    pub(crate) async fn start(script: &Path, directory: &Path, port: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let log = std::fs::File::create(directory.join("server.log"))?;
        let mut command = Command::new(script);
        command.arg(directory).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", script.display()))?;
        let input = child.stdin.take().context("no input")?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?).lines();
        let Some(url) = output.next_line().await? else {
            let log = std::fs::read_to_string(directory.join("server.log")).unwrap_or_default();
            bail!("{} did not start a server:\n{log}", script.display());
        };
        Ok(Self { url, lines: Mutex::new((Some(input), output)), child })
    }

    /// Tells the script to do something to the server, and waits until it is done.
    pub(crate) async fn tell(&self, line: &str) -> anyhow::Result<()> {
        let mut lines = self.lines.lock().await;
        let input = lines.0.as_mut().context("the server has ended")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        match lines.1.next_line().await?.as_deref() {
            Some("ok") => Ok(()),
            answer => bail!("the server was told `{line}` and answered {answer:?}"),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        let (_, rest) = self.url.split_once('@').context("a URL with credentials")?;
        let (address, _) = rest.split_once('/').context("a URL with a path")?;
        address.parse().context("an address")
    }

    /// The same server by way of a port of this machine.
    pub(crate) fn via(&self, port: u16) -> anyhow::Result<String> {
        Ok(self.url.replace(&self.address()?.to_string(), &format!("127.0.0.1:{port}")))
    }
}
