//! A clock for runs by which to wait is to jump.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::sync::{Arc, Mutex};
use std::time::Instant;

use es_core::environment::Runtime;
use futures_util::future::BoxFuture;

#[derive(Debug)]
pub(crate) struct Jumping(Arc<Mutex<Instant>>);

impl Jumping {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Arc::new(Mutex::new(Instant::now()))))
    }
}

impl Runtime for Jumping {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, until: Instant) -> BoxFuture<'static, ()> {
        let now = self.0.clone();
        Box::pin(async move {
            let mut now = now.lock().unwrap();
            *now = until.max(*now);
        })
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) -> bool {
        false
    }
}
