//! The load: so many callers at once, each of which calls again as soon as it is answered.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::process::Cpu;

/// What a load met.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) calls_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Seconds of the measured process, per thousand calls.
    pub(crate) cpu_per_thousand: f64,
}

/// Calls for about `lasting`, and until the last call is answered, and says what that cost `cpu`'s process.
pub(crate) async fn measure<Call, Answered>(
    in_flight: usize,
    lasting: Duration,
    cpu: &Cpu,
    call: Call,
) -> anyhow::Result<Sample>
where
    Call: Fn(usize) -> Answered + Clone + Send + 'static,
    Answered: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let used = cpu.read()?;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..in_flight {
        callers.spawn(repeat(caller, in_flight, began + lasting, call.clone()));
    }
    let mut latencies = Vec::new();
    while let Some(caller) = callers.join_next().await {
        latencies.extend(caller??);
    }
    let took = began.elapsed();
    let used = cpu.read()?.saturating_sub(used);
    ensure!(!latencies.is_empty(), "no call was answered");
    latencies.sort_unstable();
    let calls = f64::from(u32::try_from(latencies.len())?);
    Ok(Sample {
        calls_per_second: calls / took.as_secs_f64(),
        p50_ms: percentile(&latencies, 50),
        p99_ms: percentile(&latencies, 99),
        cpu_per_thousand: used.as_secs_f64() / calls * 1000.0,
    })
}

async fn repeat<Call, Answered>(
    first: usize,
    step: usize,
    end: Instant,
    call: Call,
) -> anyhow::Result<Vec<Duration>>
where
    Call: Fn(usize) -> Answered,
    Answered: Future<Output = anyhow::Result<()>>,
{
    let mut latencies = Vec::new();
    let mut number = first;
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(latencies);
        }
        call(number).await?;
        latencies.push(began.elapsed());
        number += step;
    }
}

/// The least time that so many percent of the sorted ones do not exceed.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1].as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert!((percentile(&sorted, 50) - 100.0).abs() < 1e-9);
        assert!((percentile(&sorted, 99) - 198.0).abs() < 1e-9);
        assert!((percentile(&sorted[..1], 99) - 1.0).abs() < 1e-9);
    }
}
