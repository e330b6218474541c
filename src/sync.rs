//! The locks that threads share data through, in one place, so that a model checker's can be put in theirs.

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Weak};
