//! How many connections the machine can hold.

use std::path::Path;

use super::config::Config;
use super::error::StartError;
use super::permits::{MAX_SPARE_THREADS, MIN_SPARE_THREADS, spare_threads};

/// Descriptors that are not counted connections: standard streams, listeners, files, those of refused clients that linger, and
/// those that must be left.
#[cfg(unix)]
const OTHER_DESCRIPTORS: u64 = 32;

/// The longest notice of a login (30), in bytes.
const NOTICE: usize = 110;

/// Memory mappings that are not stacks of threads that serve: those of everything else, of the stacks that the C library keeps
/// for new threads (40 MiB), and of threads that end right after a TLS handshake.
const OTHER_MAPPINGS: u64 = 2048;

/// Memory mappings of one thread: its stack, its signal stack, and a guard page for each.
const MAPPINGS_PER_THREAD: u64 = 4;

/// Threads that do not belong to connections, of this process and of others that count against the same limit.
const OTHER_THREADS: u64 = 256;

/// Lowers the limit of connections to what this machine can hold, and says so.
pub(super) fn fit(config: &mut Config) -> Result<(), StartError> {
    if let Some((fit, advice)) = fewer_than(config.max_connections) {
        if fit == 0 {
            return Err(StartError::NoRoom(advice));
        }
        log::warn!(
            "this machine holds {fit} connections, not the {} of --max-connections; for more, {advice}",
            config.max_connections
        );
        config.max_connections = fit;
    }
    // When everybody logs in at once, each client waits for a notice of each other one.
    let notices = config.max_connections * NOTICE;
    if notices > config.max_backlog {
        log::warn!(
            "--max-backlog holds fewer notices than {} clients cause by logging in at once; {} would do",
            config.max_connections,
            bytesize::ByteSize(notices as u64)
        );
    }
    Ok(())
}

/// How many connections this machine can hold, if that is fewer than `wanted`, and what to do about it. Raises
/// what may be raised: the soft limit of open files.
///
/// Past its memory mappings a process does not fail to start a thread, it aborts; so this is asked at the start.
pub fn fewer_than(wanted: usize) -> Option<(usize, String)> {
    let clients = (wanted + spare_threads(wanted)) as u64;
    let wanted = wanted as u64;
    let mut fits: Vec<(u64, String)> = Vec::new();

    #[cfg(unix)]
    {
        let needed = clients + OTHER_DESCRIPTORS;
        let available = rlimit::increase_nofile_limit(needed).unwrap_or(u64::MAX);
        let advice = format!(
            "allow the process {needed} open files (ulimit -n, or LimitNOFILE for a service)"
        );
        let fit = connections_among(available.saturating_sub(OTHER_DESCRIPTORS));
        fits.push((fit, advice));
    }

    let threads = clients + OTHER_THREADS;
    let for_threads = |available: u64| connections_among(available.saturating_sub(OTHER_THREADS));
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
        fits.push((for_threads(soft), advice));
    }
    if let Some(available) = number_in(Path::new("/proc/sys/vm/max_map_count")) {
        let mappings = clients * MAPPINGS_PER_THREAD + OTHER_MAPPINGS;
        let fit = connections_among(available.saturating_sub(OTHER_MAPPINGS) / MAPPINGS_PER_THREAD);
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

/// How many connections a server for so many clients can have, if there shall be [others](spare_threads) beside them for a
/// while: those that it rejects, and those that make room.
fn connections_among(clients: u64) -> u64 {
    let spare = clients
        .div_ceil(2)
        .clamp(MIN_SPARE_THREADS as u64, MAX_SPARE_THREADS as u64);
    clients.saturating_sub(spare)
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
    fn as_many_connections_are_taken_as_leave_room_for_those_that_are_not_served() {
        for clients in 0..400 {
            let needed = |connections: usize| (connections + spare_threads(connections)) as u64;
            let connections = connections_among(clients) as usize;
            assert!(
                connections == 0 || needed(connections) <= clients,
                "{clients}"
            );
            assert!(needed(connections + 1) > clients, "{clients}");
        }
    }
}
