//! What threads meet at: locks, counters, channels, shared pointers and the clock, in one place. And what happens
//! when a thread fails that the others can't do without.
//!
//! The feature `model` puts those of a model checker in their place, so that `tests/model` can explore the orders
//! in which threads may run, on the code that runs in production.

mod abort_on_panic;
pub(crate) mod fair_gate;
#[cfg(feature = "model")]
#[path = "../../tests/model/sync.rs"]
mod model;

pub(crate) use self::abort_on_panic::AbortOnPanic;
#[cfg(feature = "model")]
pub(crate) use self::model::*;
#[cfg(not(feature = "model"))]
pub(crate) use self::real::*;
pub(crate) use std::sync::{Arc, Weak};

#[cfg(not(feature = "model"))]
mod real {
    pub(crate) use crossbeam_channel as channel;
    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
    pub(crate) use std::sync::atomic;
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::time::Instant;
}
