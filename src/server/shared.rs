//! What all threads of a server share.

use openssl::ssl::SslContext;

use super::attendance::Attendance;
use super::budget::Budgets;
use super::config::Config;
use super::connection_registry::ConnectionRegistry;
use super::inbox::Inbox;
use super::permits::Permits;
use super::refusals::Refusals;
use super::repeated_lines::RepeatedLines;
use super::stats::Stats;
use super::watch::Watch;
use super::web::WebRules;
use crate::chat::fan_out::{FanOutThread, event_queue};
use crate::chat::{EventQueue, Room, SessionMap, TranscriptEnd};
use crate::storage::{Accounts, Bans};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::channel::{Receiver, Sender, unbounded};
use crate::sync::{Arc, Mutex, Weak};
use crate::transport::Connection;

/// What all threads of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) config: Config,
    pub(super) accounts: Arc<Accounts>,
    /// Asked by listeners and by the room, changed by the moderator.
    pub(super) bans: Arc<Bans>,
    /// Written by the room's roster only.
    pub(super) sessions: SessionMap,
    pub(super) events: EventQueue,
    /// To the retry thread.
    pub(super) retry_queue: Sender<Weak<Connection>>,
    pub(super) tls: Option<SslContext>,
    pub(super) connections: ConnectionRegistry,
    pub(super) permits: Arc<Permits>,
    pub(super) budgets: Budgets,
    pub(super) inbox: Inbox,
    pub(super) attendance: Attendance,
    pub(super) watch: Watch,
    /// The end of the transcript that is written, if any is. A leaf lock, for the moderator and the stopping server.
    pub(super) transcript: Mutex<Option<TranscriptEnd>>,
    pub(super) refusals: Refusals,
    pub(super) web_rules: WebRules,
    /// Written by the report thread too.
    pub(super) repeated_lines: Arc<RepeatedLines>,
    /// Set once, when the server stops: from then on no command of a client is carried out.
    is_stopping: AtomicBool,
}

impl Shared {
    /// What threads share, and what the fan-out thread and the retry thread receive from.
    pub(super) fn new(
        config: Config,
        accounts: Arc<Accounts>,
        bans: Arc<Bans>,
        tls: Option<SslContext>,
    ) -> (Arc<Shared>, FanOutThread, Receiver<Weak<Connection>>) {
        let sessions = SessionMap::default();
        let room = Room::new(
            Arc::clone(&sessions),
            Arc::clone(&accounts),
            Arc::clone(&bans),
        );
        let (events, fan_out_thread) = event_queue(room, Arc::clone(&sessions), config.max_backlog);
        // Each connection is in this queue once at most, so their number bounds it.
        let (retry_sender, retry_queue) = unbounded();
        let shared = Shared {
            accounts,
            bans,
            sessions,
            events,
            retry_queue: retry_sender,
            tls,
            connections: ConnectionRegistry::default(),
            permits: Arc::new(Permits::new(config.max_connections, config.max_per_address)),
            budgets: Budgets::new(),
            inbox: Inbox::default(),
            attendance: Attendance::default(),
            watch: Watch::default(),
            transcript: Mutex::new(None),
            refusals: Refusals::default(),
            web_rules: WebRules::new(
                &gethostname::gethostname().to_string_lossy(),
                &config.web_host,
                &config.web_origin,
            ),
            repeated_lines: Arc::new(RepeatedLines::new()),
            is_stopping: AtomicBool::new(false),
            config,
        };
        (Arc::new(shared), fan_out_thread, retry_queue)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub(super) fn set_stopping(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// What has happened since the start.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.connections.stats();
        stats.online = self.sessions.read().len();
        stats
    }
}
