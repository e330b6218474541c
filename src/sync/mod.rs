//! What threads meet at: locks, counters, channels, shared pointers and the clock, in one place. And what happens
//! when one fails that the others can't do without.
//!
//! The feature `model` puts those of a model checker in their place, so that `tests/model` can explore the orders
//! in which threads may run, on the code that runs in production.

#[cfg(feature = "model")]
mod model;
mod sentinel;

#[cfg(feature = "model")]
pub(crate) use self::model::*;
#[cfg(not(feature = "model"))]
pub(crate) use self::real::*;
pub(crate) use self::sentinel::Sentinel;
pub(crate) use std::sync::{Arc, Weak};

#[cfg(not(feature = "model"))]
mod real {
    pub(crate) use crossbeam_channel as channel;
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
    pub(crate) use std::sync::atomic;
    #[cfg(not(unix))]
    pub(crate) use std::thread::sleep;
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::time::Instant;
}
