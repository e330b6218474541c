//! What is right, said once for the property tests and the fuzz targets. Every check panics if it is not.

pub mod framing;
pub mod outbox;
pub mod roster;
