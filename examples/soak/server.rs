//! The server, a process of its own, and what it costs.

use std::env;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{LOOK_UP, Options, Outcome, PATIENCE, World, ensure};

/// The server and what it costs.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// Kept open: closed, it would make printing fail.
    _output: Box<dyn BufRead>,
    pub(crate) start: Instant,
    next_sample: Instant,
    minutes: u64,
    /// The least of each figure in any sample since it started.
    pub(crate) least: Sample,
    pub(crate) most: Sample,
    cpu_before: u64,
}

/// What the server costs at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Resident, in KiB.
    pub(crate) memory: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
    /// Processor time so far, in hundredths of a second.
    pub(crate) cpu: u64,
}

impl Sample {
    fn of(number: u64) -> Sample {
        Sample {
            memory: number,
            threads: number,
            descriptors: number,
            cpu: number,
        }
    }

    /// Two samples combined, figure by figure.
    fn with(&self, other: &Sample, combine: fn(u64, u64) -> u64) -> Sample {
        Sample {
            memory: combine(self.memory, other.memory),
            threads: combine(self.threads, other.threads),
            descriptors: combine(self.descriptors, other.descriptors),
            cpu: combine(self.cpu, other.cpu),
        }
    }
}

impl Server {
    /// Starts it on loopback, and waits until it tells its two ports.
    pub(crate) fn start(options: &Options, folder: &Path) -> io::Result<(Server, [SocketAddr; 2])> {
        let name = format!("chatd{}", env::consts::EXE_SUFFIX);
        let own = env::current_exe()?;
        let sibling = own
            .parent()
            .and_then(Path::parent)
            .map(|target| target.join(name));
        let program = options.chatd.clone().or(sibling).unwrap_or_default();
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("CHATD_") {
                command.env_remove(name);
            }
        }
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            "0",
            "--tls-port",
            "0",
            "--web-port",
            "0",
            "--max-backlog",
            "256KiB",
        ]);
        command.args(["--lang", "en"]);
        command.arg(format!("--heartbeat={}s", options.heartbeat));
        command.arg(format!("--login-timeout={}s", options.heartbeat + 5));
        command.arg(format!("--handshake-timeout={}s", options.heartbeat + 5));
        // Who hoards would else be found dead before its backlog is full.
        command.args(["--byte-burst", "8MiB"]);
        command.arg("--data-dir").arg(folder.join("data"));
        command
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Where there is no SIGTERM, it is stopped by its console.
        if cfg!(not(unix)) {
            command.arg("--console").stdin(Stdio::piped());
        }
        let mut child = command.spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or(ErrorKind::BrokenPipe)?);
        let mut ports = Vec::new();
        let mut line = String::new();
        while !line.starts_with("Stop with") {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err(io::Error::other("chatd does not start"));
            }
            if let [_, address, "port", port, ..] = line.split_whitespace().collect::<Vec<_>>()[..]
            {
                ports.extend(format!("{address}:{port}").parse::<SocketAddr>());
            }
        }
        let addresses = ports
            .try_into()
            .map_err(|_| io::Error::other("chatd tells no ports"))?;
        let now = Instant::now();
        let server = Server {
            child,
            _output: Box::new(output),
            start: now,
            next_sample: now,
            minutes: 0,
            least: Sample::of(u64::MAX),
            most: Sample::of(0),
            cpu_before: 0,
        };
        Ok((server, addresses))
    }

    /// Asks the kernel; only Linux answers in this way.
    fn sample(&self) -> Option<Sample> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let of = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        // Behind the name, which stands in brackets, the 12th and the 13th are its own time and the kernel's.
        let times = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
        Some(Sample {
            memory: of("VmRSS:")?,
            threads: of("Threads:")?,
            descriptors: std::fs::read_dir(folder.join("fd")).ok()?.count() as u64,
            cpu: times.filter_map(|time| time.parse::<u64>().ok()).sum(),
        })
    }

    /// Samples if a second has passed, and prints if a minute has.
    pub(crate) fn watch(&mut self, world: &World) {
        if Instant::now() < self.next_sample {
            return;
        }
        self.next_sample += Duration::from_secs(1);
        let sample = self.sample();
        if let Some(sample) = &sample {
            self.least = self.least.with(sample, u64::min);
            self.most = self.most.with(sample, u64::max);
        }
        if self.start.elapsed().as_secs() / 60 > self.minutes {
            self.minutes += 1;
            let Sample {
                memory,
                threads,
                descriptors,
                cpu,
            } = sample.unwrap_or_default();
            let share = (cpu - self.cpu_before) as f64 / 60.0;
            self.cpu_before = cpu;
            let [logins, members, room, private, received] = [
                "logins",
                "logins with a password",
                "room",
                "private",
                "received",
            ]
            .map(|what| world.number_of(what));
            println!(
                "{:6} {:7} {room:7} {private:7} {received:9} {:7} {memory:8} {threads:7} {descriptors:4} {share:5.1}",
                self.minutes,
                logins + members,
                world.number_of("cut off")
            );
        }
    }

    /// Waits until only the steady users are left, and costs what it cost before, if that is known.
    pub(crate) fn settle(
        &mut self,
        world: &World,
        before: Option<Sample>,
    ) -> Outcome<Option<Sample>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            thread::sleep(LOOK_UP);
            self.watch(world);
            let Some(now) = self.sample() else {
                return Ok(None);
            };
            let before = before.unwrap_or(now);
            if (now.threads, now.descriptors) == (before.threads, before.descriptors) {
                return Ok(Some(now));
            }
            ensure!(
                Instant::now() < deadline,
                "threads or descriptors leak: {before:?}, then {now:?}"
            );
        }
    }

    /// Stops it as a teacher would, and waits for its end.
    pub(crate) fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(mut console) = self.child.stdin.take() {
            console.write_all(b"quit\n")?;
        } else {
            let id = self.child.id().to_string();
            let sent = Command::new("kill").args(["-TERM", &id]).status()?;
            if !sent.success() {
                return Err(io::Error::other("no signal can be sent to it"));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() > deadline => {
                    return Err(io::Error::other("it does not end"));
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Counts why connections ended, and looks for errors.
pub(crate) fn read_log(world: &World, log: impl Read) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if let Some((_, reason)) = line.split_once(" left (") {
            let reason = reason.split([':', ';']).next().unwrap_or_default();
            world.count(&format!("left: {reason}"));
        }
        if line.contains(" ERROR ") || line.contains("panicked") {
            world.broken(&format!("the server's log says {line}"));
        }
    }
}
