//! The sandbox as a process of its own, for the demo and for clients in other languages.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mesos_conductor_sandbox::{Config, KnownUser, MarathonConfig, Profile, Sandbox, known};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Stand-ins for Keystone, Heat, Marathon and Mesos with faults on demand")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until interrupted; the first line on standard output says where, as JSON.
    Serve {
        /// The address to listen on; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// How many times faster than a real cloud stacks are built (a create takes 300 s at speed 1).
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        speed: u32,
        /// How long a token is good for, in seconds.
        #[arg(long, default_value_t = 3600)]
        token_lifetime: u64,
        /// How many times faster than real ones the Marathons of bays are; as fast as stacks when absent.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        marathon_speed: Option<u32>,
        /// The release of Marathon that bays have, such as 0.8, 1.3 or 1.11.
        #[arg(long, default_value = "1.11", value_parser = parse_release)]
        marathon_release: Profile,
        /// The port at which the Marathon of a bay answers.
        #[arg(long, default_value_t = 8080)]
        marathon_port: u16,
        /// The same for a bay with TLS.
        #[arg(long, default_value_t = 8443)]
        marathon_tls_port: u16,
        /// The port at which the Mesos master of a bay answers.
        #[arg(long, default_value_t = 5050)]
        mesos_port: u16,
        /// Follow the first line with shell assignments (`OS_AUTH_URL` and so on) of the demo user.
        #[arg(long)]
        print_env: bool,
    },
}

fn parse_release(name: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.map(|profile| profile.name()).join(", ");
    Profile::of_release(name).ok_or_else(|| format!("known releases are {}", known()))
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Command::Serve {
        listen,
        speed,
        token_lifetime,
        marathon_speed,
        marathon_release,
        marathon_port,
        marathon_tls_port,
        mesos_port,
        print_env,
    } = Arguments::parse().command;
    let token_lifetime = std::time::Duration::from_secs(token_lifetime);
    let speed_of_bays = marathon_speed.unwrap_or(speed);
    let bays = MarathonConfig { speed: speed_of_bays, tls: true, ..MarathonConfig::of(marathon_release) };
    let config = Config {
        listen,
        token_lifetime,
        bays: Some(bays),
        marathon_port,
        marathon_tls_port,
        mesos_port,
        ..Config::at_speed(speed)
    };
    match serve(config, print_env).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, %listen, "cannot serve");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, print_env: bool) -> std::io::Result<()> {
    let sandbox = Sandbox::start(config).await?;
    let mut text = format!("{}\n", introduction(&sandbox));
    if print_env {
        text.push_str(&environment(&sandbox));
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    drop(out);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}

fn introduction(sandbox: &Sandbox) -> Value {
    let user = |user: KnownUser| json!({"id": user.id, "name": user.name, "password": user.password, "domain_id": user.domain.id});
    let project = |project: known::KnownProject| json!({"id": project.id, "name": project.name});
    json!({
        "url": sandbox.url(),
        "auth_url": sandbox.auth_url(),
        "control_url": format!("{}/control", sandbox.url()),
        "marathons_url": format!("{}/control/marathons", sandbox.url()),
        "region": known::REGION,
        "trustee_domain": {"id": known::TRUSTEE_DOMAIN.id, "name": known::TRUSTEE_DOMAIN.name},
        "users": {
            "admin": user(known::ADMIN_USER),
            "service": user(known::SERVICE_USER),
            "demo": user(known::DEMO_USER),
            "other": user(known::OTHER_USER),
            "trustee_domain_admin": user(known::TRUSTEE_DOMAIN_ADMIN),
        },
        "projects": {
            "admin": project(known::ADMIN_PROJECT),
            "service": project(known::SERVICE_PROJECT),
            "demo": project(known::DEMO_PROJECT),
            "other": project(known::OTHER_PROJECT),
        },
    })
}

/// The variables that the `openstack` command line reads.
fn environment(sandbox: &Sandbox) -> String {
    let (user, project) = (known::DEMO_USER, known::DEMO_PROJECT);
    format!(
        "export OS_IDENTITY_API_VERSION=3\nexport OS_AUTH_URL={}\nexport OS_REGION_NAME={}\n\
         export OS_USERNAME={}\nexport OS_PASSWORD={}\nexport OS_USER_DOMAIN_ID={}\n\
         export OS_PROJECT_NAME={}\nexport OS_PROJECT_DOMAIN_ID={}\n",
        sandbox.auth_url(),
        known::REGION,
        user.name,
        user.password,
        user.domain.id,
        project.name,
        known::DEFAULT_DOMAIN.id,
    )
}
