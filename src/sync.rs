//! The locks, counters and shared pointers of the threads that serve clients, in one place.

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Weak};
