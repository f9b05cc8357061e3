fn main() -> std::process::ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let file = std::env::args().nth(3).unwrap();
    let sources = mesos_conductor::config::Sources::of_process(vec![file.into()], vec![], vec![]);
    let loaded = match mesos_conductor::config::load(&sources) { Ok(l) => l, Err(e) => { eprintln!("{e}"); return 78.into(); } };
    let s = loaded.settings;
    mesos_conductor::telemetry::init(s.telemetry.log_format, &mesos_conductor::telemetry::filter(&s)).unwrap();
    let rt = tokio::runtime::Runtime::new().unwrap();
    match rt.block_on(mesos_conductor::app::serve(s)) { Ok(()) => 0.into(), Err(e) => { eprintln!("{e:?}"); 1.into() } }
}
