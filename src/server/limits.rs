//! How many connections there may be: what the settings allow, and what the machine can hold.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use crate::chat::bans::BANNED;
use crate::sync::{Arc, Condvar, Instant, Mutex};
use crate::transport::EndReason;

/// Refused clients that are told why at the same time, each by a thread of its own. Any more are told without.
const MAX_REFUSALS: usize = 32;

/// Descriptors that are not connections: standard streams, listeners, files, and some to spare.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 64;

/// Memory mappings that are not stacks of connections' threads.
const OTHER_MAPPINGS: u64 = 1024;

/// Memory mappings of one thread: its stack, its signal stack, and a guard page for each.
const MAPPINGS_PER_THREAD: u64 = 4;

/// Threads that are not connections', of this process and of others that count against the same limit.
const OTHER_THREADS: u64 = 256;

/// The connections that there may be, each counted by the [`Place`] it holds.
#[derive(Debug)]
pub struct Places {
    max_connections: usize,
    /// 0 is no limit.
    max_per_address: usize,
    taken: Mutex<Taken>,
    /// Notified when nobody is left.
    empty: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    connections: usize,
    by_address: HashMap<IpAddr, usize>,
    refusals: usize,
}

/// Which limit a connection met, or what else keeps it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitMet {
    /// `--max-connections`.
    Connections(usize),
    /// `--max-per-address`.
    PerAddress(usize),
    /// The address is banned.
    Banned,
}

impl LimitMet {
    /// Why the connection ends.
    pub fn reason(self) -> EndReason {
        match self {
            LimitMet::Connections(_) | LimitMet::PerAddress(_) => EndReason::Refused,
            LimitMet::Banned => EndReason::Banned,
        }
    }
}

impl std::fmt::Display for LimitMet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LimitMet::Connections(limit) => {
                write!(
                    f,
                    "the server is full: it takes {limit} connections; try again later"
                )
            }
            LimitMet::PerAddress(limit) => {
                write!(
                    f,
                    "the server takes {limit} connections from one address, and yours has as many"
                )
            }
            LimitMet::Banned => f.write_str(BANNED),
        }
    }
}

/// A place among the connections; given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Connection(IpAddr),
    Refusal,
}

impl Places {
    /// As many as the settings allow.
    pub fn new(max_connections: usize, max_per_address: usize) -> Places {
        Places {
            max_connections,
            max_per_address,
            taken: Mutex::default(),
            empty: Condvar::new(),
        }
    }

    /// Takes a place for a client from `address`.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, LimitMet> {
        let address = address.to_canonical();
        let mut taken = self.taken.lock();
        if taken.connections >= self.max_connections {
            return Err(LimitMet::Connections(self.max_connections));
        }
        let of_address = taken.by_address.entry(address).or_default();
        if self.max_per_address > 0 && *of_address >= self.max_per_address && !address.is_loopback()
        {
            return Err(LimitMet::PerAddress(self.max_per_address));
        }
        *of_address += 1;
        taken.connections += 1;
        Ok(Place {
            places: Arc::clone(self),
            kind: Kind::Connection(address),
        })
    }

    /// Takes one of the few places for those who are only told that there is none.
    pub fn take_for_refusal(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken.lock();
        if taken.refusals >= MAX_REFUSALS {
            return None;
        }
        taken.refusals += 1;
        Some(Place {
            places: Arc::clone(self),
            kind: Kind::Refusal,
        })
    }

    /// Waits until no place is taken. False if some still are at the deadline.
    pub fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut taken = self.taken.lock();
        while taken.connections + taken.refusals > 0 {
            if self.empty.wait_until(&mut taken, deadline).timed_out() {
                return false;
            }
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        match self.kind {
            Kind::Refusal => taken.refusals -= 1,
            Kind::Connection(address) => {
                taken.connections -= 1;
                if let Some(of_address) = taken.by_address.get_mut(&address) {
                    *of_address -= 1;
                    if *of_address == 0 {
                        taken.by_address.remove(&address);
                    }
                }
            }
        }
        if taken.connections + taken.refusals == 0 {
            self.places.empty.notify_all();
        }
    }
}

/// How many connections this machine can hold, if that is fewer than `wanted`, and what to do about it. Raises
/// what may be raised: the soft limit of open files.
///
/// Past its memory mappings a process does not fail to start a thread, it aborts; so this is asked at the start.
pub fn fewer_than(wanted: usize) -> Option<(usize, String)> {
    let wanted = wanted as u64;
    let refusals = MAX_REFUSALS as u64;
    let mut fits: Vec<(u64, String)> = Vec::new();

    #[cfg(unix)]
    {
        let needed = wanted + refusals + OTHER_DESCRIPTORS;
        let available = rlimit::increase_nofile_limit(needed).unwrap_or(u64::MAX);
        let advice = format!(
            "allow the process {needed} open files (ulimit -n, or LimitNOFILE for a service)"
        );
        fits.push((
            available.saturating_sub(refusals + OTHER_DESCRIPTORS),
            advice,
        ));
    }

    let threads = wanted + refusals + OTHER_THREADS;
    let for_threads = |available: u64| available.saturating_sub(refusals + OTHER_THREADS);
    if let Some(available) = number_in(Path::new("/proc/sys/kernel/threads-max")) {
        fits.push((
            for_threads(available),
            format!("set kernel.threads-max to {threads}"),
        ));
    }
    if let Some(available) = control_group_limit() {
        let advice = "raise the control group's pids.max (TasksMax for a service) to";
        fits.push((for_threads(available), format!("{advice} {threads}")));
    }
    #[cfg(target_os = "linux")]
    if let Ok((soft, _)) = rlimit::Resource::NPROC.get() {
        let advice = format!("allow the user {threads} processes (ulimit -u)");
        fits.push((soft.saturating_sub(refusals + OTHER_THREADS), advice));
    }
    if let Some(available) = number_in(Path::new("/proc/sys/vm/max_map_count")) {
        let mappings = (wanted + refusals) * MAPPINGS_PER_THREAD + OTHER_MAPPINGS;
        let fit = (available.saturating_sub(OTHER_MAPPINGS) / MAPPINGS_PER_THREAD)
            .saturating_sub(refusals);
        fits.push((fit, format!("set vm.max_map_count to {mappings}")));
    }

    let fewest = fits.iter().map(|(fit, _)| *fit).min()?;
    if fewest >= wanted {
        return None;
    }
    let advice: Vec<String> = fits
        .into_iter()
        .filter(|(fit, _)| *fit < wanted)
        .map(|(_, advice)| advice)
        .collect();
    Some((fewest as usize, advice.join("; ")))
}

/// How many threads the control groups of this process allow, the nearest or any above it (cgroups(7)).
fn control_group_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let path = root.join(own);
    path.ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| number_in(&group.join("pids.max")))
        .min()
}

/// The number that a file of the kernel's holds, if there is such a file, and a number in it.
fn number_in(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_and_given_back() {
        let places = Arc::new(Places::new(3, 2));
        let [lan, other, own]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let first = places.take(lan).unwrap();
        let second = places.take(mapped).unwrap();
        assert_eq!(places.take(lan).unwrap_err(), LimitMet::PerAddress(2));
        let third = places.take(other).unwrap();
        assert_eq!(places.take(own).unwrap_err(), LimitMet::Connections(3));
        drop((first, third));
        let own_places = [places.take(own).unwrap(), places.take(own).unwrap()];
        drop((second, own_places));
        assert!(places.wait_until_empty(Instant::now()));
        assert!(places.taken.lock().by_address.is_empty());
    }
}
