//! The waits between attempts to connect, as oslo.messaging counts them.

use std::time::Duration;

use rand::Rng;

use super::settings::Broker;

/// The interval grows by a constant up to a ceiling; only success sets it back.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    step: Duration,
    ceiling: Duration,
    delay: Duration,
    splay: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(broker: &Broker) -> Self {
        Self {
            first: broker.retry_interval,
            step: broker.retry_backoff,
            ceiling: broker.interval_max,
            delay: broker.reconnect_delay,
            splay: broker.reconnect_splay,
            failures: 0,
        }
    }

    /// The wait after another failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let interval = self.first.saturating_add(self.step.saturating_mul(self.failures)).min(self.ceiling);
        self.failures = self.failures.saturating_add(1);
        self.before_reconnect().saturating_add(interval)
    }

    /// The wait after a session that had worked was lost.
    pub(super) fn before_reconnect(&self) -> Duration {
        self.delay.saturating_add(self.splay.mul_f64(rand::rng().random()))
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        (0..count).map(|_| backoff.after_failure().as_secs()).collect()
    }

    #[test]
    fn waits_grow_to_the_ceiling_and_start_over_after_success() {
        let broker = Broker { interval_max: Duration::from_secs(6), ..Broker::default() };
        let mut backoff = Backoff::new(&broker);
        assert_eq!(waits(&mut backoff, 5), [2, 4, 6, 7, 7]);
        backoff.reset();
        assert_eq!(waits(&mut backoff, 1), [2]);
        assert_eq!(backoff.before_reconnect(), Duration::from_secs(1));
    }

    #[test]
    fn splay_adds_less_than_its_limit() {
        let broker = Broker { reconnect_splay: Duration::from_secs(3), ..Broker::default() };
        let backoff = Backoff::new(&broker);
        for _ in 0..100 {
            let wait = backoff.before_reconnect();
            assert!((1..4).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
