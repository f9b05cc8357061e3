//! How many requests a second there may be.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::locked;

/// Lets requests go one after the other, an even time apart.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// `rate` is how many a second; 0 is no limit.
    pub(super) fn new(rate: u32) -> Self {
        let apart = if rate == 0 { Duration::ZERO } else { Duration::from_secs(1) / rate };
        Self { apart, next: Mutex::default() }
    }

    /// Waits for the next request's turn.
    pub(super) async fn turn(&self) {
        if !self.apart.is_zero() {
            sleep_until(self.place()).await;
        }
    }

    fn place(&self) -> Instant {
        let now = Instant::now();
        let mut next = locked(&self.next);
        let place = next.map_or(now, |next| next.max(now));
        *next = Some(place + self.apart);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_go_as_far_apart_as_the_rate_says() {
        let pace = Pace::new(10);
        let begun = Instant::now();
        for number in 0..5 {
            pace.turn().await;
            assert!(
                begun.elapsed() >= Duration::from_millis(100) * number,
                "{number}: {:?}",
                begun.elapsed()
            );
        }
        assert!(begun.elapsed() < Duration::from_millis(500));
        // What was not used is not saved up.
        tokio::time::advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        pace.turn().await;
        pace.turn().await;
        assert!(begun.elapsed() >= Duration::from_millis(100));
        let unlimited = Pace::new(0);
        let begun = Instant::now();
        for _ in 0..1000 {
            unlimited.turn().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
