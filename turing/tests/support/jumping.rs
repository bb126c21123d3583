//! A clock for runs by which to wait is to jump.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use turing::run::Timer;

#[derive(Debug)]
pub(crate) struct Jumping(Mutex<Instant>);

impl Jumping {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Instant::now())))
    }
}

#[async_trait]
impl Timer for Jumping {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, until: Instant) {
        let mut now = self.0.lock().unwrap();
        *now = until.max(*now);
    }
}
