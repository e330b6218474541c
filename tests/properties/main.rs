//! Properties: what must hold for every sequence of events and every stream of bytes, tried on random ones.
//!
//! The modules under `oracle` say what is right, and know nothing of chance; those beside it make up what to try
//! it on. The fuzz targets in `tests/fuzz` share the oracles and find their own input.
//!
//! Each run tries other cases. A failure is shrunk and printed, and its seed is kept in a file under
//! `tests/proptest-regressions`, which is tried first from then on. `PROPTEST_CASES` sets the number of
//! cases, `PROPTEST_RNG_SEED` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "nobody uses a test from outside"
)]

mod framing;
mod oracle;
mod outbox;
mod pipe;
mod roster;
mod tls;

/// As many cases as `usual`, unless `PROPTEST_CASES` says otherwise.
fn cases(usual: u32) -> proptest::test_runner::Config {
    let mut config = proptest::test_runner::Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = usual;
    }
    config
}
