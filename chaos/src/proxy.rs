//! A TCP proxy between the workers and what they stand on: it cuts, falls silent, refuses, and swallows the answer to a
//! commit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What passes, as its switches say.
#[derive(Debug)]
struct Switches {
    /// Every connection ends when this changes.
    cuts: watch::Sender<u64>,
    open: AtomicBool,
    silent: watch::Sender<bool>,
    /// Of so many commits the answer to one is swallowed; 0 is none.
    swallow_every: AtomicU32,
    commits: AtomicU32,
    swallowed: AtomicU32,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    switches: Arc<Switches>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let switches = Arc::new(Switches {
            cuts: watch::Sender::new(0),
            open: AtomicBool::new(true),
            silent: watch::Sender::new(false),
            swallow_every: AtomicU32::new(0),
            commits: AtomicU32::new(0),
            swallowed: AtomicU32::new(0),
        });
        let mut task = JoinSet::new();
        let shared = Arc::clone(&switches);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if shared.open.load(Ordering::Relaxed) {
                    connections.spawn(forward(client, target, Arc::clone(&shared)));
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, switches, _task: task })
    }

    /// Closes every connection.
    pub(crate) fn cut(&self) {
        self.switches.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Whether new connections are let through, or closed at once.
    pub(crate) fn set_open(&self, open: bool) {
        self.switches.open.store(open, Ordering::Relaxed);
    }

    /// Lets nothing through any more, and tells neither side.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.switches.silent.send_replace(silent);
    }

    /// Cuts the connection after each `every`th commit of the database, before its answer.
    pub(crate) fn swallow_commits(&self, every: u32) {
        self.switches.swallow_every.store(every, Ordering::Relaxed);
    }

    pub(crate) fn swallowed(&self) -> u32 {
        self.switches.swallowed.load(Ordering::Relaxed)
    }
}

async fn forward(client: TcpStream, target: SocketAddr, switches: Arc<Switches>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let mut cuts = switches.cuts.subscribe();
    cuts.mark_unchanged();
    let doomed = Arc::new(AtomicBool::new(false));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asking = Pipe { switches: Arc::clone(&switches), doomed: Arc::clone(&doomed), asks: true };
    let answering = Pipe { switches, doomed, asks: false };
    tokio::select! {
        () = asking.run(from_client, to_server) => {}
        () = answering.run(from_server, to_client) => {}
        _ = cuts.changed() => {}
    }
}

/// One direction of a connection.
struct Pipe {
    switches: Arc<Switches>,
    /// A commit was sent whose answer is to be swallowed.
    doomed: Arc<AtomicBool>,
    /// From the client to the server.
    asks: bool,
}

impl Pipe {
    async fn run(&self, mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin) {
        let mut silent = self.switches.silent.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(read) = from.read(&mut buffer).await else { return };
            if read == 0 || silent.wait_for(|silent| !silent).await.is_err() {
                return;
            }
            let Some(bytes) = buffer.get(..read) else { return };
            if self.asks {
                self.look_for_commit(bytes);
            } else if self.doomed.load(Ordering::Relaxed) {
                // The server has answered, so the commit is done; nobody hears of it.
                self.switches.swallowed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    fn look_for_commit(&self, bytes: &[u8]) {
        let every = self.switches.swallow_every.load(Ordering::Relaxed);
        if every == 0 || !bytes.windows(6).any(|window| window == b"COMMIT") {
            return;
        }
        if (self.switches.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every) {
            self.doomed.store(true, Ordering::Relaxed);
        }
    }
}
